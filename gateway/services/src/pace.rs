//! [`Pace`]: how soon an API server is asked again after a failure.

use std::time::{Duration, Instant};

/// After the first failure.
const SHORTEST: Duration = Duration::from_millis(500);
/// After many. An API server that is back is found within this time.
const LONGEST: Duration = Duration::from_secs(10);
/// A failure so long after the last one counts as the first again.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// Doubles the time to wait with each failure.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: Option<(Instant, Duration)>,
}

impl Pace {
    /// Something has failed: the time to wait.
    pub(crate) fn failed(&mut self, now: Instant) -> Duration {
        let wait = match self.last {
            // A server that answers well in between, and fails again at once, is not asked more
            // often for that.
            Some((at, wait)) if now.duration_since(at) < FORGOTTEN => (wait * 2).min(LONGEST),
            _ => SHORTEST,
        };

        self.last = Some((now, wait));
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_longer_with_each_failure_up_to_ten_seconds() {
        let mut pace = Pace::default();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..7 {
            let wait = pace.failed(now);
            waits.push(wait.as_millis());
            now += wait;
        }
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 10000, 10000]);

        assert_eq!(pace.failed(now + FORGOTTEN), SHORTEST);
    }
}
