//! [`Attempt`]: whether somebody else has the virtual addresses, before this host takes them.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ringway_host::virtual_address::Interface;
use ringway_host::virtual_address::announce::Announcer;

/// Questions. RFC 5227, section 2.1.1, asks as often, over some seconds; hosts of one network
/// answer within milliseconds, and there is no gateway meanwhile.
const QUESTIONS: usize = 3;
/// Between two of them, and after the last.
const PAUSE: Duration = Duration::from_millis(80);

/// Some questions, one after the other.
pub(super) struct Attempt {
    interface: Interface,
    announcer: Announcer,
    asked: usize,
    next: Instant,
}

impl Attempt {
    pub(super) fn new(interface: Interface, announcer: Announcer, now: Instant) -> Attempt {
        Attempt {
            interface,
            announcer,
            asked: 0,
            next: now,
        }
    }

    pub(super) fn announcer(&self) -> &Announcer {
        &self.announcer
    }

    /// Asks, if it is time; when there is something to do again. `None`: nobody has answered.
    pub(super) fn probe(&mut self, addresses: &[IpAddr], now: Instant) -> Option<Instant> {
        if now < self.next {
            return Some(self.next);
        }
        if self.asked == QUESTIONS {
            return None;
        }

        for address in addresses {
            if let Err(error) = self.announcer.probe(*address) {
                tracing::debug!(%error, %address, "Nobody was asked for a virtual address");
            }
        }
        self.asked += 1;
        self.next = now + PAUSE;
        Some(self.next)
    }

    pub(super) fn conclude(self) -> (Interface, Announcer) {
        (self.interface, self.announcer)
    }
}
