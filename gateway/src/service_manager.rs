//! [`ServiceManager`]: notifies the service manager of the daemon's state by sd_notify(3).
//!
//! ```text
//!   starting ──► serving ◄──► reloading
//!                   └──► stopping
//! ```
//! A thread of its own sends: if the manager does not read its socket, only that thread waits. It
//! also serves the watchdog as long as the daemon's loop is alive ([`ServiceManager::beat`]).
//! Without a service manager, all of this does nothing.

mod known;
mod state;

use std::env;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use known::Known;
use state::{Phase, State};

/// Interval of the loop's beats, by which the watchdog sees that it is alive.
const BEAT: Duration = Duration::from_secs(1);

/// Interval of the thread's checks if nothing changes and there is no watchdog.
const IDLE: Duration = Duration::from_secs(3600);

/// The environment variable with the service manager's socket.
const SOCKET: &str = "NOTIFY_SOCKET";

/// A handle; clones share it.
#[derive(Debug, Clone, Default)]
pub struct ServiceManager(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// How long the daemon may be silent.
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The service manager that has started this process, if any.
    pub fn of_this_process() -> ServiceManager {
        if env::var_os(SOCKET).is_none() {
            return ServiceManager::default();
        }

        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(Instant::now())),
            changed: Condvar::new(),
            watchdog: sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()),
        });
        let telling = shared.clone();
        let thread = thread::Builder::new().name("ringway-notify".to_owned());
        if let Err(error) = thread.spawn(move || telling.tell()) {
            tracing::error!(%error, "Cannot notify the service manager");
            return ServiceManager::default();
        }
        ServiceManager(Some(shared))
    }

    /// True if there is a service manager.
    pub fn is_present(&self) -> bool {
        self.0.is_some()
    }

    /// The start waits for something: extend its timeout.
    pub fn waits(&self, what: &str) {
        self.change(|state| {
            what.clone_into(&mut state.status);
            state.extensions += 1;
        });
    }

    /// Everything is up.
    pub fn serves(&self) {
        self.change(|state| {
            state.phase = Phase::Serving;
            state.beat = Instant::now();
        });
    }

    /// A reload has started.
    pub fn reloads(&self) {
        self.change(|state| {
            state.reloads += 1;
            state.is_reloading = true;
        });
    }

    /// The reload has ended, with or without success.
    pub fn has_reloaded(&self) {
        self.change(|state| state.is_reloading = false);
    }

    /// The daemon stops.
    pub fn stops(&self) {
        self.change(|state| {
            state.phase = Phase::Stopping;
            state.is_reloading = false;
        });
    }

    /// Sets the status line.
    pub fn shows(&self, status: String) {
        let is_known = self.lock().is_none_or(|state| state.status == status);

        if !is_known {
            self.change(|state| state.status = status);
        }
    }

    /// The loop is alive, and so are the threads that it watches.
    pub fn beat(&self) {
        if let Some(mut state) = self.lock() {
            state.beat = Instant::now();
        }
    }

    /// How long the loop may wait for an event; `None` for any time.
    pub fn patience(&self) -> Option<Duration> {
        let shared = self.0.as_ref()?;

        // The status changes even without an event.
        Some(shared.watchdog.map_or(BEAT, |limit| BEAT.min(limit / 4)))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let Some(shared) = &self.0 else {
            return;
        };

        change(&mut shared.lock());
        shared.changed.notify_one();
    }

    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        self.0.as_ref().map(|shared| shared.lock())
    }
}

impl Shared {
    /// Sends changes, as long as the process lives.
    fn tell(&self) {
        let mut known = Known::default();
        let interval = self.watchdog.map_or(IDLE, |limit| limit / 3);
        let mut next_look = Instant::now() + interval;
        let mut is_heard = true;

        loop {
            let state = self.next(&known, next_look);
            let now = Instant::now();
            let is_due = now >= next_look;
            if is_due {
                next_look = now + interval;
            }

            let watchdog = self.watchdog.filter(|_| is_due);
            match known.catch_up(&state, watchdog, now) {
                Ok(()) => is_heard = true,
                Err(error) => {
                    if is_heard {
                        tracing::warn!(%error, "The service manager cannot be notified");
                    }
                    is_heard = false;
                    // Retried, but not in a tight loop.
                    thread::sleep(BEAT);
                }
            }
        }
    }

    /// Waits for a change, or until the next check.
    fn next(&self, known: &Known, until: Instant) -> State {
        let mut state = self.lock();

        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || known.is_behind(&state) {
                return state.clone();
            }
            let waited = self.changed.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
