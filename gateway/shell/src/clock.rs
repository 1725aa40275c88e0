//! [`Clock`]: notices time that passed without this machine: a suspended virtual machine, a
//! restored snapshot. Its peers have given the sessions up, and a restored packet number must never
//! seal again.

use std::time::{Duration, Instant};

/// How often the clocks are compared.
const TICK: Duration = Duration::from_secs(1);

/// A difference that scheduling alone does not make.
const JUMP: Duration = Duration::from_secs(5);

/// A difference of the wall clock that is followed: it was set, or has drifted so far by now.
const STEP: Duration = Duration::from_millis(500);

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

/// The wall clock, as the monotonic clock saw it last. Certificates end by the wall clock, timers
/// run by the monotonic one.
#[derive(Debug)]
pub(crate) struct WallClock {
    monotonic: Instant,
    /// Since 1970.
    wall: Duration,
}

impl WallClock {
    pub(crate) fn new(monotonic: Instant, wall: Duration) -> WallClock {
        WallClock { monotonic, wall }
    }

    /// Looks at the wall clock; true if it is not where it was expected. A suspension is a step,
    /// too: the monotonic clock stood still.
    pub(crate) fn has_stepped(&mut self, now: Instant, wall: Duration) -> bool {
        let expected = self.wall + now.saturating_duration_since(self.monotonic);
        let stepped = wall.abs_diff(expected) >= STEP;

        if stepped {
            *self = WallClock::new(now, wall);
        }
        stepped
    }

    /// When it is `wall` by this clock; a time that has passed is now or earlier.
    pub(crate) fn instant(&self, wall: Duration) -> Instant {
        let left = wall.saturating_sub(self.wall);

        // Certificates may be valid until the year 9999, which no timer waits for.
        let at = self.monotonic.checked_add(left);
        at.unwrap_or(self.monotonic + FAR)
    }
}

/// Longer than any daemon runs.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_wall_clock_follows_its_steps_and_not_the_loops_delays() {
        let seconds = Duration::from_secs;
        let start = Instant::now();
        let mut clock = WallClock::new(start, seconds(1000));
        assert_eq!(clock.instant(seconds(1060)), start + seconds(60));
        assert!(!clock.has_stepped(start + seconds(7), seconds(1007)));

        let now = start + seconds(10);
        assert!(clock.has_stepped(now, seconds(1050)), "set forward");
        assert_eq!(clock.instant(seconds(1060)), now + seconds(10));
        assert!(clock.instant(seconds(1000)) <= now, "it has passed");

        assert!(clock.has_stepped(now, seconds(5)), "set back");
        assert_eq!(clock.instant(seconds(1060)), now + seconds(1055));
        assert_eq!(clock.instant(Duration::MAX), now + FAR);
    }

    #[test]
    fn slow_drift_is_followed_as_well() {
        let start = Instant::now();
        let mut clock = WallClock::new(start, Duration::ZERO);
        let drifting = (1..=3600).filter(|tick| {
            let now = start + Duration::from_secs(*tick);
            // 500 millionths faster.
            clock.has_stepped(now, Duration::from_micros(tick * 1_000_500))
        });
        assert_eq!(drifting.count(), 3);
    }

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
