//! [`Order`]: which virtual addresses this host must have now.

use std::net::IpAddr;
use std::time::Instant;

use ringway_config::Config;
use ringway_core::{RoleReason, SiteRole, Standing};

/// What the keeper has to see to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The interface that has the addresses.
    pub interface: String,
    /// The addresses.
    pub addresses: Vec<IpAddr>,
    /// This host has them; else it must not.
    pub is_active: bool,
    /// The epoch of this role: with another one, they are announced again.
    pub epoch: u64,
    /// No sibling has left them to us: somebody else may have them.
    pub must_probe: bool,
    /// When the daemon's loop was last known to be alive.
    pub pulse: Instant,
}

impl Order {
    /// What follows from `config` and a role.
    pub fn of(config: &Config, standing: &Standing, now: Instant) -> Order {
        Order {
            interface: config.ha.interface.clone(),
            addresses: config.ha.hosts().collect(),
            is_active: standing.role == SiteRole::Active,
            epoch: standing.epoch,
            must_probe: matches!(
                standing.reason,
                RoleReason::Alone | RoleReason::Starting | RoleReason::Vacant
            ),
            pulse: now,
        }
    }

    /// True if both are about the same addresses.
    pub fn has_the_place_of(&self, other: &Order) -> bool {
        self.interface == other.interface && self.addresses == other.addresses
    }
}
