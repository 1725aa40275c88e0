//! [`Pipe`]: one direction of the link, on virtual time. Pure.
//!
//! ```text
//!   handle ──► lost? ──► forged? corrupted? ──► copied? ──► bottleneck ──► delay ──► in flight ──► poll
//! ```
//! Packets leave in the order in which they came, except those held back and copies that come later. All that
//! waits is in one heap, bounded by [`MOST_IN_FLIGHT`].

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

use super::bottleneck::Bottleneck;
use super::conditions::{Conditions, Share};
use super::counts::Counts;
use super::packet::{Packet, Side};
use super::rng::Rng;

/// Packets that may be on their way: 200 ms of two gigabits, and a copy of each.
pub const MOST_IN_FLIGHT: usize = 100_000;

/// A packet on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Flight {
    due: Duration,
    number: u64,
    packet: Packet,
}

impl Ord for Flight {
    fn cmp(&self, other: &Flight) -> Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl PartialOrd for Flight {
    fn partial_cmp(&self, other: &Flight) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One direction.
#[derive(Debug)]
pub struct Pipe {
    /// What it does; may change at any time.
    pub conditions: Conditions,
    /// What became of its packets.
    pub counts: Counts,
    rng: Rng,
    bottleneck: Bottleneck,
    flights: BinaryHeap<Reverse<Flight>>,
    number: u64,
    /// When the last packet is due that keeps its place.
    last: Duration,
}

impl Pipe {
    /// One that does nothing yet.
    pub fn new(seed: u64) -> Pipe {
        Pipe {
            conditions: Conditions::default(),
            counts: Counts::default(),
            rng: Rng::new(seed),
            bottleneck: Bottleneck::default(),
            flights: BinaryHeap::new(),
            number: 0,
            last: Duration::ZERO,
        }
    }

    /// A packet comes in.
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
        let held_back = self.rng.hits(share);
        if self.send(packet, now, if held_back { later } else { Duration::ZERO }) && held_back {
            self.counts.reordered += 1;
        }
    }

    /// The next packet that is due by `now`.
    pub fn poll(&mut self, now: Duration) -> Option<Packet> {
        self.poll_timeout().filter(|due| *due <= now)?;
        let Reverse(Flight { due, packet, .. }) = self.flights.pop()?;
        self.counts.delivered += 1;
        self.counts.bytes += packet.bytes().len() as u64;
        self.counts.late.add(now - due);
        Some(packet)
    }

    /// When the next packet is due.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.flights.peek().map(|Reverse(flight)| flight.due)
    }

    /// Packets that are on their way.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    fn forge(&mut self, packet: &mut Packet) {
        let (share, source) = self
            .conditions
            .forge
            .unwrap_or((Share::NONE, [0, 0, 0, 0].into()));
        if packet.is_v4() == source.is_ipv4() && self.rng.hits(share) {
            packet.readdress(Side::Source, source);
            self.counts.forged += 1;
        }
    }

    /// Puts a packet on its way; false if there was no room. One that comes `later` leaves its place to others.
    fn send(&mut self, packet: Packet, now: Duration, later: Duration) -> bool {
        if self.flights.len() == MOST_IN_FLIGHT {
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
        self.number += 1;
        self.flights.push(Reverse(Flight {
            due: due + later,
            number: self.number,
            packet,
        }));
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::conditions::Rate;
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

    /// Sends `count` packets, a millisecond apart, and returns when each came out.
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
    fn without_conditions_everything_passes_at_once_and_unchanged() {
        let (out, counts) = run(Conditions::default(), 1, 100);
        let expected: Vec<_> = (0..100)
            .map(|n| (Duration::from_millis(n.into()), numbered(n)))
            .collect();
        assert_eq!((out, counts.delivered), (expected, 100));
    }

    #[test]
    fn a_packet_is_never_early_and_by_jitter_alone_never_out_of_order() {
        let (delay, jitter) = (Duration::from_millis(50), Duration::from_millis(20));
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
            "jitter does something"
        );
    }

    #[test]
    fn packets_held_back_are_passed_and_come_all_the_same() {
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
    fn a_corrupt_packet_differs_and_its_checksum_does_not_tell() {
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
    fn a_forged_packet_comes_from_the_address_given() {
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
    fn the_heap_is_bounded() {
        let mut pipe = Pipe::new(6);
        pipe.conditions.delay = Duration::from_secs(1);
        (0..MOST_IN_FLIGHT as u32 + 5).for_each(|n| pipe.handle(numbered(n), Duration::ZERO));
        assert_eq!(
            (pipe.in_flight(), pipe.counts.overflow),
            (MOST_IN_FLIGHT, 5)
        );
    }

    proptest! {
        #[test]
        fn every_packet_is_accounted_for_and_a_seed_repeats(
            seed: u64, loss in 0u32..30, copies in 0u32..30, rate in proptest::option::of(100_000u64..2_000_000),
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
