//! [`Counters`]: packets that were sent, received and dropped. Numbers only, added to without
//! locks.
//!
//! There is one for each peer and one for the gateway. Every packet is counted once: at the peer if
//! its session tells which peer it is, otherwise at the gateway. The gateway's crate reads and
//! labels them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a packet was dropped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl DropReason {
            /// Every reason, in the order of the variants.
            pub const ALL: &[DropReason] = &[$(DropReason::$variant),+];

            /// The name in metrics and `status`: lowercase with underscores.
            pub fn name(self) -> &'static str {
                match self {
                    $(DropReason::$variant => $name,)+
                }
            }
        }
    };
}

reasons! {
    /// Received: shorter than a header and a tag.
    Short = "short",
    /// Received: a packet type that this version does not know.
    UnknownType = "unknown_type",
    /// Received: a flag or reserved bit that this version does not know.
    UnknownFlags = "unknown_flags",
    /// Received: no session has this index. Never answered.
    UnknownIndex = "unknown_index",
    /// Received: from another address than the peer's, beyond the small budget for such packets.
    OffPath = "off_path",
    /// Received: the phase does not belong to the packet number, or its key is not held.
    Phase = "phase",
    /// Received: the packet number was seen before or is too old to tell.
    Replay = "replay",
    /// Received: the AEAD refused it.
    Auth = "auth",
    /// Either direction: the IP header contradicts itself or the length, or a probe is malformed.
    Malformed = "malformed",
    /// Either direction: an IP option or extension header that could lead past the checks, such as
    /// a source route.
    Options = "options",
    /// Received: the source is not authorized for the site of the sending gateway.
    Source = "source",
    /// Received: the destination is not this site's.
    Destination = "destination",
    /// Either direction: from an attached node to another one, and they may not reach each other.
    Isolated = "isolated",
    /// Either direction: the policy does not let it pass. The filter counts by its own reasons.
    Denied = "denied",
    /// Received: the network has marked congestion on a packet whose ends cannot be told of it (RFC
    /// 6040, section 4.2).
    Congestion = "congestion",
    /// Received: the TUN device refused the packet.
    TunWrite = "tun_write",
    /// Received: more probes or echoes than the budget of the peer allows.
    EchoLimit = "echo_limit",
    /// Received: records of flows from a gateway of another site, about hosts that are not this
    /// site's, or more than the budget of the peer allows.
    FlowRecords = "flow_records",
    /// Received: a packet that was handed over by a gateway of another site, or one more than the
    /// budget of the peer allows.
    HandedOver = "handed_over",
    /// Received: the queue to QUIC was full.
    QuicQueueFull = "quic_queue_full",
    /// Received: the queue of events to the control plane was full.
    EventQueueFull = "event_queue_full",
    /// Received: the kernel dropped datagrams because the tunnel socket's buffer was full.
    SocketQueue = "socket_queue",
    /// Sending: the kernel dropped packets because the TUN device's queue was full.
    TunQueue = "tun_queue",
    /// Received: the kernel dropped packets behind the TUN device.
    TunInput = "tun_input",
    /// Sending: the source is not this site's.
    OwnSource = "own_source",
    /// Sending: no tunnel leads to the destination.
    NoRoute = "no_route",
    /// Sending: the session has used up its packet numbers.
    Exhausted = "exhausted",
    /// Sending: longer than a buffer, or than the path takes.
    TooBig = "too_big",
    /// Sending: the socket had no room for seconds, or the device below it had none.
    SocketFull = "socket_full",
    /// Sending: the kernel has no route to the peer's address, or forbids the packet.
    Unreachable = "unreachable",
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for DropReason {}

/// Packets, bytes and drops of one peer or of the gateway.
#[derive(Debug, Default)]
pub struct Counters {
    tx_packets: AtomicU64,
    tx_bytes: AtomicU64,
    rx_packets: AtomicU64,
    rx_bytes: AtomicU64,
    handed_over: AtomicU64,
    drops: [AtomicU64; DropReason::ALL.len()],
}

impl Counters {
    /// All zero.
    pub fn new() -> Counters {
        Counters::default()
    }

    /// The current numbers. Each is exact; they are not of one instant.
    pub fn snapshot(&self) -> Counts {
        Counts {
            tx_packets: self.tx_packets.load(Relaxed),
            tx_bytes: self.tx_bytes.load(Relaxed),
            rx_packets: self.rx_packets.load(Relaxed),
            rx_bytes: self.rx_bytes.load(Relaxed),
            handed_over: self.handed_over.load(Relaxed),
            drops: std::array::from_fn(|i| self.drops[i].load(Relaxed)),
        }
    }

    /// Counts `packets` drops.
    pub fn drop_packets(&self, reason: DropReason, packets: usize) {
        self.drops[reason as usize].fetch_add(packets as u64, Relaxed);
    }

    /// Counts one drop.
    pub fn drop_packet(&self, reason: DropReason) {
        self.drop_packets(reason, 1);
    }

    pub(crate) fn sent(&self, packets: usize, bytes: usize) {
        self.tx_packets.fetch_add(packets as u64, Relaxed);
        self.tx_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.rx_packets.fetch_add(1, Relaxed);
        self.rx_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn handed_over(&self) {
        self.handed_over.fetch_add(1, Relaxed);
    }
}

/// The numbers of a [`Counters`] at one time. Packets and bytes are inner IP packets, delivered to
/// the socket or admitted for the TUN device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// IP packets sealed and sent.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// IP packets opened and admitted.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Packets of it that belong to no flow known here, and that another gateway of our site was
    /// given. That one counts what becomes of them.
    pub handed_over: u64,
    drops: [u64; DropReason::ALL.len()],
}

impl Counts {
    /// Drops for one reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }

    /// Every reason with its count, zeros included.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL
            .iter()
            .map(|reason| (*reason, self.dropped(*reason)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_reason_is_counted_alone_under_its_own_name() {
        let counters = Counters::new();
        for (i, reason) in DropReason::ALL.iter().enumerate() {
            counters.drop_packets(*reason, i + 1);
        }
        let counts: Vec<u64> = counters.snapshot().drops().map(|(_, n)| n).collect();
        assert_eq!(
            counts,
            (1..=DropReason::ALL.len() as u64).collect::<Vec<_>>()
        );
        let names: BTreeSet<&str> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), DropReason::ALL.len());
    }
}
