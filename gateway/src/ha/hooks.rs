//! [`HookRunner`]: runs the operator's commands `on-active` and `on-standby`, one at a time.
//!
//! The contract:
//! * A command is a program with arguments. No shell interprets it.
//! * It runs once for each role that this gateway gets: at the start, at each takeover, and
//!   `on-standby` when the daemon stops. `on-active` runs again if the gateway stays active in a
//!   new epoch, because a sibling may have run its own command in between.
//! * The newest role wins. A command of an earlier role is terminated (SIGTERM, then SIGKILL)
//!   before the next one starts. If the role changes several times meanwhile, only the last one's
//!   command runs.
//! * Its time limit is 120 seconds, and 10 when the daemon stops. If it fails, it is retried after
//!   1, 2, 4 … 60 seconds, as long as the role stays.
//! * Its output is cut off after 4 KiB and goes to the log. Its environment describes the role: see
//!   [`Call`].

mod child;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ringway_config::{Config, Hook};
use ringway_core::{SiteRole, Standing};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::HaStatus;
use crate::admin::daemon::rfc3339;
use crate::admin::report::HookReport;
use crate::attention::Attention;
use child::{Child, HookError};

/// How long a command may take. Clouds take up to a minute to move a route or an address.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Time limit when the daemon stops: the service manager waits for it.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Delay before a retry: the first one, and the maximum.
const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// Name of the finding for a command that failed.
const FAILED: &str = "ha hook";

/// A command to run, with its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The command; `None` if this role has none.
    hook: Option<Hook>,
    /// `RINGWAY_ROLE` (`active` or `standby`), `RINGWAY_REASON` (one word), `RINGWAY_EPOCH`,
    /// `RINGWAY_ORG`, `RINGWAY_SITE`, `RINGWAY_GATEWAY`, `RINGWAY_SIBLING` (the gateway that the
    /// reason refers to; may be empty), `RINGWAY_INTERFACE` and `RINGWAY_ADDRESSES` (separated by
    /// blanks).
    environment: Vec<(&'static str, String)>,
    /// Why it runs. The same command does not run twice for the same trigger.
    trigger: Trigger,
}

/// The event that a command runs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trigger {
    /// The role is not known yet.
    None,
    /// This gateway is active in this epoch.
    Active(u64),
    /// This gateway is standby.
    Standby,
    /// The daemon stops.
    Shutdown,
}

impl Call {
    /// No command.
    pub fn none() -> Call {
        Call {
            hook: None,
            environment: Vec::new(),
            trigger: Trigger::None,
        }
    }

    /// The command for the role in `standing`.
    pub fn of(config: &Config, standing: &Standing) -> Call {
        let (hook, trigger) = match standing.role {
            SiteRole::Active => (&config.ha.on_active, Trigger::Active(standing.epoch)),
            SiteRole::Standby => (&config.ha.on_standby, Trigger::Standby),
        };

        Call {
            hook: hook.clone(),
            environment: environment(config, standing, standing.reason.word()),
            trigger,
        }
    }

    /// The command that runs when the daemon stops.
    pub fn of_shutdown(config: &Config, standing: &Standing) -> Call {
        Call {
            hook: config.ha.on_standby.clone(),
            environment: environment(config, standing, "shutdown"),
            trigger: Trigger::Shutdown,
        }
    }

    fn limit(&self) -> Duration {
        match self.trigger {
            Trigger::Shutdown => SHUTDOWN_TIMEOUT,
            _ => TIMEOUT,
        }
    }

    /// True if `other` has the same command and trigger, so that this one need not run after it.
    fn is_same_run(&self, other: &Call) -> bool {
        self.hook == other.hook && self.trigger == other.trigger
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

/// Runs the command of the newest [`Call`].
pub struct HookRunner {
    attention: Attention,
    status: Arc<HaStatus>,
    /// The last call that succeeded.
    finished: Call,
    /// Delay before the next attempt.
    backoff: Duration,
}

impl HookRunner {
    /// A runner that has run no command yet.
    pub fn new(attention: Attention, status: Arc<HaStatus>) -> HookRunner {
        HookRunner {
            attention,
            status,
            finished: Call::none(),
            backoff: MIN_BACKOFF,
        }
    }

    /// Runs the commands until the sender of `calls` is dropped and the last command has ended.
    pub async fn run(mut self, mut calls: watch::Receiver<Call>) {
        loop {
            let call = calls.borrow_and_update().clone();
            let retry = self.run_if_due(&call, &mut calls).await;
            let is_last = call.trigger == Trigger::Shutdown;

            tokio::select! {
                changed = calls.changed() => if changed.is_err() {
                    return;
                },
                () = wait(retry), if !is_last => {}
            }
        }
    }

    /// Runs the command of `call`, unless it has already succeeded. Returns when to retry.
    async fn run_if_due(
        &mut self,
        call: &Call,
        calls: &mut watch::Receiver<Call>,
    ) -> Option<Instant> {
        if call.is_same_run(&self.finished) {
            return None;
        }
        // The role has no command. Finish it all the same, so that the next role's command runs.
        let Some(hook) = &call.hook else {
            self.finish(call);
            return None;
        };

        let began = Instant::now();
        match self.run_one(hook, call, calls).await {
            Ok(()) => {
                tracing::info!(%hook, elapsed = ?began.elapsed(), "Command of the role has run");
                self.report(call, "done");
                self.finish(call);
                None
            }
            // How far the command got is not known, so it must run again even if the old role
            // returns.
            Err(HookError::Superseded) => {
                self.finished = Call::none();
                self.backoff = MIN_BACKOFF;
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
        self.report(call, "running");
        let mut child = Child::start(hook, &call.environment)?;

        let newer = async {
            loop {
                // The sender is dropped: no newer call can come, so let the command finish.
                if calls.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                if !calls.borrow().is_same_run(call) {
                    return;
                }
            }
        };
        tokio::select! {
            ended = child.wait(call.limit()) => return ended,
            () = newer => {}
        }
        child.terminate().await;
        // `changed` above consumed the notification, but `run` must still see the newer call.
        calls.mark_changed();
        Err(HookError::Superseded)
    }

    fn failed(&mut self, hook: &Hook, call: &Call, error: &HookError) -> Instant {
        let what = format!("the command of this gateway's role has failed: {hook}: {error}");
        self.attention
            .raise(FAILED, &what, "correct it: it is retried automatically");
        self.report(call, "failed");

        let next = Instant::now() + self.backoff;
        self.backoff = (self.backoff * 2).min(MAX_BACKOFF);
        next
    }

    fn finish(&mut self, call: &Call) {
        self.attention.clear(FAILED);
        self.finished = call.clone();
        self.backoff = MIN_BACKOFF;
    }

    fn report(&self, call: &Call, state: &str) {
        let hook = call.hook.as_ref().map(|hook| HookReport {
            command: hook.to_string(),
            state: state.to_owned(),
            at: rfc3339(SystemTime::now()),
        });

        self.status.hook.store(Arc::new(hook));
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
