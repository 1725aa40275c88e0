//! [`Clock`]: notices time that passed without this machine: a suspended virtual machine, a
//! restored snapshot. Its peers have given the sessions up, and a restored packet number must never
//! seal again.

use std::time::{Duration, Instant};

/// How often the clocks are compared.
const TICK: Duration = Duration::from_secs(1);

/// A difference that scheduling alone does not make.
const JUMP: Duration = Duration::from_secs(5);

/// Both clocks when they were last compared.
#[derive(Debug)]
pub(crate) struct Clock {
    monotonic: Instant,
    boot: Duration,
}

impl Clock {
    pub(crate) fn new(monotonic: Instant, boot: Duration) -> Clock {
        Clock { monotonic, boot }
    }

    /// When to compare again.
    pub(crate) fn next(&self) -> Instant {
        self.monotonic + TICK
    }

    /// True if the clocks moved apart, or backwards. A late comparison alone is no jump: the loop
    /// may have waited for a busy machine.
    pub(crate) fn has_jumped(&mut self, now: Instant, boot: Duration) -> bool {
        // clock_gettime(2): CLOCK_MONOTONIC stands still while the machine is suspended, and
        // CLOCK_BOOTTIME does not. It goes back only where a snapshot was restored.
        let passed = now.saturating_duration_since(self.monotonic);
        let jumped = boot
            .checked_sub(self.boot)
            .is_none_or(|passed_since_boot| passed_since_boot.abs_diff(passed) > JUMP);

        // Measured from here on, so that small differences do not add up to a jump.
        if passed >= TICK || jumped {
            *self = Clock::new(now, boot);
        }
        jumped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares after `monotonic` and `boot` seconds, from 0 and 100.
    fn has_jumped(monotonic: u64, boot: u64) -> bool {
        let start = Instant::now();
        let mut clock = Clock::new(start, Duration::from_secs(100));

        clock.has_jumped(
            start + Duration::from_secs(monotonic),
            Duration::from_secs(boot),
        )
    }

    #[test]
    fn a_suspension_and_a_restored_snapshot_are_jumps_and_a_late_look_is_none() {
        assert!(!has_jumped(1, 101));
        assert!(!has_jumped(4, 104));
        assert!(has_jumped(1, 160), "suspended");
        assert!(has_jumped(1, 90), "restored");
        assert!(!has_jumped(60, 160), "the process waited");
    }
}
