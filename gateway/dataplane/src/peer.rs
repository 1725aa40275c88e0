//! [`Peer`]: what the data plane keeps of a peer across its sessions: what was counted, how large a packet
//! may be on the way to it, and how much it may cause. Nothing here locks.

use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::budget::Budget;
use crate::counters::Counters;

/// What every path should carry (RFC 8200, section 5): the path MTU until another is known.
const BASE: u16 = 1280;

const SECOND: Duration = Duration::from_secs(1);

/// Echoes a second to one peer: more than liveness, challenges and path MTU ever ask for.
const ECHOES_PER_SECOND: u64 = 128;

/// Echoes a second from one peer that the control plane hears of: as many as it would ask for.
const HEARD_PER_SECOND: u64 = 128;

/// One other gateway, shared by all its sessions.
pub struct Peer {
    counters: Counters,
    path_mtu: AtomicU16,
    echoes: Budget,
    heard: Budget,
}

impl Peer {
    /// A peer of whom nothing is known yet.
    pub fn new() -> Peer {
        Peer {
            counters: Counters::new(),
            path_mtu: AtomicU16::new(BASE),
            echoes: Budget::new(ECHOES_PER_SECOND, SECOND),
            heard: Budget::new(HEARD_PER_SECOND, SECOND),
        }
    }

    /// Its counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Bytes of the largest outer IP packet that reaches the peer whole; 1280 until another is set.
    pub fn path_mtu(&self) -> u16 {
        self.path_mtu.load(Relaxed)
    }

    /// From the next packet on, outer packets of up to `size` bytes are sent whole.
    pub fn set_path_mtu(&self, size: u16) {
        self.path_mtu.store(size, Relaxed);
    }

    /// True if one more of its probes may be echoed this second.
    pub(crate) fn may_echo(&self, now: Instant) -> bool {
        self.echoes.take(now)
    }

    /// True if one more of its echoes may be reported this second.
    pub(crate) fn may_be_heard(&self, now: Instant) -> bool {
        self.heard.take(now)
    }
}

impl Default for Peer {
    fn default() -> Peer {
        Peer::new()
    }
}
