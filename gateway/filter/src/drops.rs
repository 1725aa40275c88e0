//! [`Drops`]: dropped packets by reason, counted without an atomic exchange.
//!
//! Each packet thread has a lane of its own in which nobody else writes, so that a plain load and
//! store count exactly. An exchange would take an eighth of the time of a refused packet's verdict.
//! A lane that is given back keeps its numbers, and its next owner goes on from there.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::verdict::Reason;

/// Threads that can have a lane of their own at once; more share one.
const LANES: usize = 16;

type Numbers = [AtomicU64; Reason::ALL.len()];

pub(crate) struct Drops {
    lanes: [Lane; LANES],
    shared: Numbers,
}

/// Aligned so that no two threads write to one pair of cache lines.
#[repr(align(128))]
struct Lane {
    is_taken: AtomicBool,
    numbers: Numbers,
}

/// The right to count: in a lane that nobody else has, or in the shared numbers.
pub(crate) struct Counter {
    drops: Arc<Drops>,
    lane: Option<usize>,
}

impl Drops {
    pub(crate) fn new() -> Arc<Drops> {
        Arc::new(Drops {
            lanes: std::array::from_fn(|_| Lane {
                is_taken: AtomicBool::new(false),
                numbers: zeros(),
            }),
            shared: zeros(),
        })
    }

    /// The counter of one thread.
    pub(crate) fn counter(self: &Arc<Self>) -> Counter {
        // The numbers that the last owner wrote are seen by the next one.
        let is_ours = |lane: &Lane| {
            lane.is_taken
                .compare_exchange(false, true, Acquire, Relaxed)
                .is_ok()
        };

        Counter {
            lane: self.lanes.iter().position(is_ours),
            drops: self.clone(),
        }
    }

    /// Packets dropped for each reason.
    pub(crate) fn numbers(&self) -> [u64; Reason::ALL.len()] {
        let lanes = self.lanes.iter().map(|lane| &lane.numbers);
        let all = || lanes.clone().chain([&self.shared]);

        std::array::from_fn(|reason| all().map(|numbers| numbers[reason].load(Relaxed)).sum())
    }
}

impl Counter {
    #[inline]
    pub(crate) fn count(&mut self, reason: Reason) {
        let Some(lane) = self.lane else {
            self.drops.shared[reason as usize].fetch_add(1, Relaxed);
            return;
        };

        let number = &self.drops.lanes[lane].numbers[reason as usize];
        number.store(number.load(Relaxed) + 1, Relaxed);
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        if let Some(lane) = self.lane {
            self.drops.lanes[lane].is_taken.store(false, Release);
        }
    }
}

fn zeros() -> Numbers {
    std::array::from_fn(|_| AtomicU64::new(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_whoever_counts_and_however_many() {
        const THREADS: usize = LANES + 4;
        const EACH: u64 = 20_000;
        let drops = Drops::new();

        // Twice, so that lanes have a second owner.
        for round in 1..=2 {
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    let mut counter = drops.counter();
                    scope.spawn(move || {
                        for _ in 0..EACH {
                            counter.count(Reason::Denied);
                        }
                    });
                }
            });

            let counted = drops.numbers()[Reason::Denied as usize];
            assert_eq!(counted, round * THREADS as u64 * EACH);
        }
        assert_eq!(drops.numbers().iter().sum::<u64>(), 2 * 20_000 * 20);
    }

    #[test]
    fn a_lane_has_one_owner_at_a_time() {
        let drops = Drops::new();
        let counters: Vec<_> = (0..=LANES).map(|_| drops.counter()).collect();

        let mut lanes: Vec<_> = counters.iter().map(|counter| counter.lane).collect();
        assert_eq!(lanes.pop(), Some(None), "no lane is left");
        assert!(lanes.into_iter().eq((0..LANES).map(Some)));

        drop(counters);
        assert_eq!(drops.counter().lane, Some(0));
    }
}
