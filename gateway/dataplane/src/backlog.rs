//! [`Backlog`]: super-packets that wait to be sealed, and which packets may overtake them.
//!
//! To send one super-packet takes as long as to send dozens of packets. A ping, a handshake or a
//! heartbeat of Raft must not wait behind all super-packets of a saturating stream. So the TUN
//! device is emptied first, super-packets are queued here, in order, and small packets go at once.
//!
//! ```text
//!  vacant ─► written ─► accept ─┬─ a super-packet, or its flow waits ─► queued ─► next
//!                               └─ otherwise: sent now
//! ```
//! Flows stay in order. The queue is bounded: when it is full, the rest stays in the device's
//! queue.

mod flow_key;

use std::collections::VecDeque;

use self::flow_key::FlowKey;
use crate::offload::{self, OFFLOAD_LEN};
use crate::tun::MAX_READ;

/// Packets that may wait. Of super-packets these are 8 MiB, more than one stream with Linux's
/// default buffers has in flight.
const MAX_WAITING: usize = 128;

/// What becomes of a packet that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision<'a> {
    /// No packet that waits comes before it.
    SendNow(&'a mut [u8]),
    /// It waits for its turn.
    Queued,
}

/// A packet in its slot.
struct Waiting {
    slot: usize,
    len: usize,
    /// `None` if it is no IP packet.
    flow: Option<FlowKey>,
}

/// Packets that were read, each with its offload header, in slots that are reused.
pub(crate) struct Backlog {
    slots: Vec<Box<[u8]>>,
    waiting: VecDeque<Waiting>,
    /// Slots that hold nothing. The one that was used last is on top: it is still in the CPU's
    /// cache.
    free: Vec<usize>,
}

impl Backlog {
    /// An empty backlog with one slot. More are allocated when packets wait.
    pub(crate) fn new() -> Backlog {
        Backlog {
            slots: vec![slot()],
            waiting: VecDeque::new(),
            free: vec![0],
        }
    }

    /// True if nothing may be read before [`Backlog::next`] has freed a slot.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() == MAX_WAITING
    }

    /// The slot that the next packet is read into.
    pub(crate) fn vacant(&mut self) -> &mut [u8] {
        let slot = self.vacant_slot();
        &mut self.slots[slot]
    }

    /// Decides on the `len` bytes that [`Backlog::vacant`] was filled with.
    pub(crate) fn accept(&mut self, len: usize) -> Decision<'_> {
        let slot = self.vacant_slot();
        let read = &self.slots[slot][..len];
        if !self.must_wait(read) {
            return Decision::SendNow(&mut self.slots[slot][..len]);
        }

        let flow = flow_of(read);
        // Only now: a packet that is sent at once leaves its slot free.
        self.free.pop();
        self.waiting.push_back(Waiting { slot, len, flow });
        Decision::Queued
    }

    fn must_wait(&self, read: &[u8]) -> bool {
        if offload::is_super_packet(read) {
            return true;
        }

        if self.waiting.is_empty() {
            return false;
        }

        // Malformed packets belong to no flow: the sealer counts them at once.
        let Some(flow) = flow_of(read) else {
            return false;
        };

        self.waiting
            .iter()
            .filter_map(|waiting| waiting.flow.as_ref())
            .any(|waiting| waiting.may_match(&flow))
    }

    fn vacant_slot(&mut self) -> usize {
        if self.free.is_empty() {
            self.free.push(self.slots.len());
            self.slots.push(slot());
        }
        self.free[self.free.len() - 1]
    }

    /// The packet that has waited longest. It is valid until the next call of any method.
    pub(crate) fn next(&mut self) -> Option<&mut [u8]> {
        let Waiting { slot, len, .. } = self.waiting.pop_front()?;
        self.free.push(slot);
        Some(&mut self.slots[slot][..len])
    }
}

fn flow_of(read: &[u8]) -> Option<FlowKey> {
    read.get(OFFLOAD_LEN..).and_then(FlowKey::of)
}

fn slot() -> Box<[u8]> {
    vec![0; MAX_READ].into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::craft::Shape;
    use crate::offload::{Gso, GsoType, Offload};

    fn shape(port: u16) -> Shape {
        Shape {
            v6: false,
            tcp: true,
            options: Vec::new(),
            flags: 0x10,
            sequence: 1,
            id: 1,
            dont_fragment: true,
            traffic_class: 0,
            port,
        }
    }

    /// What a read gives: a packet of the flow of `port`, with `count` segments of 100 bytes.
    fn read(port: u16, count: usize) -> Vec<u8> {
        let gso = Gso {
            kind: GsoType::TcpV4,
            header_len: 40,
            size: 100,
        };
        let offload = Offload {
            checksum: None,
            gso: (count > 1).then_some(gso),
        };
        [
            &offload.encode()[..],
            &shape(port).packet(&vec![7; 100 * count]),
        ]
        .concat()
    }

    fn put<'a>(backlog: &'a mut Backlog, bytes: &[u8]) -> Decision<'a> {
        backlog.vacant()[..bytes.len()].copy_from_slice(bytes);
        backlog.accept(bytes.len())
    }

    #[test]
    fn small_packets_overtake_super_packets_of_other_flows_only() {
        let mut backlog = Backlog::new();
        assert_eq!(
            put(&mut backlog, &read(1, 1)),
            Decision::SendNow(&mut read(1, 1)[..]),
            "nothing waits"
        );
        assert_eq!(put(&mut backlog, &read(1, 9)), Decision::Queued);
        assert_eq!(
            put(&mut backlog, &read(2, 1)),
            Decision::SendNow(&mut read(2, 1)[..])
        );
        assert_eq!(
            put(&mut backlog, &read(1, 1)),
            Decision::Queued,
            "its flow waits"
        );
        assert_eq!(put(&mut backlog, &read(2, 5)), Decision::Queued);
        assert_eq!(put(&mut backlog, &read(2, 1)), Decision::Queued);
        for (port, count) in [(1, 9), (1, 1), (2, 5), (2, 1)] {
            assert_eq!(
                backlog.next().unwrap(),
                read(port, count),
                "in the order they came"
            );
        }
        assert!(backlog.next().is_none());
    }

    #[test]
    fn bytes_that_are_no_packet_never_wait() {
        let mut backlog = Backlog::new();
        assert_eq!(put(&mut backlog, &read(1, 9)), Decision::Queued);
        for len in 0..=OFFLOAD_LEN + 8 {
            assert_eq!(
                put(&mut backlog, &vec![0; len]),
                Decision::SendNow(&mut vec![0; len][..])
            );
        }
    }

    #[test]
    fn the_backlog_is_bounded_and_reuses_its_slots() {
        let mut backlog = Backlog::new();
        for _ in 0..MAX_WAITING {
            assert!(!backlog.is_full());
            assert!(matches!(
                put(&mut backlog, &read(2, 1)),
                Decision::SendNow(_)
            ));
            assert_eq!(put(&mut backlog, &read(1, 2)), Decision::Queued);
        }
        assert!(backlog.is_full());
        assert_eq!(backlog.next().unwrap(), read(1, 2));
        assert!(!backlog.is_full());
        assert_eq!(put(&mut backlog, &read(1, 3)), Decision::Queued);
        assert_eq!(backlog.slots.len(), MAX_WAITING, "slots are reused");
    }
}
