//! [`Backoff`]: the time from one dial to the next while they fail. Exponential, with jitter, so that gateways that lost
//! the same peer do not come back all at once.

use std::time::Duration;

use crate::Settings;
use crate::rng::Rng;

#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure; between half of the step and the whole step, which doubles up to the cap.
    pub(crate) fn pause(&mut self, settings: &Settings, rng: &mut Rng) -> Duration {
        let doubled = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let step = settings
            .backoff_min
            .saturating_mul(doubled)
            .min(settings.backoff_max);
        self.failures = self.failures.saturating_add(1);
        rng.between(step / 2, step)
    }

    /// A session has proved itself.
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
        let (settings, mut rng) = (Settings::default(), Rng::new(1));
        let mut backoff = Backoff::default();
        for step in [200, 400, 800, 1600, 1750, 1750].map(Duration::from_millis) {
            let pause = backoff.pause(&settings, &mut rng);
            assert!(step / 2 <= pause && pause <= step, "{pause:?} of {step:?}");
        }
        (0..100).for_each(|_| assert!(backoff.pause(&settings, &mut rng) <= settings.backoff_max));
        backoff.reset();
        assert!(backoff.pause(&settings, &mut rng) <= settings.backoff_min);
    }
}
