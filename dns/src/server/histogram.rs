//! [`Histogram`]: a distribution of durations, counted without locks.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::counters::Count;

/// Upper bounds of the buckets of a [`Histogram`], in microseconds.
pub const BUCKETS: [u64; 16] = [
    5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000,
    2_500_000, 5_000_000,
];

/// A distribution of durations over [`BUCKETS`].
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [Count; BUCKETS.len() + 1],
    /// Sum of all durations in microseconds.
    micros: AtomicU64,
}

impl Histogram {
    pub(super) fn add(&self, elapsed: Duration) {
        let micros = elapsed.as_micros() as u64;
        let bucket = BUCKETS.partition_point(|bound| *bound < micros);
        self.counts[bucket].add();
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The sum of all durations in seconds, and the count of each bucket. The counts are not
    /// cumulative; the last is of durations above every bound.
    pub fn get(&self) -> (f64, [u64; BUCKETS.len() + 1]) {
        let sum = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        (sum, array::from_fn(|bucket| self.counts[bucket].get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let histogram = Histogram::default();
        for micros in [0, 5, 6, 5_000_000, 5_000_001] {
            histogram.add(Duration::from_micros(micros));
        }

        let (sum, counts) = histogram.get();
        assert_eq!(counts[..3], [2, 1, 0]);
        assert_eq!(counts[15..], [1, 1]);
        assert!((sum - 10.000012).abs() < 1e-9);
    }
}
