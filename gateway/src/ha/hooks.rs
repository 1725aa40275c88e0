//! [`Calls`]: runs the operator's commands `on-active` and `on-standby`, one at a time.
//!
//! The contract:
//! * A command is a program and its arguments; no shell takes part.
//! * It runs once for each role that this gateway gets: at the start, at each takeover, and
//!   `on-standby` when the daemon ends. `on-active` runs again if the gateway stays active in a
//!   new epoch: a sibling may have run its own meanwhile.
//! * The newest role wins: a command of an earlier role is ended (SIGTERM, then SIGKILL) before the
//!   next one begins. Of several roles in the meantime, only the last one's runs.
//! * It may take 120 seconds, 10 at the end of the daemon. If it fails, it is tried again, after 1,
//!   2, 4 … 60 seconds, as long as the role stays.
//! * Its output is cut off after 4 KiB and goes to the log. It learns the role from its
//!   environment: see [`Call`].

mod child;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ringway_config::{Config, Hook};
use ringway_core::{SiteRole, Standing};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Done;
use crate::admin::daemon::rfc3339;
use crate::admin::report::HookReport;
use crate::attention::Attention;
use child::{Child, HookError};

/// How long a command may take. Clouds take up to a minute to move a route or an address.
const LIMIT: Duration = Duration::from_secs(120);
/// The same at the end of the daemon, for which the service manager waits.
const LAST_LIMIT: Duration = Duration::from_secs(10);

/// Pauses before the next attempt: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The name of what needs attention.
const FAILED: &str = "ha hook";

/// A command that is to run, and what it learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The command; `None`: there is none for this role.
    hook: Option<Hook>,
    /// `RINGWAY_ROLE` (`active` or `standby`), `RINGWAY_REASON` (one word), `RINGWAY_EPOCH`,
    /// `RINGWAY_ORG`, `RINGWAY_SITE`, `RINGWAY_GATEWAY`, `RINGWAY_SIBLING` (that the reason is
    /// about; may be empty), `RINGWAY_INTERFACE` and `RINGWAY_ADDRESSES` (separated by blanks).
    environment: Vec<(&'static str, String)>,
    /// What it runs for: with the same, it is not run again.
    occasion: Occasion,
}

/// What a command runs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// Nothing is known yet.
    None,
    /// This gateway is active in this epoch.
    Active(u64),
    /// It is not.
    Standby,
    /// The daemon ends.
    Shutdown,
}

impl Call {
    /// Nothing to run.
    pub fn none() -> Call {
        Call {
            hook: None,
            environment: Vec::new(),
            occasion: Occasion::None,
        }
    }

    /// What follows from `config` and a role.
    pub fn of(config: &Config, standing: &Standing) -> Call {
        let (hook, occasion) = match standing.role {
            SiteRole::Active => (&config.ha.on_active, Occasion::Active(standing.epoch)),
            SiteRole::Standby => (&config.ha.on_standby, Occasion::Standby),
        };

        Call {
            hook: hook.clone(),
            environment: environment(config, standing, standing.reason.word()),
            occasion,
        }
    }

    /// What runs last.
    pub fn of_shutdown(config: &Config, standing: &Standing) -> Call {
        Call {
            hook: config.ha.on_standby.clone(),
            environment: environment(config, standing, "shutdown"),
            occasion: Occasion::Shutdown,
        }
    }

    fn limit(&self) -> Duration {
        match self.occasion {
            Occasion::Shutdown => LAST_LIMIT,
            _ => LIMIT,
        }
    }

    /// True if what has run for `other` need not run for this.
    fn is_done_with(&self, other: &Call) -> bool {
        self.hook == other.hook && self.occasion == other.occasion
    }
}

