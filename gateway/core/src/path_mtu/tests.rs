//! The search on virtual time, over a path that silently drops packets that are too large.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::*;
use crate::rng::Rng;

/// A path to the peer and back.
struct Path {
    mtu: u16,
    /// Lost packets of a thousand, in either direction.
    loss: u64,
    /// Round trip.
    rtt: Duration,
}

struct Bench {
    search: PathMtu,
    path: Path,
    rng: Rng,
    now: Instant,
    /// When each echo arrives, and the number of its probe.
    echoes: BinaryHeap<Reverse<(Instant, u64)>>,
    last: u64,
    bytes: u64,
}

impl Bench {
    fn new(mtu: u16, loss: u64, rtt: Duration, seed: u64) -> Bench {
        let now = Instant::now();
        Bench {
            search: PathMtu::new(now),
            path: Path { mtu, loss, rtt },
            rng: Rng::new(seed),
            now,
            echoes: BinaryHeap::new(),
            last: 0,
            bytes: 0,
        }
    }

    /// Runs for `time` and returns the smallest and the largest size in use meanwhile.
    fn run(&mut self, time: Duration) -> (u16, u16) {
        let end = self.now + time;
        let mut least = self.search.size();
        let mut most = least;
        loop {
            let echo = self.echoes.peek().map(|Reverse((at, _))| *at);
            let next = echo
                .into_iter()
                .chain([self.search.deadline()])
                .min()
                .unwrap_or(end);
            if next > end {
                self.now = end;
                return (least, most);
            }
            self.now = next;
            match self.echoes.peek() {
                Some(Reverse((at, number))) if *at == next => {
                    self.search.echoed(*number, next);
                    self.echoes.pop();
                }
                _ => self.send(),
            }
            least = least.min(self.search.size());
            most = most.max(self.search.size());
        }
    }

    fn send(&mut self) {
        let last = &mut self.last;
        let number = || {
            *last += 1;
            *last
        };

        for probe in self.search.due_probes(number, self.now) {
            self.bytes += u64::from(probe.size.unwrap_or(76));
            let passes = probe.size.is_none_or(|size| size <= self.path.mtu);
            let lost = [(); 2]
                .iter()
                .any(|()| self.rng.next_u64() % 1000 < self.path.loss);
            if passes && !lost {
                self.echoes
                    .push(Reverse((self.now + self.path.rtt, probe.number)));
            }
        }
    }

    /// Runs until the size is `size`; returns how long that took.
    fn until(&mut self, size: u16) -> Duration {
        let start = self.now;
        while self.search.size() != size {
            self.run(Duration::from_millis(50));
            assert!(
                self.now - start < Duration::from_secs(60),
                "{} and not {size}",
                self.search.size()
            );
        }
        self.now - start
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const LAN: Duration = Duration::from_millis(1);

#[test]
fn finds_the_size_of_the_path_in_one_round_trip() {
    for (mtu, found) in [
        (1500, 1500),
        (1499, 1492),
        (1420, 1420),
        (1280, 1280),
        (1300, 1300),
        (9000, 1500),
    ] {
        let rtt = Duration::from_millis(80);
        let mut bench = Bench::new(mtu, 0, rtt, 1);
        bench.run(rtt);
        assert_eq!(bench.search.size(), found, "path of {mtu}");
        assert_eq!(bench.run(60 * MINUTE), (found, found), "and keeps it");
    }
}

#[test]
fn a_smaller_path_mtu_is_found_within_four_seconds_and_a_larger_one_within_eleven() {
    for rtt in [LAN, Duration::from_millis(200), Duration::from_millis(700)] {
        let mut bench = Bench::new(1500, 0, rtt, 1);
        bench.run(MINUTE + Duration::from_millis(1234));
        for (mtu, limit) in [
            (1420, 4),
            (1280, 4),
            (1380, 11),
            (1500, 11),
            (1280, 4),
            (1500, 11),
        ] {
            bench.path.mtu = mtu;
            let took = bench.until(mtu);
            assert!(
                took <= Duration::from_secs(limit) + 3 * rtt,
                "{mtu} after {took:?} at {rtt:?}"
            );
            bench.run(Duration::from_secs(17));
            assert_eq!(bench.search.size(), mtu);
        }
    }
}

#[test]
fn a_path_too_small_for_ipv6_is_used_as_it_is() {
    let mut bench = Bench::new(1240, 0, LAN, 1);
    bench.until(1228);
    assert_eq!(bench.run(10 * MINUTE), (1228, 1228));
    bench.path.mtu = 1500;
    bench.until(1500);
}

#[test]
fn a_path_that_is_down_keeps_its_size() {
    let mut bench = Bench::new(1500, 0, LAN, 1);
    bench.until(1500);
    bench.path.loss = 1000;
    assert_eq!(bench.run(MINUTE), (1500, 1500));
    bench.path.loss = 0;
    assert_eq!(bench.run(MINUTE), (1500, 1500));
}

#[test]
fn fifteen_percent_loss_for_ten_days_never_shrinks_a_path() {
    let mut bench = Bench::new(1420, 150, Duration::from_millis(30), 7);
    bench.until(1420);
    assert_eq!(bench.run(10 * 24 * 60 * MINUTE), (1420, 1420));
}

#[test]
fn a_changed_path_is_probed_at_once() {
    let mut bench = Bench::new(1500, 0, LAN, 1);
    bench.run(MINUTE);
    bench.path.mtu = 1280;
    bench.search.path_changed(bench.now);
    assert!(bench.until(1280) < Duration::from_millis(1200));
    bench.path.mtu = 1500;
    bench.search.path_changed(bench.now);
    assert!(bench.until(1500) < Duration::from_millis(100));
}

#[test]
fn an_idle_tunnel_costs_little() {
    for mtu in [1280, 1500] {
        let mut bench = Bench::new(mtu, 0, LAN, 1);
        bench.run(60 * MINUTE);
        let bits_a_second = bench.bytes * 8 / 3600;
        assert!(bits_a_second < 10_000, "{bits_a_second} bit/s at {mtu}");
    }
}

/// An MTU and for how many seconds the path has it.
fn change() -> impl Strategy<Value = (u16, u64)> {
    let mtu = prop_oneof![Just(1280u16), Just(1420), Just(1500), 1228u16..1600];
    (mtu, 15u64..90)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_path_does_its_size_is_found_and_never_exceeded_for_long(
        changes in proptest::collection::vec(change(), 1..12),
        loss in prop_oneof![Just(0u64), Just(150)],
        rtt in 1u64..900,
        seed: u64,
    ) {
        let mut bench = Bench::new(1500, loss, Duration::from_millis(rtt), seed);
        for (mtu, seconds) in changes {
            bench.path.mtu = mtu;
            bench.run(Duration::from_secs(seconds));
            // At 15 % loss, both of the doubt's round and the search's take longer.
            bench.run(MINUTE);
            let expected = SIZES.into_iter().rev().find(|size| *size <= mtu).unwrap_or(SMALLEST);
            prop_assert_eq!(bench.search.size(), expected, "path of {}", mtu);
        }
    }
}
