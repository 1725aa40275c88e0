//! [`Publication`]: what is published as the content of a zone.

use std::sync::Arc;
use std::time::SystemTime;

use crate::zone::Zone;

/// The content of a zone.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The zone.
    pub zone: Arc<Zone>,
    /// Names that are known to exist, but are too old to be answered: they get SERVFAIL, unless
    /// `zone` has them too.
    pub expired: Option<Arc<Zone>>,
    /// Every gateway of the organization has contributed, as far as is known. Otherwise, names that
    /// are not in `zone` get SERVFAIL, not NXDOMAIN.
    pub complete: bool,
    /// `zone` itself is too old: all names get SERVFAIL.
    pub stale: bool,
    /// When the newest part of it arrived.
    pub received: SystemTime,
}

impl Publication {
    /// A zone of which nothing is missing.
    pub fn whole(zone: Zone, received: SystemTime) -> Publication {
        Publication {
            zone: Arc::new(zone),
            expired: None,
            complete: true,
            stale: false,
            received,
        }
    }
}
