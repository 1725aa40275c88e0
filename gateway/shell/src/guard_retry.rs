//! [`GuardRetry`]: a guard that the kernel refused is tried again until it is in force.
//!
//! Until then the guard of before stays in force, and the watch restores it if another program
//! changes it. It does not know networks that the host has joined since, nor what a refused reload
//! has taken away.

use std::time::{Duration, Instant};

use ringway_intent::{Finding, Remedy};

/// How long after a refusal it is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct GuardRetry {
    /// What needs attention, until the guard is in force.
    is_refused: bool,
    /// When to try again.
    due: Option<Instant>,
}

impl GuardRetry {
    /// The name of what needs attention while the guard is refused.
    pub(crate) fn name() -> String {
        "guard".into()
    }

    /// The kernel has refused the guard of what is in force, with this error.
    pub(crate) fn refused(&mut self, error: &str, now: Instant) -> Finding {
        self.is_refused = true;
        self.due = Some(now + RETRY);

        Finding {
            name: GuardRetry::name(),
            what: format!(
                "the guard is older than the host's networks and the configuration, and is tried \
                 again: {error}"
            ),
            remedy: Remedy::command("nft list ruleset"),
        }
    }

    /// The guard of what is in force is in the kernel. True if it was refused before.
    pub(crate) fn accepted(&mut self) -> bool {
        self.due = None;

        std::mem::take(&mut self.is_refused)
    }

    /// True if it must be tried now.
    pub(crate) fn poll(&mut self, now: Instant) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }

    /// When to poll, if at all.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }
}