fn environment(config: &Config, standing: &Standing, reason: &str) -> Vec<(&'static str, String)> {
    let addresses: Vec<String> = config.ha.hosts().map(|host| host.to_string()).collect();
    let sibling = standing.reason.sibling().map(ToString::to_string);

    vec![
        ("RINGWAY_ROLE", standing.role.word().to_owned()),
        ("RINGWAY_REASON", reason.to_owned()),
        ("RINGWAY_EPOCH", standing.epoch.to_string()),
        ("RINGWAY_ORG", config.id.org.to_string()),
        ("RINGWAY_SITE", config.site.to_string()),
        ("RINGWAY_GATEWAY", config.id.name.to_string()),
        ("RINGWAY_SIBLING", sibling.unwrap_or_default()),
        ("RINGWAY_INTERFACE", config.ha.interface.clone()),
        ("RINGWAY_ADDRESSES", addresses.join(" ")),
    ]
}

/// Runs what the newest call asks for.
pub struct Calls {
    attention: Attention,
    done: Arc<Done>,
    /// What has run to its end without a fault last.
    finished: Call,
    /// Before the next attempt.
    pause: Duration,
}

impl Calls {
    /// Nothing has run yet.
    pub fn new(attention: Attention, done: Arc<Done>) -> Calls {
        Calls {
            attention,
            done,
            finished: Call::none(),
            pause: FIRST_PAUSE,
        }
    }

    /// Runs the commands until there are no more calls, and the last one is done.
    pub async fn run(mut self, mut calls: watch::Receiver<Call>) {
        loop {
            let call = calls.borrow_and_update().clone();
            let retry = self.settle(&call, &mut calls).await;
            let is_last = call.occasion == Occasion::Shutdown;

            tokio::select! {
                changed = calls.changed() => if changed.is_err() {
                    return;
                },
                () = wait(retry), if !is_last => {}
            }
        }
    }

    /// Runs the command of `call`, unless it has; when to try again.
    async fn settle(&mut self, call: &Call, calls: &mut watch::Receiver<Call>) -> Option<Instant> {
        if call.is_done_with(&self.finished) {
            return None;
        }
        // What an earlier role had run counts no more.
        let Some(hook) = &call.hook else {
            self.finish(call);
            return None;
        };

        let began = Instant::now();
        match self.run_one(hook, call, calls).await {
            Ok(()) => {
                tracing::info!(%hook, elapsed = ?began.elapsed(), "Command of the role has run");
                self.note(call, "done");
                self.finish(call);
                None
            }
            // Nothing is known of what it has done: even the same role needs it again.
            Err(HookError::Superseded) => {
                self.finished = Call::none();
                self.pause = FIRST_PAUSE;
                None
            }
            Err(error) => Some(self.failed(hook, call, &error)),
        }
    }

    async fn run_one(
        &self,
        hook: &Hook,
        call: &Call,
        calls: &mut watch::Receiver<Call>,
    ) -> Result<(), HookError> {
        self.note(call, "running");
        let mut child = Child::start(hook, &call.environment)?;

        let newer = async {
            loop {
                // Without a sender there is nothing newer: the command may end.
                if calls.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                if !calls.borrow().is_done_with(call) {
                    return;
                }
            }
        };
        tokio::select! {
            ended = child.wait(call.limit()) => return ended,
            () = newer => {}
        }
        child.end().await;
        // The loop must see what is newer.
        calls.mark_changed();
        Err(HookError::Superseded)
    }

    fn failed(&mut self, hook: &Hook, call: &Call, error: &HookError) -> Instant {
        let what = format!("the command of this gateway's role has failed: {hook}: {error}");
        self.attention
            .raise(FAILED, &what, "correct it: it is tried again by itself");
        self.note(call, "failed");

        let next = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        next
    }

    fn finish(&mut self, call: &Call) {
        self.attention.clear(FAILED);
        self.finished = call.clone();
        self.pause = FIRST_PAUSE;
    }

    fn note(&self, call: &Call, state: &str) {
        let hook = call.hook.as_ref().map(|hook| HookReport {
            command: hook.to_string(),
            state: state.to_owned(),
            at: rfc3339(SystemTime::now()),
        });

        self.done.hook.store(Arc::new(hook));
    }
}

async fn wait(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
