//! [`Store`]: writes the copy of a fragment, for the next start.

use std::sync::{Arc, Mutex, PoisonError};

use ringway_config::GatewayId;
use ringway_dns::{FragmentStore, Stored, Zone};

use super::organization::Held;

/// Writes one version of one fragment.
#[derive(Debug)]
pub struct Store {
    copies: Arc<FragmentStore>,
    order: Arc<Order>,
    number: u64,
    gateway: GatewayId,
    zone: Arc<Zone>,
    held: Held,
}

/// Keeps a version from being written over a later one.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Held while a copy is written: the number of the last one of each gateway.
    written: Mutex<std::collections::BTreeMap<GatewayId, u64>>,
}

impl Store {
    pub(super) fn new(
        copies: Arc<FragmentStore>,
        order: Arc<Order>,
        number: u64,
        gateway: GatewayId,
        held: &Held,
    ) -> Store {
        Store {
            copies,
            order,
            number,
            gateway,
            zone: held.zone.clone(),
            held: held.clone(),
        }
    }

    /// Writes the file. A failure is logged: the fragment is served all the same. Blocks.
    pub fn run(self) {
        let mut written = self
            .order
            .written
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let last = written.entry(self.gateway.clone()).or_default();
        if *last > self.number {
            return;
        }
        *last = self.number;

        let stored = Stored {
            zone: Zone::clone(&self.zone),
            received: self.held.received,
            keys: self.held.keys,
        };
        if let Err(error) = self.copies.save(&self.gateway, &stored) {
            tracing::warn!(
                gateway = %self.gateway, %error, "Names not stored: they are lost at a restart"
            );
        }
    }
}
