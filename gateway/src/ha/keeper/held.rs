//! [`Held`]: the virtual addresses while this host has them: when they are announced, and when it
//! is asked who else has them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ringway_host::virtual_address::Interface;
use ringway_host::virtual_address::announce::{Announcer, Hardware};

use crate::ha::order::Order;

/// After a takeover, when the addresses are announced, in milliseconds.
const ANNOUNCEMENTS: [u64; 11] = [0, 50, 100, 200, 400, 800, 1600, 2400, 3200, 4800, 9600];
/// After that, so often: for those that were not there to hear it.
pub(super) const REFRESH: Duration = Duration::from_secs(60);

/// So long after a takeover, another gateway may still answer for the addresses.
pub(super) const HANDING_OVER: Duration = Duration::from_secs(5);
/// After that, so often it is asked whether somebody else has them.
pub(super) const PROBE: Duration = Duration::from_secs(30);

/// See the head of this file.
pub(super) struct Held {
    pub(super) order: Order,
    pub(super) interface: Interface,
    pub(super) announcer: Option<Announcer>,
    pub(super) since: Instant,
    /// How many of [`ANNOUNCEMENTS`] are over.
    pub(super) announced: usize,
    pub(super) next_announcement: Instant,
    pub(super) next_probe: Instant,
    /// When somebody else said last that it has one of them.
    pub(super) heard: Option<Instant>,
    /// The pulse with which they were renewed.
    pub(super) renewed: Instant,
    /// They were not set yet.
    pub(super) is_new: bool,
}

impl Held {
    /// Tells the hosts, if it is time.
    pub(super) fn announce(&mut self, order: &Order, now: Instant) {
        if now < self.next_announcement {
            return;
        }

        if let Some(announcer) = &self.announcer {
            for address in &order.addresses {
                // The interface may be down: it is repeated.
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

    /// Asks who else has the addresses, if it is time; who has answered.
    pub(super) fn ask(&mut self, order: &Order, now: Instant) -> BTreeMap<IpAddr, Hardware> {
        let Some(announcer) = &self.announcer else {
            self.next_probe = now + PROBE;
            return BTreeMap::new();
        };
        let others = announcer.others(&order.addresses);

        if now >= self.next_probe {
            self.next_probe = now + PROBE;
            for address in &order.addresses {
                if let Err(error) = announcer.probe(*address) {
                    tracing::debug!(%error, %address, "Nobody was asked for a virtual address");
                }
            }
        }
        // The gateway that had them before may not have lost them yet.
        if now < self.since + HANDING_OVER {
            return BTreeMap::new();
        }
        others
    }
}
