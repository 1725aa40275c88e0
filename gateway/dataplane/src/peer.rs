//! [`Peer`]: the state of a peer that outlives its sessions: counters, the path MTU, and the limits
//! on the work that the peer may cause. Uses no locks.

use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::budget::Budget;
use crate::counters::Counters;

/// The smallest MTU that IPv6 allows (RFC 8200, section 5), and the path MTU until another is
/// known.
pub(crate) const MIN_MTU: u16 = 1280;

const SECOND: Duration = Duration::from_secs(1);

/// Echoes per second to one peer, and from one peer to the control plane: more than liveness,
/// challenges and path MTU discovery ever ask for.
const ECHOES_PER_SECOND: u64 = 128;

/// Answers in a second to what the policy rejects of it.
const REJECTIONS_PER_SECOND: u64 = 128;

/// Packets of flow records in a second: a full table and what appears meanwhile.
const FLOWS_PER_SECOND: u64 = 8192;

/// Packets of it that no flow here knows, handed to another gateway of our site in a second; and
/// those of another gateway of our site that are looked at.
const HANDED_PER_SECOND: u64 = 4096;

/// SYNs that were held for the peer and are sent to it when it is back: 1,000 a second, evenly.
const HELD_SYNS: u64 = 10;
const HELD_SYNS_SPAN: Duration = Duration::from_millis(10);

/// One other gateway, shared by all its sessions. It outlives them, and the threads.
pub struct Peer {
    counters: Counters,
    path_mtu: AtomicU16,
    echoes: Budget,
    reported_echoes: Budget,
    flows: Budget,
    handed: Budget,
    rejections: Budget,
    held_syns: Budget,
}

impl Peer {
    /// A peer with counters at zero and a path MTU of 1280.
    pub fn new() -> Peer {
        Peer {
            counters: Counters::new(),
            path_mtu: AtomicU16::new(MIN_MTU),
            echoes: Budget::new(ECHOES_PER_SECOND, SECOND),
            reported_echoes: Budget::new(ECHOES_PER_SECOND, SECOND),
            flows: Budget::new(FLOWS_PER_SECOND, SECOND),
            handed: Budget::new(HANDED_PER_SECOND, SECOND),
            rejections: Budget::new(REJECTIONS_PER_SECOND, SECOND),
            held_syns: Budget::new(HELD_SYNS, HELD_SYNS_SPAN),
        }
    }

    /// What was sent to it, received from it and dropped.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Bytes of the largest outer IP packet that reaches the peer whole.
    pub fn path_mtu(&self) -> u16 {
        self.path_mtu.load(Relaxed)
    }

    /// From the next packet on, outer packets of up to `size` bytes are sent whole.
    pub fn set_path_mtu(&self, size: u16) {
        self.path_mtu.store(size, Relaxed);
    }

    /// True if one more of its probes may be echoed in this second.
    pub(crate) fn may_echo(&self, now: Instant) -> bool {
        self.echoes.take(now)
    }

    /// True if one more packet that the policy rejects may be answered in this second.
    pub(crate) fn may_reject(&self, now: Instant) -> bool {
        self.rejections.take(now)
    }

    /// True if one more of its packets of flow records may be read in this second.
    pub(crate) fn may_tell_flows(&self, now: Instant) -> bool {
        self.flows.take(now)
    }

    /// True if one more of its packets may be handed over, or was by it, in this second.
    pub(crate) fn may_hand_over(&self, now: Instant) -> bool {
        self.handed.take(now)
    }

    /// True if one more SYN that was held for it may be sent now.
    pub(crate) fn may_send_held_syn(&self, now: Instant) -> bool {
        self.held_syns.take(now)
    }

    /// True if one more of its echoes may be reported in this second.
    pub(crate) fn may_report_echo(&self, now: Instant) -> bool {
        self.reported_echoes.take(now)
    }
}

impl Default for Peer {
    fn default() -> Peer {
        Peer::new()
    }
}
