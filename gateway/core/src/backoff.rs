//! [`Backoff`]: the pause between failed dials. It grows exponentially and has jitter, so that
//! gateways that lost the same peer do not all dial it at the same moment.
//!
//! It stays below 2 s for the first ten minutes, so that a peer that comes back is found at once.
//! A peer that is absent for longer than that is dialled more rarely, if it can dial us, too.

use std::time::{Duration, Instant};

use crate::rng::Rng;
use crate::settings::Settings;

#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    /// When the first of them was.
    since: Option<Instant>,
    /// Failures of an absent peer.
    absent: u32,
}

impl Backoff {
    /// Counts a failure and returns the pause after it: between half of the step and the whole
    /// step. The step starts at `backoff_min` and doubles up to `backoff_max`; for an absent peer
    /// that `may_dial_us`, up to `backoff_absent`.
    pub(crate) fn pause(
        &mut self,
        settings: &Settings,
        rng: &mut Rng,
        may_dial_us: bool,
        now: Instant,
    ) -> Duration {
        let since = *self.since.get_or_insert(now);
        let is_absent = may_dial_us && now >= since + settings.absent_after;

        let step = if is_absent {
            self.absent = self.absent.saturating_add(1);
            doubled(settings.backoff_max, self.absent).min(settings.backoff_absent)
        } else {
            doubled(settings.backoff_min, self.failures).min(settings.backoff_max)
        };

        // Jitter only shortens the pause, so that the longest step bounds it.
        self.failures = self.failures.saturating_add(1);
        rng.between(step / 2, step)
    }

    /// Starts over: a session has carried a packet.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Something may have changed: the pauses for an absent peer grow from the start again.
    pub(crate) fn hurry(&mut self) {
        self.absent = 0;
    }

    /// Failures since the last reset.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

fn doubled(step: Duration, times: u32) -> Duration {
    let factor = 1u32.checked_shl(times).unwrap_or(u32::MAX);

    step.saturating_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_start_over_after_a_reset() {
        let settings = Settings::default();
        let now = Instant::now();
        let mut rng = Rng::new(1);
        let mut backoff = Backoff::default();

        for step in [200, 400, 800, 1600, 1750, 1750].map(Duration::from_millis) {
            let pause = backoff.pause(&settings, &mut rng, true, now);
            assert!(step / 2 <= pause && pause <= step, "{pause:?} of {step:?}");
        }
        let mut pauses: Vec<_> = (0..100)
            .map(|_| backoff.pause(&settings, &mut rng, true, now))
            .collect();
        pauses.sort();
        assert!(pauses[99] <= settings.backoff_max);
        assert!(pauses[99] - pauses[0] > settings.backoff_max / 4, "jitter");

        backoff.reset();
        let pause = backoff.pause(&settings, &mut rng, true, now);
        assert!(pause <= settings.backoff_min);
    }

    /// The pauses of a day of failures, each with the time since the first.
    fn pauses(may_dial_us: bool) -> Vec<(Duration, Duration)> {
        let settings = Settings::default();
        let start = Instant::now();
        let mut now = start;
        let mut rng = Rng::new(1);
        let mut backoff = Backoff::default();

        std::iter::from_fn(|| {
            let pause = backoff.pause(&settings, &mut rng, may_dial_us, now);
            let at = now - start;
            now += pause;
            (at < Duration::from_secs(86_400)).then_some((at, pause))
        })
        .collect()
    }

    #[test]
    fn after_ten_minutes_pauses_grow_to_half_a_minute_if_the_peer_can_dial_us() {
        let settings = Settings::default();
        let (early, late): (Vec<_>, Vec<_>) = pauses(true)
            .into_iter()
            .partition(|(at, _)| *at < settings.absent_after);

        assert!(
            early
                .iter()
                .all(|(_, pause)| *pause <= settings.backoff_max)
        );
        let grown: Vec<_> = late.iter().skip(4).map(|(_, pause)| *pause).collect();
        let bounds = settings.backoff_absent / 2..=settings.backoff_absent;
        assert!(grown.iter().all(|pause| bounds.contains(pause)));
        assert!(
            late[0].1 <= settings.backoff_max * 2,
            "it grows step by step"
        );
    }

    #[test]
    fn a_peer_that_cannot_dial_us_is_dialled_at_the_same_pace_for_ever() {
        let settings = Settings::default();
        let pauses = pauses(false);
        assert!(
            pauses
                .iter()
                .all(|(_, pause)| *pause <= settings.backoff_max)
        );
    }

    #[test]
    fn a_change_of_the_host_lets_the_pauses_grow_from_the_start() {
        let settings = Settings::default();
        let start = Instant::now();
        let mut rng = Rng::new(1);
        let mut backoff = Backoff::default();
        backoff.pause(&settings, &mut rng, true, start);
        let later = start + settings.absent_after;
        for _ in 0..10 {
            backoff.pause(&settings, &mut rng, true, later);
        }

        backoff.hurry();
        let pause = backoff.pause(&settings, &mut rng, true, later);
        assert!(pause <= settings.backoff_max * 2, "{pause:?}");
    }
}
