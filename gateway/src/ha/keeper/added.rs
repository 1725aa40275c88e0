//! [`Added`]: virtual addresses that a reload has added to those of the active gateway. No sibling
//! has handed them over, so another host may have them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Order;

/// Time until an address that another host had is probed again.
const RETRY: Duration = Duration::from_secs(3);

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Added {
    /// The last order to have addresses.
    last: Option<Order>,
    /// No probe for these has ended yet.
    unprobed: BTreeSet<IpAddr>,
    /// Another host has these, until when they are not probed again.
    refused: BTreeMap<IpAddr, Instant>,
}

impl Added {
    /// Takes note of `order`, and returns it without the addresses that another host has.
    pub(super) fn apply(&mut self, order: &Order, now: Instant) -> Order {
        if let Some(last) = &self.last {
            let is_moved = last.interface != order.interface;
            let addresses = order.addresses.iter();
            let added = addresses.filter(|one| is_moved || !last.addresses.contains(one));
            self.unprobed.extend(added);
        }
        self.last = order.is_active.then(|| order.clone());

        let due = self.refused.extract_if(.., |_, until| *until <= now);
        self.unprobed.extend(due.map(|(address, _)| address));

        self.unprobed
            .retain(|address| order.addresses.contains(address));
        self.refused
            .retain(|address, _| order.addresses.contains(address));
        let mut rest = order.clone();
        rest.addresses
            .retain(|address| !self.refused.contains_key(address));
        rest
    }

    /// True if an address must be probed before it is taken.
    pub(super) fn must_probe(&self) -> bool {
        !self.unprobed.is_empty()
    }

    /// No other host has answered for any address.
    pub(super) fn verified(&mut self) {
        self.unprobed.clear();
    }

    /// Another host has answered for `addresses`. True if the remaining addresses can be taken
    /// without them, since only added ones are concerned.
    pub(super) fn refuse<'a>(
        &mut self,
        addresses: impl Iterator<Item = &'a IpAddr>,
        now: Instant,
    ) -> bool {
        let mut are_added = true;
        for address in addresses {
            if self.unprobed.remove(address) {
                self.refused.insert(*address, now + RETRY);
            } else {
                are_added = false;
            }
        }
        are_added
    }

    /// The addresses that another host has.
    pub(super) fn refused(&self) -> impl Iterator<Item = &IpAddr> {
        self.refused.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 0, 3));
    const NEW: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 0, 12));

    fn order(addresses: &[IpAddr], is_active: bool, now: Instant) -> Order {
        Order {
            interface: "lan0".into(),
            addresses: addresses.to_vec(),
            is_active,
            epoch: 1,
            must_probe: false,
            pulse: now,
        }
    }

    #[test]
    fn an_address_that_a_reload_adds_is_probed_and_one_that_a_takeover_brings_is_not() {
        let now = Instant::now();
        let mut added = Added::default();
        added.apply(&order(&[OLD], false, now), now);
        added.apply(&order(&[OLD, NEW], true, now), now);
        assert!(!added.must_probe(), "a takeover");

        added.apply(&order(&[OLD], true, now), now);
        assert!(!added.must_probe(), "one less");
        added.apply(&order(&[OLD, NEW], true, now), now);
        assert!(added.must_probe());
        added.verified();
        added.apply(&order(&[OLD, NEW], true, now), now);
        assert!(!added.must_probe());
    }

    #[test]
    fn an_added_address_that_another_host_has_is_left_out_and_probed_again_later() {
        let now = Instant::now();
        let mut added = Added::default();
        let both = order(&[OLD, NEW], true, now);
        added.apply(&order(&[OLD], true, now), now);
        added.apply(&both, now);
        assert!(added.refuse([NEW].iter(), now));
        assert!(!added.must_probe());
        assert_eq!(added.apply(&both, now).addresses, [OLD]);
        assert_eq!(added.refused().collect::<Vec<_>>(), [&NEW]);

        let later = now + RETRY;
        assert_eq!(added.apply(&both, later).addresses, [OLD, NEW]);
        assert!(added.must_probe());

        // One that was held before is in use elsewhere: that is another fault.
        assert!(!added.refuse([OLD].iter(), later));
    }
}
