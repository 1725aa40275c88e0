//! [`Check`]: parses and verifies a fragment from a peer, off the loop: a large one takes some 100
//! ms, for which every tunnel's probes would wait. Each organization has one check at a time. Of
//! the parcels that arrive meanwhile, the latest of each gateway waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringway_config::ZoneName;
use ringway_core::ConnId;
use ringway_dns::Zone;
use ringway_dns::transfer::{Offer, Parcel, TransferError};

/// Maximum of waiting parcels of one organization; a new one replaces the oldest.
const MAX_WAITING: usize = 4;

/// The check of a fragment from a peer.
#[derive(Debug)]
pub struct Check {
    conn: ConnId,
    parcel: Parcel,
    /// The version to which a difference applies.
    held: Option<Arc<Zone>>,
}

/// The result of a [`Check`].
#[derive(Debug)]
pub struct Checked {
    pub(super) conn: ConnId,
    pub(super) apex: ZoneName,
    pub(super) offer: Offer,
    pub(super) was_delta: bool,
    pub(super) result: Result<Zone, TransferError>,
}

impl Check {
    pub(super) fn new(parcel: (ConnId, Parcel), held: Option<Arc<Zone>>) -> Check {
        let (conn, parcel) = parcel;
        Check { conn, parcel, held }
    }

    /// Applies a difference to the held version, verifies the digest and parses the fragment.
    /// Blocks.
    pub fn run(self) -> Checked {
        Checked {
            conn: self.conn,
            apex: self.parcel.apex().clone(),
            offer: *self.parcel.offer(),
            was_delta: self.parcel.is_delta(),
            result: self.parcel.check(self.held.as_deref()),
        }
    }
}

/// The result of [`Checks::begin`].
#[derive(Debug)]
pub(super) enum Begun {
    /// No other check of the organization is running: run this one.
    Now((ConnId, Parcel)),
    /// It waits until the running check has ended.
    Waits {
        /// The connection of the waiting parcel that was replaced, and will not be checked.
        instead_of: Option<ConnId>,
    },
}

/// The running checks by zone, each with the parcels that wait for it.
#[derive(Debug, Default)]
pub(super) struct Checks(BTreeMap<ZoneName, Vec<(ConnId, Parcel)>>);

impl Checks {
    /// Starts the check of `parcel` from `conn`, or lets it wait.
    pub(super) fn begin(&mut self, conn: ConnId, parcel: Parcel) -> Begun {
        // The bound is per organization, so that an owner with many gateways can neither occupy the
        // blocking threads nor keep many parcels in memory here.
        let Some(waiting) = self.0.get_mut(parcel.apex()) else {
            self.0.insert(parcel.apex().clone(), Vec::new());
            return Begun::Now((conn, parcel));
        };

        let full = waiting.len() >= MAX_WAITING;
        let instead_of = full.then(|| waiting.remove(0).0);
        waiting.push((conn, parcel));
        Begun::Waits { instead_of }
    }

    /// Ends the check of `apex`. Returns the next parcel, if one waits.
    pub(super) fn end(&mut self, apex: &ZoneName) -> Option<(ConnId, Parcel)> {
        let waiting = self.0.get_mut(apex)?;
        if waiting.is_empty() {
            self.0.remove(apex);
            return None;
        }

        Some(waiting.remove(0))
    }
}
