//! [`ZoneStatus`]: one zone's state, for `ringway status` and the metrics.

use std::fmt;
use std::time::SystemTime;

use crate::name::Name;

/// The source of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This organization's gateways.
    Own,
    /// A member's gateways, over control streams or from the copies on disk.
    Replica,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Own => "own",
            Origin::Replica => "replica",
        })
    }
}

/// One zone's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneStatus {
    /// The zone's name.
    pub apex: Name,
    /// Serial and time of arrival; `None` if the zone was never received.
    pub content: Option<(u32, SystemTime)>,
    /// This organization's configuration, or a transfer from the zone's owner.
    pub origin: Origin,
    /// Whether it is too old to answer from; see [`Zones::set_stale`](crate::Zones::set_stale).
    pub stale: bool,
    /// Whether every gateway of the organization has contributed, as far as is known.
    pub complete: bool,
}
