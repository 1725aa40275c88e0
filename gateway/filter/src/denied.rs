//! [`DeniedPacket`] and [`DeniedRing`]: the last packets that were denied, for `status` and
//! `policy denied`.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use ringway_config::OrgId;

use crate::MOST_DENIED_KEPT;
use crate::clock::Tick;
use crate::rules::Rules;
use crate::verdict::Reason;

/// A packet that was dropped by the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeniedPacket {
    /// Counts up by one for each packet that is kept, so that a reader sees what is new.
    pub number: u64,
    /// When.
    pub at: Instant,
    /// Which way it went.
    pub direction: Direction,
    /// The organization at the far end; `None` if no rule's site holds the address.
    pub org: Option<OrgId>,
    /// Why.
    pub reason: Reason,
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// The IP protocol number, behind extension headers.
    pub protocol: u8,
    /// Source port of TCP and UDP; type of ICMP; else 0.
    pub source_port: u16,
    /// Destination port of TCP and UDP; code of ICMP; else 0.
    pub destination_port: u16,
}

/// Which way a packet went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Out of a tunnel.
    Arriving,
    /// Into a tunnel.
    Leaving,
}

/// The last denied packets. Only packets that are dropped come here, and none waits: one that finds
/// the ring in use is not kept. In a flood, those of a tick that come after a ring of them are not
/// kept either.
pub(crate) struct DeniedRing {
    kept: Mutex<Kept>,
    /// The last tick, and above it how many packets came in it.
    recent: AtomicU64,
}

struct Kept {
    next: u64,
    packets: VecDeque<Denied>,
}

/// A packet as the ring has it: without what must be allocated.
#[derive(Clone, Copy)]
pub(crate) struct Denied {
    pub(crate) at: Instant,
    pub(crate) direction: Direction,
    /// The site's number.
    pub(crate) site: Option<u32>,
    pub(crate) reason: Reason,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) ports: (u16, u16),
}

impl Denied {
    /// The packet as others see it.
    pub(crate) fn packet(&self, number: u64, rules: &Rules) -> DeniedPacket {
        let site = self.site.and_then(|site| rules.site(site));
        DeniedPacket {
            number,
            at: self.at,
            direction: self.direction,
            org: site.map(|site| rules.org_of(site).clone()),
            reason: self.reason,
            source: self.source,
            destination: self.destination,
            protocol: self.protocol,
            source_port: self.ports.0,
            destination_port: self.ports.1,
        }
    }
}

impl DeniedRing {
    pub(crate) fn new() -> DeniedRing {
        DeniedRing {
            kept: Mutex::new(Kept {
                next: 0,
                packets: VecDeque::with_capacity(MOST_DENIED_KEPT),
            }),
            recent: AtomicU64::new(0),
        }
    }

    /// True if a packet of this tick is to be kept.
    #[inline]
    pub(crate) fn takes_at(&self, now: Tick) -> bool {
        const ONE: u64 = 1 << 32;

        let recent = self.recent.load(Relaxed);
        let before = if recent as Tick == now {
            recent
        } else {
            now.into()
        };
        if before >> 32 >= MOST_DENIED_KEPT as u64 {
            return false;
        }

        // Two threads that count at once count one packet: then one more is kept.
        self.recent.store(before + ONE, Relaxed);
        true
    }

    pub(crate) fn push(&self, denied: Denied) {
        // This is for reports only: no packet waits for one that is being made.
        let Ok(mut kept) = self.kept.try_lock() else {
            return;
        };

        if kept.packets.len() == MOST_DENIED_KEPT {
            kept.packets.pop_front();
        }
        kept.packets.push_back(denied);
        kept.next += 1;
    }

    /// The packets, the oldest first, with their numbers.
    pub(crate) fn packets(&self) -> Vec<(u64, Denied)> {
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let first = kept.next - kept.packets.len() as u64;

        let numbered = kept.packets.iter().enumerate();
        numbered
            .map(|(index, denied)| (first + index as u64, *denied))
            .collect()
    }
}
