//! [`Bottleneck`]: a rate with a bounded queue before it, on virtual time.
//!
//! It stores no packets: the time at which a packet has passed follows from the time of the one
//! before it. A token bucket that holds two milliseconds lets a shell that wakes up late catch up,
//! so that the rate is right on average.

use std::time::Duration;

use super::conditions::Rate;

/// Sending time that a full bucket holds.
const BUCKET: Duration = Duration::from_millis(2);

/// A line that sends at a rate.
#[derive(Debug, Clone, Default)]
pub struct Bottleneck {
    /// When the line has sent all that it was given.
    free: Duration,
}

impl Bottleneck {
    /// When a packet of `len` bytes that arrives `now` has passed; `None` if the queue is full.
    pub fn pass(&mut self, rate: Rate, len: usize, now: Duration) -> Option<Duration> {
        let begin = self.free.max(now.saturating_sub(BUCKET));
        let end = begin + sending_time(rate, len as u64);

        if end > now + sending_time(rate, rate.queue) {
            return None;
        }
        self.free = end;
        Some(end.max(now))
    }
}

fn sending_time(rate: Rate, bytes: u64) -> Duration {
    let nanos = u128::from(bytes) * 8 * 1_000_000_000 / u128::from(rate.bits);
    Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1000 bytes take a millisecond, and ten of them can wait.
    const RATE: Rate = Rate {
        bits: 8_000_000,
        queue: 10_000,
    };

    #[test]
    fn a_burst_leaves_at_the_rate_and_what_exceeds_the_queue_is_dropped() {
        let mut line = Bottleneck::default();
        let now = Duration::from_secs(1);
        let offsets: Vec<_> = (0..20)
            .map_while(|_| line.pass(RATE, 1000, now))
            .map(|passed| (passed - now).as_millis())
            .collect();

        // The full bucket lets the first two pass at once.
        assert_eq!(offsets, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn within_a_second_the_rate_and_one_bucket_pass() {
        let mut line = Bottleneck::default();
        let passed = (0..10_000)
            .map(|n| Duration::from_micros(100 * n))
            .filter_map(|now| line.pass(RATE, 1000, now))
            .filter(|passed| passed.as_secs() < 1)
            .count();
        assert!((999..=1003).contains(&passed), "{passed}");
    }
}
