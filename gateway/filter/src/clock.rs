//! [`Clock`]: time in ticks of 1/16 s since the filter began, in 32 bits: for eight years.

use std::time::{Duration, Instant};

/// A point in time.
pub(crate) type Tick = u32;

const PER_SECOND: u64 = 16;

pub(crate) struct Clock {
    began: Instant,
}

impl Clock {
    pub(crate) fn new(now: Instant) -> Clock {
        Clock { began: now }
    }

    /// Times before the beginning count as the beginning, those after the last tick as the last:
    /// a clock that goes astray ages flows, and never makes one young again.
    pub(crate) fn tick(&self, now: Instant) -> Tick {
        ticks(now.saturating_duration_since(self.began))
    }
}

/// A duration in ticks, rounded down.
pub(crate) const fn ticks(duration: Duration) -> Tick {
    const NANOS: u64 = 1_000_000_000 / PER_SECOND;

    let whole = duration.as_secs().saturating_mul(PER_SECOND);
    let ticks = whole.saturating_add(duration.subsec_nanos() as u64 / NANOS);
    if ticks > Tick::MAX as u64 {
        Tick::MAX
    } else {
        ticks as Tick
    }
}

/// Whole seconds in some ticks.
pub(crate) fn seconds(ticks: Tick) -> u32 {
    ticks / PER_SECOND as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_goes_astray_saturates() {
        let now = Instant::now();
        let clock = Clock::new(now);
        assert_eq!(clock.tick(now - Duration::from_secs(1)), 0);
        assert_eq!(clock.tick(now + Duration::from_millis(1070)), 17);
        assert_eq!(clock.tick(now + Duration::from_secs(1 << 40)), Tick::MAX);
        assert_eq!(ticks(Duration::MAX), Tick::MAX);
    }
}
