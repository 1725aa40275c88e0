//! [`Backoff`]: the pause between failed dials. It grows exponentially and has jitter, so that
//! gateways that lost the same peer do not all dial it at the same moment.

use std::time::Duration;

use crate::rng::Rng;
use crate::settings::Settings;

#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure and returns the pause after it: between half of the step and the whole
    /// step. The step starts at `backoff_min` and doubles up to `backoff_max`.
    pub(crate) fn pause(&mut self, settings: &Settings, rng: &mut Rng) -> Duration {
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let step = settings
            .backoff_min
            .saturating_mul(factor)
            .min(settings.backoff_max);

        // Jitter only shortens the pause, so that `backoff_max` bounds it.
        self.failures = self.failures.saturating_add(1);
        rng.between(step / 2, step)
    }

    /// Starts over: a session has carried a packet.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last reset.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_start_over_after_a_reset() {
        let settings = Settings::default();
        let mut rng = Rng::new(1);
        let mut backoff = Backoff::default();

        for step in [200, 400, 800, 1600, 1750, 1750].map(Duration::from_millis) {
            let pause = backoff.pause(&settings, &mut rng);
            assert!(step / 2 <= pause && pause <= step, "{pause:?} of {step:?}");
        }
        for _ in 0..100 {
            assert!(backoff.pause(&settings, &mut rng) <= settings.backoff_max);
        }

        backoff.reset();
        assert!(backoff.pause(&settings, &mut rng) <= settings.backoff_min);
    }
}
