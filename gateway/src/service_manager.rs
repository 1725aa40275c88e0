//! [`ServiceManager`]: tells the service manager how the daemon is, as sd_notify(3) has it.
//!
//! ```text
//!   starting ──► serving ◄──► reloading
//!                   └──► stopping
//! ```
//! A thread of its own does the sending: if the manager does not read its socket, nothing but that
//! thread waits. It also answers the watchdog, as long as the loop of the daemon turns
//! ([`ServiceManager::beat`]). Without a service manager, nothing of this happens.

mod known;
mod state;

use std::env;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use known::Known;
use state::{Phase, State};

/// The loop beats this often, so that the watchdog sees that it turns.
const BEAT: Duration = Duration::from_secs(1);

/// Looks of the thread when nothing changes and there is no watchdog.
const IDLE: Duration = Duration::from_secs(3600);

/// The variable in which a service manager names its socket.
const SOCKET: &str = "NOTIFY_SOCKET";

/// Clones tell the same one.
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
    /// The one that has started this process, if one has.
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
            tracing::error!(%error, "The service manager hears nothing");
            return ServiceManager::default();
        }
        ServiceManager(Some(shared))
    }

    /// True if there is one, which shows the status.
    pub fn is_present(&self) -> bool {
        self.0.is_some()
    }

    /// The start waits for something, and is no failure for some time yet.
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

    /// The files are being read again.
    pub fn reloads(&self) {
        self.change(|state| {
            state.reloads += 1;
            state.is_reloading = true;
        });
    }

    /// The reload has ended, whatever came of it.
    pub fn has_reloaded(&self) {
        self.change(|state| state.is_reloading = false);
    }

    /// The daemon ends.
    pub fn stops(&self) {
        self.change(|state| {
            state.phase = Phase::Stopping;
            state.is_reloading = false;
        });
    }

    /// One line about how it goes.
    pub fn shows(&self, status: String) {
        let is_known = self.lock().is_none_or(|state| state.status == status);

        if !is_known {
            self.change(|state| state.status = status);
        }
    }

    /// The loop turns, and so does what it looks after.
    pub fn beat(&self) {
        if let Some(mut state) = self.lock() {
            state.beat = Instant::now();
        }
    }

    /// How long the loop may wait for something to happen; `None` for as long as it wants.
    pub fn patience(&self) -> Option<Duration> {
        let shared = self.0.as_ref()?;

        // The status changes without an event as well.
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
    /// Tells what changes, for as long as the process lives.
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
                        tracing::warn!(%error, "The service manager does not listen");
                    }
                    is_heard = false;
                    // It is tried again, but not in a loop.
                    thread::sleep(BEAT);
                }
            }
        }
    }

    /// Waits until there is something to say, or for the time of the next look.
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
