//! [`Order`]: which virtual addresses this host must have now.

use std::net::IpAddr;
use std::time::Instant;

use ringway_config::Config;
use ringway_core::{RoleReason, SiteRole, Standing};

/// The addresses that the keeper must set or remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The interface for the addresses.
    pub interface: String,
    /// The virtual addresses.
    pub addresses: Vec<IpAddr>,
    /// True if this host must have them, false if it must not.
    pub is_active: bool,
    /// The epoch of the role. In a new one the addresses are announced again.
    pub epoch: u64,
    /// No sibling has handed the addresses over, so another host may still have them.
    pub must_probe: bool,
    /// When the daemon's loop was last alive.
    pub pulse: Instant,
}

impl Order {
    /// The addresses of `config` for the role in `standing`.
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

    /// The part of this order that `next` gives up. The hosts go on using the other addresses.
    pub fn released_by(&self, next: &Order) -> Order {
        let mut gone = self.clone();
        if next.is_active && next.interface == self.interface {
            gone.addresses
                .retain(|address| !next.addresses.contains(address));
        }
        gone
    }

    /// True if both orders name the same addresses on the same interface.
    pub fn has_same_addresses(&self, other: &Order) -> bool {
        self.interface == other.interface && self.addresses == other.addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(interface: &str, addresses: &[&str], is_active: bool) -> Order {
        Order {
            interface: interface.into(),
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            is_active,
            epoch: 1,
            must_probe: false,
            pulse: Instant::now(),
        }
    }

    #[test]
    fn an_address_that_stays_is_not_removed_with_those_that_go() {
        let before = order("lan0", &["10.1.0.3", "10.1.0.4"], true);
        let gone = |next: &Order| before.released_by(next).addresses;

        let more = order("lan0", &["10.1.0.3", "10.1.0.4", "10.1.0.5"], true);
        assert_eq!(gone(&more), [] as [IpAddr; 0]);
        let other = order("lan0", &["10.1.0.4", "10.1.0.5"], true);
        assert_eq!(gone(&other), ["10.1.0.3".parse::<IpAddr>().unwrap()]);

        // Another interface, or the end of the role, gives up all of them.
        let elsewhere = order("lan1", &["10.1.0.3", "10.1.0.4"], true);
        assert_eq!(gone(&elsewhere), before.addresses);
        let standby = order("lan0", &["10.1.0.3", "10.1.0.4"], false);
        assert_eq!(gone(&standby), before.addresses);
    }
}
