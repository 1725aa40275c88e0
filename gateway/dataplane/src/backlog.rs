//! [`Backlog`]: super-packets that wait to be sealed, and who may go past them.
//!
//! To send one super-packet takes as long as to send dozens of packets. A ping, a handshake, a heartbeat of Raft
//! shall not wait behind all those of a saturating stream: the TUN device is emptied first, super-packets are
//! kept here, in order, and what is small goes at once.
//!
//! ```text
//!  vacant ─► written ─► accept ─┬─ a super-packet, or its flow waits ─► kept ─► next
//!                               └─ else: goes at once
//! ```
//! Flows stay in order. How long it can become is bounded: when it is full, the rest stays in the device's queue.

mod flow;

use std::collections::VecDeque;

use self::flow::Flow;
use crate::offload::{self, OFFLOAD_LEN};
use crate::tun::MAX_READ;

/// Packets that may wait: of super-packets 8 MiB, more than one stream of Linux's default buffers has under way.
const MOST: usize = 128;

/// What becomes of a packet that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate<'a> {
    /// Nothing that waits comes before it.
    Now(&'a mut [u8]),
    Kept,
}

/// A packet in its slot.
struct Waiting {
    slot: usize,
    len: usize,
    flow: Option<Flow>,
}

/// What was read, each with its offload header, in slots that are used again.
pub(crate) struct Backlog {
    slots: Vec<Box<[u8]>>,
    waiting: VecDeque<Waiting>,
    /// Slots that hold nothing, the last used on top: it is still in the CPU's cache.
    free: Vec<usize>,
}

impl Backlog {
    /// No memory is taken before something waits.
    pub(crate) fn new() -> Backlog {
        Backlog {
            slots: vec![slot()],
            waiting: VecDeque::new(),
            free: vec![0],
        }
    }

    /// True if nothing may be read before [`Backlog::next`] has made room.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() == MOST
    }

    /// Where the next packet is to be read.
    pub(crate) fn vacant(&mut self) -> &mut [u8] {
        let slot = self.vacant_slot();
        &mut self.slots[slot]
    }

    /// Decides on the `len` bytes that [`Backlog::vacant`] was filled with.
    pub(crate) fn accept(&mut self, len: usize) -> Fate<'_> {
        let slot = self.vacant_slot();
        let read = &self.slots[slot][..len];
        if !self.must_wait(read) {
            return Fate::Now(&mut self.slots[slot][..len]);
        }
        let flow = flow_of(read);
        self.free.pop();
        self.waiting.push_back(Waiting { slot, len, flow });
        Fate::Kept
    }

    fn must_wait(&self, read: &[u8]) -> bool {
        if offload::is_super(read) || self.waiting.is_empty() {
            return offload::is_super(read);
        }
        let flow = flow_of(read);
        self.waiting
            .iter()
            .any(|other| comes_before(other.flow.as_ref(), flow.as_ref()))
    }

    fn vacant_slot(&mut self) -> usize {
        if self.free.is_empty() {
            self.free.push(self.slots.len());
            self.slots.push(slot());
        }
        self.free[self.free.len() - 1]
    }

    /// The packet that has waited longest. It is gone with the next call of any method.
    pub(crate) fn next(&mut self) -> Option<&mut [u8]> {
        let Waiting { slot, len, .. } = self.waiting.pop_front()?;
        self.free.push(slot);
        Some(&mut self.slots[slot][..len])
    }
}

fn flow_of(read: &[u8]) -> Option<Flow> {
    read.get(OFFLOAD_LEN..).and_then(Flow::of)
}

/// True if a packet must not overtake one that waits. What is no IP packet belongs to nobody's flow.
fn comes_before(waiting: Option<&Flow>, packet: Option<&Flow>) -> bool {
    waiting
        .zip(packet)
        .is_some_and(|(waiting, packet)| waiting.may_be_of(packet))
}

fn slot() -> Box<[u8]> {
    vec![0; MAX_READ].into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::craft::Shape;
    use crate::offload::{Cut, Offload, Pieces};

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

    /// What a read gives: a packet of the flow of `port`, `count` pieces of 100 bytes.
    fn read(port: u16, count: usize) -> Vec<u8> {
        let cut = Cut {
            pieces: Pieces::TcpV4,
            header_len: 40,
            size: 100,
        };
        let offload = Offload {
            checksum: None,
            cut: (count > 1).then_some(cut),
        };
        [
            &offload.encode()[..],
            &shape(port).packet(&vec![7; 100 * count]),
        ]
        .concat()
    }

    fn put<'a>(backlog: &'a mut Backlog, bytes: &[u8]) -> Fate<'a> {
        backlog.vacant()[..bytes.len()].copy_from_slice(bytes);
        backlog.accept(bytes.len())
    }

    #[test]
    fn small_packets_go_past_the_super_packets_of_other_flows_only() {
        let mut backlog = Backlog::new();
        assert_eq!(
            put(&mut backlog, &read(1, 1)),
            Fate::Now(&mut read(1, 1)[..]),
            "nothing waits"
        );
        assert_eq!(put(&mut backlog, &read(1, 9)), Fate::Kept);
        assert_eq!(
            put(&mut backlog, &read(2, 1)),
            Fate::Now(&mut read(2, 1)[..])
        );
        assert_eq!(put(&mut backlog, &read(1, 1)), Fate::Kept, "its flow waits");
        assert_eq!(put(&mut backlog, &read(2, 5)), Fate::Kept);
        assert_eq!(put(&mut backlog, &read(2, 1)), Fate::Kept);
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
    fn what_is_no_packet_waits_for_nobody() {
        let mut backlog = Backlog::new();
        assert_eq!(put(&mut backlog, &read(1, 9)), Fate::Kept);
        for len in 0..=OFFLOAD_LEN + 8 {
            assert_eq!(
                put(&mut backlog, &vec![0; len]),
                Fate::Now(&mut vec![0; len][..])
            );
        }
    }

    #[test]
    fn it_is_bounded_and_uses_its_slots_again() {
        let mut backlog = Backlog::new();
        for _ in 0..MOST {
            assert!(!backlog.is_full());
            assert!(matches!(put(&mut backlog, &read(2, 1)), Fate::Now(_)));
            assert_eq!(put(&mut backlog, &read(1, 2)), Fate::Kept);
        }
        assert!(backlog.is_full());
        assert_eq!(backlog.next().unwrap(), read(1, 2));
        assert!(!backlog.is_full());
        assert_eq!(put(&mut backlog, &read(1, 3)), Fate::Kept);
        assert_eq!(backlog.slots.len(), MOST, "slots are used again");
    }
}
