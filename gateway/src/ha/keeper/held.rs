//! [`Held`]: the schedule of the virtual addresses while this host has them: when to announce them,
//! and when to probe for another host that has them too.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ringway_host::virtual_address::Interface;
use ringway_host::virtual_address::announce::{Announcer, Hardware};

use crate::ha::order::Order;

/// When the addresses are announced, in milliseconds after a takeover.
const ANNOUNCEMENTS: [u64; 11] = [0, 50, 100, 200, 400, 800, 1600, 2400, 3200, 4800, 9600];
/// Interval of the announcements after those, for hosts that missed them.
pub(super) const REFRESH: Duration = Duration::from_secs(60);

/// For this long after a takeover, the previous gateway may still answer for the addresses.
pub(super) const HANDOVER: Duration = Duration::from_secs(5);
/// Interval of the probes after that.
pub(super) const PROBE: Duration = Duration::from_secs(30);

/// See the head of this file.
pub(super) struct Held {
    pub(super) order: Order,
    pub(super) interface: Interface,
    pub(super) announcer: Option<Announcer>,
    pub(super) since: Instant,
    /// Number of [`ANNOUNCEMENTS`] done.
    pub(super) announced: usize,
    pub(super) next_announcement: Instant,
    pub(super) next_probe: Instant,
    /// When another host last answered for one of the addresses.
    pub(super) conflict_at: Option<Instant>,
    /// The pulse at which the addresses were last renewed.
    pub(super) renewed: Instant,
    /// The addresses are not yet set in the kernel.
    pub(super) is_new: bool,
}

impl Held {
    /// Announces the addresses if it is due.
    pub(super) fn announce(&mut self, order: &Order, now: Instant) {
        if now < self.next_announcement {
            return;
        }

        if let Some(announcer) = &self.announcer {
            for address in &order.addresses {
                // Fails while the interface is down. The next announcement repeats it.
                if let Err(error) = announcer.announce(*address, &order.interface) {
                    tracing::debug!(%error, %address, "A virtual address was not announced");
                }
            }
        }
        self.announced += 1;
        self.next_announcement = match ANNOUNCEMENTS.get(self.announced) {
            Some(after) => (self.since + Duration::from_millis(*after)).max(now),
            None => now + REFRESH,
        };
    }

    /// Probes the addresses if it is due. Returns the hosts that have answered.
    pub(super) fn probe(&mut self, order: &Order, now: Instant) -> BTreeMap<IpAddr, Hardware> {
        let Some(announcer) = &self.announcer else {
            self.next_probe = now + PROBE;
            return BTreeMap::new();
        };
        let others = announcer.others(&order.addresses);

        if now >= self.next_probe {
            self.next_probe = now + PROBE;
            for address in &order.addresses {
                if let Err(error) = announcer.probe(*address) {
                    tracing::debug!(%error, %address, "Cannot probe for a virtual address");
                }
            }
        }
        // The previous gateway may not have removed the addresses yet: its answers do not count.
        if now < self.since + HANDOVER {
            return BTreeMap::new();
        }
        others
    }
}
