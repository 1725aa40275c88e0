//! [`AddressProbe`]: asks the network whether another host has the virtual addresses, before this
//! one takes them.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ringway_host::virtual_address::Interface;
use ringway_host::virtual_address::announce::Announcer;

/// Number of probes. RFC 5227, section 2.1.1, sends as many, but over some seconds. Hosts of one
/// network answer within milliseconds, and the site has no gateway while we wait.
const PROBES: usize = 3;
/// Time between two probes, and after the last.
const INTERVAL: Duration = Duration::from_millis(80);

/// A sequence of probes for the same addresses.
pub(super) struct AddressProbe {
    interface: Interface,
    announcer: Announcer,
    sent: usize,
    next: Instant,
}

impl AddressProbe {
    pub(super) fn new(interface: Interface, announcer: Announcer, now: Instant) -> AddressProbe {
        AddressProbe {
            interface,
            announcer,
            sent: 0,
            next: now,
        }
    }

    pub(super) fn announcer(&self) -> &Announcer {
        &self.announcer
    }

    /// Sends the next probe if it is due. Returns when to call again, or `None` if no host has
    /// answered all probes.
    pub(super) fn probe(&mut self, addresses: &[IpAddr], now: Instant) -> Option<Instant> {
        if now < self.next {
            return Some(self.next);
        }
        if self.sent == PROBES {
            return None;
        }

        for address in addresses {
            if let Err(error) = self.announcer.probe(*address) {
                tracing::debug!(%error, %address, "Cannot probe for a virtual address");
            }
        }
        self.sent += 1;
        self.next = now + INTERVAL;
        Some(self.next)
    }

    pub(super) fn into_parts(self) -> (Interface, Announcer) {
        (self.interface, self.announcer)
    }
}
