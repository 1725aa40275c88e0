//! [`Known`]: what the service manager knows already, so that each thing is sent to it once.

use std::io;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::state::{Phase, State};

/// By how much a waiting start extends its timeout; it repeats that every five seconds.
const EXTENSION: Duration = Duration::from_secs(30);

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Known {
    phase: Phase,
    status: String,
    reloads: u64,
    /// It knows of a reload, and not of its end.
    is_reloading: bool,
    extensions: u64,
}

impl Known {
    /// True if `state` has something new.
    pub(super) fn is_behind(&self, state: &State) -> bool {
        self.phase != state.phase
            || self.status != state.status
            || self.reloads != state.reloads
            || self.is_reloading != state.is_reloading
            || self.extensions != state.extensions
    }

    /// Sends all that is new in `state`. Answers the `watchdog`, if it is time to, unless the loop
    /// hangs.
    pub(super) fn catch_up(
        &mut self,
        state: &State,
        watchdog: Option<Duration>,
        now: Instant,
    ) -> io::Result<()> {
        if self.status != state.status {
            sd_notify::notify(&[NotifyState::Status(&state.status)])?;
            self.status.clone_from(&state.status);
        }
        if self.extensions != state.extensions {
            let micros = EXTENSION.as_micros() as u32;
            sd_notify::notify(&[NotifyState::ExtendTimeoutUsec(micros)])?;
            self.extensions = state.extensions;
        }

        self.send_phase(state)?;
        self.send_reload(state)?;

        let answers = watchdog.is_some_and(|limit| is_well(state, limit, now));
        if answers {
            sd_notify::notify(&[NotifyState::Watchdog])?;
        }
        Ok(())
    }

    fn send_phase(&mut self, state: &State) -> io::Result<()> {
        if self.phase == state.phase {
            return Ok(());
        }

        match state.phase {
            Phase::Starting => {}
            Phase::Serving => sd_notify::notify(&[NotifyState::Ready])?,
            Phase::Stopping => sd_notify::notify(&[NotifyState::Stopping])?,
        }
        self.phase = state.phase;
        Ok(())
    }

    fn send_reload(&mut self, state: &State) -> io::Result<()> {
        if self.reloads != state.reloads {
            // The time distinguishes this reload from one before the manager's signal.
            let now = NotifyState::monotonic_usec_now()?;
            sd_notify::notify(&[NotifyState::Reloading, now])?;
            self.reloads = state.reloads;
            self.is_reloading = true;
        }

        // It may be over already.
        if self.is_reloading && !state.is_reloading {
            if state.phase == Phase::Serving {
                sd_notify::notify(&[NotifyState::Ready])?;
            }
            self.is_reloading = false;
        }
        Ok(())
    }
}

/// While it comes up nothing turns yet, and how long an end may take the manager knows by itself.
fn is_well(state: &State, limit: Duration, now: Instant) -> bool {
    state.phase != Phase::Serving || now.saturating_duration_since(state.beat) < limit / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn a_loop_that_hangs_does_not_answer_the_watchdog() {
        let now = Instant::now();
        let mut state = State::new(now);
        let later = now + LIMIT;
        assert!(is_well(&state, LIMIT, later), "it starts");

        state.phase = Phase::Serving;
        assert!(!is_well(&state, LIMIT, later));
        state.beat = later;
        assert!(is_well(&state, LIMIT, later));
        assert!(!is_well(&state, LIMIT, later + LIMIT / 2));
    }

    #[test]
    fn a_reload_that_began_and_ended_between_two_looks_is_sent() {
        let mut state = State::new(Instant::now());
        let mut known = Known::default();
        assert!(!known.is_behind(&state));

        state.reloads = 1;
        assert!(known.is_behind(&state));
        // Without a manager it goes nowhere.
        known.catch_up(&state, None, Instant::now()).unwrap();
        assert!(!known.is_behind(&state) && !known.is_reloading);
    }
}
