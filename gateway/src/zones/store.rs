//! [`Store`]: writes the copy of a zone that was received, for the next start.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use ringway_config::ZoneName;
use ringway_dns::{ReplicaStore, Zones};

/// Writes the latest version of one zone.
#[derive(Debug)]
pub struct Store {
    pub(super) zones: Arc<Zones>,
    pub(super) copies: Arc<ReplicaStore>,
    /// Held while a copy is written, so that the one that is written last is the newest.
    pub(super) storing: Arc<Mutex<()>>,
    pub(super) apex: ZoneName,
    pub(super) received: SystemTime,
}

impl Store {
    /// Writes the file. A failure is logged: the zone is served all the same. Blocks.
    pub fn run(self) {
        let _storing = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        // It may be a later version than the one that this was begun for.
        let Some(zone) = self.zones.zone(&self.apex) else {
            return;
        };

        if let Err(error) = self.copies.save(&self.apex, &zone, self.received) {
            tracing::warn!(
                zone = %self.apex, %error, "Zone not stored: it is lost at a restart"
            );
        }
    }
}
