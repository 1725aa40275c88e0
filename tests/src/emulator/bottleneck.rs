//! [`Bottleneck`]: a rate and a bounded queue in front of it, on virtual time.
//!
//! It holds no packets: when a packet leaves follows from when the one before it does. A bucket of two
//! milliseconds' worth lets a shell that wakes late make up for it, so that the rate is kept on average.

use std::time::Duration;

use super::conditions::Rate;

/// What the bucket holds when it is full.
const BUCKET: Duration = Duration::from_millis(2);

/// When the line has sent all that was given to it.
#[derive(Debug, Clone, Default)]
pub struct Bottleneck {
    free: Duration,
}

impl Bottleneck {
    /// When a packet of `len` bytes that arrives `now` has passed; `None` if the queue is full.
    pub fn pass(&mut self, rate: Rate, len: usize, now: Duration) -> Option<Duration> {
        let begin = self.free.max(now.saturating_sub(BUCKET));
        let end = begin + time(rate, len as u64);
        if end > now + time(rate, rate.queue) {
            return None;
        }
        self.free = end;
        Some(end.max(now))
    }
}

fn time(rate: Rate, bytes: u64) -> Duration {
    let nanos = u128::from(bytes) * 8 * 1_000_000_000 / u128::from(rate.bits);
    Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1000 bytes take a millisecond; ten of them may wait.
    const RATE: Rate = Rate {
        bits: 8_000_000,
        queue: 10_000,
    };

    #[test]
    fn a_burst_leaves_at_the_rate_and_what_exceeds_the_queue_is_dropped() {
        let mut line = Bottleneck::default();
        let now = Duration::from_secs(1);
        let left: Vec<_> = (0..20).map_while(|_| line.pass(RATE, 1000, now)).collect();
        let offsets: Vec<_> = left.iter().map(|at| (*at - now).as_millis()).collect();
        // The bucket lets two pass at once.
        assert_eq!(offsets, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn over_a_second_no_more_than_the_rate_and_the_bucket_pass() {
        let mut line = Bottleneck::default();
        let offered = (0..10_000).map(|n| Duration::from_micros(100 * n));
        let passed = offered
            .filter_map(|now| line.pass(RATE, 1000, now))
            .filter(|at| at.as_secs() < 1)
            .count();
        assert!((999..=1003).contains(&passed), "{passed}");
    }
}
