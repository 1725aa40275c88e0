//! Notices that time has passed which this machine did not live through: a suspended virtual machine, a
//! restored snapshot. Its sessions' peers have given them up, and a restored packet number must never
//! seal again (DESIGN.md 4.2, "Liveness").

use std::time::{Duration, Instant};

/// How often the clocks are compared.
const TICK: Duration = Duration::from_secs(1);
/// A difference that scheduling alone does not make.
const JUMP: Duration = Duration::from_secs(5);

/// The two clocks at the last look.
pub(super) struct Clock {
    monotonic: Instant,
    boot: Duration,
}

impl Clock {
    pub(super) fn new() -> Clock {
        Clock {
            monotonic: Instant::now(),
            boot: boot_time(),
        }
    }

    /// When to look again.
    pub(super) fn next(&self) -> Instant {
        self.monotonic + TICK
    }

    /// True if the clocks moved apart, or backwards. A late look alone is no jump: this loop may have waited
    /// for a busy machine.
    pub(super) fn has_jumped(&mut self, now: Instant) -> bool {
        let monotonic = now.saturating_duration_since(self.monotonic);
        let boot = boot_time();
        let jumped = has_jumped(monotonic, self.boot, boot);
        if monotonic >= TICK || jumped {
            *self = Clock {
                monotonic: now,
                boot,
            };
        }
        jumped
    }
}

fn has_jumped(monotonic: Duration, boot_before: Duration, boot: Duration) -> bool {
    match boot.checked_sub(boot_before) {
        Some(boot) => boot.abs_diff(monotonic) > JUMP,
        None => true,
    }
}

/// Time since boot, suspension included (CLOCK_BOOTTIME).
fn boot_time() -> Duration {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME);
    time.map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspension_and_a_restored_snapshot_are_jumps_and_a_late_look_is_none() {
        let s = Duration::from_secs;
        assert!(!has_jumped(s(1), s(100), s(101)));
        assert!(!has_jumped(s(4), s(100), s(104)));
        assert!(has_jumped(s(1), s(100), s(160)), "suspended");
        assert!(has_jumped(s(1), s(100), s(90)), "restored");
        assert!(!has_jumped(s(60), s(100), s(160)), "the process waited");
    }
}
