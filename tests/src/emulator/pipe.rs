//! [`Pipe`]: one direction of the link, on virtual time. Pure.
//!
//! ```text
//!   handle ─► lost? ─► forged? corrupted? ─► duplicated? ─► bottleneck ─► delay ─► heap ─► poll
//! ```
//! Packets leave in the order in which they entered, except those that are held back and late
//! duplicates. All packets under way are in one heap. It holds at most [`MOST_IN_FLIGHT`]; further
//! packets are dropped and counted.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

use super::bottleneck::Bottleneck;
use super::conditions::Conditions;
use super::counts::Counts;
use super::packet::{Packet, Side};
use super::rng::Rng;

/// Most packets under way: those of 200 ms at two gigabits a second, and a duplicate of each.
pub const MOST_IN_FLIGHT: usize = 100_000;

/// A packet under way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct QueuedPacket {
    due: Duration,
    /// Position among the packets that are due at the same time.
    number: u64,
    packet: Packet,
}

impl Ord for QueuedPacket {
    fn cmp(&self, other: &QueuedPacket) -> Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl PartialOrd for QueuedPacket {
    fn partial_cmp(&self, other: &QueuedPacket) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One direction of the link.
#[derive(Debug)]
pub struct Pipe {
    /// What it does to packets. May be changed at any time; packets under way are not affected.
    pub conditions: Conditions,
    /// Numbers of its packets.
    pub counts: Counts,
    rng: Rng,
    bottleneck: Bottleneck,
    queue: BinaryHeap<Reverse<QueuedPacket>>,
    next_number: u64,
    /// When the last packet is due, of those that keep their order.
    last: Duration,
}

impl Pipe {
    /// A pipe without conditions.
    pub fn new(seed: u64) -> Pipe {
        Pipe {
            conditions: Conditions::default(),
            counts: Counts::default(),
            rng: Rng::new(seed),
            bottleneck: Bottleneck::default(),
            queue: BinaryHeap::new(),
            next_number: 0,
            last: Duration::ZERO,
        }
    }

    /// Takes a packet that enters `now`.
    pub fn handle(&mut self, mut packet: Packet, now: Duration) {
        if self.rng.hits(self.conditions.loss) {
            self.counts.lost += 1;
            return;
        }

        self.forge(&mut packet);
        if self.rng.hits(self.conditions.corrupt) && packet.flip(self.rng.next_u64()) {
            self.counts.corrupted += 1;
        }

        let (share, later) = self.conditions.duplicate;
        if self.rng.hits(share) && self.send(packet.clone(), now, later) {
            self.counts.duplicated += 1;
        }

        let (share, later) = self.conditions.reorder;
        if self.rng.hits(share) {
            if self.send(packet, now, later) {
                self.counts.reordered += 1;
            }
        } else {
            self.send(packet, now, Duration::ZERO);
        }
    }

    /// Returns the next packet that is due by `now`.
    pub fn poll(&mut self, now: Duration) -> Option<Packet> {
        self.poll_timeout().filter(|due| *due <= now)?;
        let Reverse(QueuedPacket { due, packet, .. }) = self.queue.pop()?;
        self.counts.delivered += 1;
        self.counts.bytes += packet.bytes().len() as u64;
        self.counts.late.add(now - due);
        Some(packet)
    }

    /// When the next packet is due; `None` if none is under way.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.queue.peek().map(|Reverse(queued)| queued.due)
    }

    /// Number of packets under way.
    pub fn in_flight(&self) -> usize {
        self.queue.len()
    }

    fn forge(&mut self, packet: &mut Packet) {
        let Some((share, source)) = self.conditions.forge else {
            return;
        };
        if packet.is_v4() == source.is_ipv4() && self.rng.hits(share) {
            packet.readdress(Side::Source, source);
            self.counts.forged += 1;
        }
    }

    /// Puts a packet into the heap; returns false if it was dropped. A packet that comes `later`
    /// does not delay those after it.
    fn send(&mut self, packet: Packet, now: Duration, later: Duration) -> bool {
        if self.queue.len() == MOST_IN_FLIGHT {
            self.counts.overflow += 1;
            return false;
        }

        let passed = match self.conditions.rate {
            Some(rate) => self.bottleneck.pass(rate, packet.bytes().len(), now),
            None => Some(now),
        };
        let Some(passed) = passed else {
            self.counts.queue_full += 1;
            return false;
        };

        let mut due = passed + self.conditions.delay + self.rng.within(self.conditions.jitter);
        if later == Duration::ZERO {
            due = due.max(self.last);
            self.last = due;
        }
        self.queue.push(Reverse(QueuedPacket {
            due: due + later,
            number: self.next_number,
            packet,
        }));
        self.next_number += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::conditions::{Rate, Share};
    use super::super::packet::tests::{is_sound, udp};
    use super::*;

    fn numbered(number: u32) -> Packet {
        udp(
            "192.0.2.1:1",
            "192.0.2.2:2",
            &[&number.to_be_bytes()[..], &[0; 96]].concat(),
        )
    }

    fn number(packet: &Packet) -> u32 {
        u32::from_be_bytes(packet.bytes()[28..32].try_into().unwrap())
    }

    /// Sends `count` packets, a millisecond apart, and returns when each left.
    fn run(conditions: Conditions, seed: u64, count: u32) -> (Vec<(Duration, Packet)>, Counts) {
        let mut pipe = Pipe::new(seed);
        pipe.conditions = conditions;
        let mut out = Vec::new();
        let mut drain = |pipe: &mut Pipe, now: Duration| {
            while let Some(due) = pipe.poll_timeout().filter(|due| *due <= now) {
                out.push((due, pipe.poll(due).expect("it is due")));
            }
        };
        for n in 0..count {
            let now = Duration::from_millis(n.into());
            drain(&mut pipe, now);
            pipe.handle(numbered(n), now);
        }
        drain(&mut pipe, Duration::MAX);
        (out, pipe.counts)
    }

    fn share(text: &str) -> Share {
        text.parse().unwrap()
    }

    #[test]
    fn without_conditions_every_packet_passes_at_once_and_unchanged() {
        let (out, counts) = run(Conditions::default(), 1, 100);
        let expected: Vec<_> = (0..100)
            .map(|n| (Duration::from_millis(n.into()), numbered(n)))
            .collect();
        assert_eq!(out, expected);
        assert_eq!(counts.delivered, 100);
    }

    #[test]
    fn a_packet_is_never_early_and_jitter_does_not_change_the_order() {
        let delay = Duration::from_millis(50);
        let jitter = Duration::from_millis(20);
        let (out, _) = run(
            Conditions {
                delay,
                jitter,
                ..Conditions::default()
            },
            2,
            1000,
        );
        assert!(
            out.windows(2)
                .all(|pair| number(&pair[0].1) < number(&pair[1].1))
        );
        let extra: Vec<_> = out
            .iter()
            .map(|(due, packet)| *due - delay - Duration::from_millis(number(packet).into()))
            .collect();
        assert!(extra.iter().all(|extra| *extra <= jitter));
        assert!(
            extra.iter().any(|extra| *extra > jitter / 2),
            "there is no jitter"
        );
    }

    #[test]
    fn packets_that_are_held_back_are_overtaken_and_arrive() {
        let reorder = (share("10%"), Duration::from_millis(5));
        let (out, counts) = run(
            Conditions {
                reorder,
                ..Conditions::default()
            },
            3,
            1000,
        );
        let late = out
            .windows(2)
            .filter(|pair| number(&pair[0].1) > number(&pair[1].1))
            .count() as u64;
        assert!(
            out.len() == 1000 && late > 50 && late <= counts.reordered,
            "{late} of {}",
            counts.reordered
        );
    }

    #[test]
    fn a_corrupted_packet_differs_and_its_checksums_are_right() {
        let (out, counts) = run(
            Conditions {
                corrupt: share("20%"),
                ..Conditions::default()
            },
            4,
            1000,
        );
        let sent: Vec<_> = (0..1000).map(numbered).collect();
        let changed = out
            .iter()
            .zip(&sent)
            .filter(|((_, packet), sent)| packet != *sent)
            .count() as u64;
        assert!(changed == counts.corrupted && changed > 100);
        assert!(out.iter().all(|(_, packet)| is_sound(packet)));
    }

    #[test]
    fn a_forged_packet_has_the_given_source_address() {
        let forged = "198.51.100.66".parse().unwrap();
        let (out, counts) = run(
            Conditions {
                forge: Some((share("50%"), forged)),
                ..Conditions::default()
            },
            5,
            100,
        );
        let seen = out
            .iter()
            .filter(|(_, packet)| packet.address(Side::Source) == forged)
            .count() as u64;
        assert!(seen == counts.forged && (20..80).contains(&seen));
        assert!(out.iter().all(|(_, packet)| is_sound(packet)));
    }

    #[test]
    fn packets_beyond_the_bound_of_the_heap_are_dropped_and_counted() {
        let mut pipe = Pipe::new(6);
        pipe.conditions.delay = Duration::from_secs(1);
        for n in 0..MOST_IN_FLIGHT as u32 + 5 {
            pipe.handle(numbered(n), Duration::ZERO);
        }
        assert_eq!(pipe.in_flight(), MOST_IN_FLIGHT);
        assert_eq!(pipe.counts.overflow, 5);
    }

    proptest! {
        #[test]
    fn every_packet_is_counted_and_the_same_seed_gives_the_same_result(
            seed: u64,
            loss in 0u32..30,
            copies in 0u32..30,
            rate in proptest::option::of(100_000u64..2_000_000),
        ) {
            let conditions = Conditions {
                loss: share(&format!("{loss}%")),
                duplicate: (share(&format!("{copies}%")), Duration::from_millis(7)),
                delay: Duration::from_millis(30),
                rate: rate.map(|bits| Rate { bits, queue: 3000 }),
                ..Conditions::default()
            };
            let (out, counts) = run(conditions.clone(), seed, 300);
            prop_assert_eq!(out.len() as u64, counts.delivered);
            prop_assert!(counts.delivered + counts.lost + counts.queue_full >= 300);
            if rate.is_none() {
                prop_assert_eq!(counts.delivered, 300 - counts.lost + counts.duplicated);
            }
            prop_assert_eq!(run(conditions, seed, 300), (out, counts));
        }
    }
}
