//! [`RouteKeeper`]: keeps the kernel's routes equal to the plan. One comparison runs at a time,
//! with the latest plan; it is repeated periodically even without a known change.
//!
//! ```text
//!   Waiting(until) ── plan changed, or time ──► Syncing ── answer ──► Waiting(RECONCILE,
//!                                                              or RETRY if something was refused)
//! ```

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ringway_config::Prefix;
use ringway_intent::{RoutePlan, tunnelled};

use crate::input::RoutesOutcome;

/// Pause after a refusal.
const RETRY: Duration = Duration::from_secs(1);

/// Another program may have changed the kernel's routes: they are compared at least this often.
/// Notifications of the kernel hasten that.
const RECONCILE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct RouteKeeper {
    plan: RoutePlan,
    /// The plan has not been compared yet.
    is_new: bool,
    /// The kernel has reported a change during the comparison.
    again: bool,
    /// Until then only a new plan is compared.
    rest: Instant,
    state: State,
    /// Prefixes whose packets go through a tunnel, as far as the kernel is known to follow.
    installed: BTreeSet<Prefix>,
}

#[derive(Debug)]
enum State {
    /// Until when there is nothing to do, unless the plan changes.
    Waiting(Instant),
    /// This plan is being compared.
    Syncing(RoutePlan),
}

impl RouteKeeper {
    /// A keeper that compares at once.
    pub(crate) fn new(plan: RoutePlan, now: Instant) -> RouteKeeper {
        RouteKeeper {
            plan,
            is_new: true,
            again: false,
            rest: now,
            state: State::Waiting(now),
            installed: BTreeSet::new(),
        }
    }

    /// Sets the plan. It is compared even if it is unchanged: the kernel drops routes with their
    /// device.
    pub(crate) fn set_plan(&mut self, plan: RoutePlan) {
        self.plan = plan;
        self.is_new = true;
    }

    /// Another program may have changed rules or routes.
    pub(crate) fn changed(&mut self, now: Instant) {
        match &mut self.state {
            State::Waiting(until) => *until = now,
            State::Syncing(_) => self.again = true,
        }
    }

    /// Ignores changes by other programs until then: they undo each restoration.
    pub(crate) fn rest(&mut self, until: Instant) {
        self.rest = until;
    }

    /// The plan to compare now. The answer goes to [`RouteKeeper::synced`].
    pub(crate) fn poll(&mut self, now: Instant) -> Option<RoutePlan> {
        // One comparison at a time: a second one would undo what the first has just done.
        let State::Waiting(until) = self.state else {
            return None;
        };
        if !self.is_new && now < until.max(self.rest) {
            return None;
        }

        self.is_new = false;
        self.state = State::Syncing(self.plan.clone());
        Some(self.plan.clone())
    }

    /// How far the kernel followed.
    pub(crate) fn synced(&mut self, outcome: &RoutesOutcome, now: Instant) {
        let State::Syncing(plan) = &self.state else {
            return;
        };
        // The plan that was compared. `self.plan` may be newer, and is compared next.

        let wanted = tunnelled(plan);

        self.installed = match outcome {
            RoutesOutcome::Done => wanted,
            RoutesOutcome::Refused(refused) => &wanted - &refused.iter().copied().collect(),
            // Installed routes that are still planned were not touched.
            RoutesOutcome::Failed => &wanted & &self.installed,
        };

        let pause = match outcome {
            RoutesOutcome::Done => RECONCILE,
            RoutesOutcome::Refused(_) | RoutesOutcome::Failed => RETRY,
        };
        let pause = if std::mem::take(&mut self.again) {
            Duration::ZERO
        } else {
            pause
        };
        self.state = State::Waiting(now + pause);
    }

    /// When to poll again, at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting(until) => Some(until.max(self.rest)),
            State::Syncing(_) => None,
        }
    }

    /// True if the latest plan was compared, with success or without.
    pub(crate) fn is_settled(&self) -> bool {
        !self.is_new && matches!(self.state, State::Waiting(_))
    }

    /// Every prefix of the plan.
    pub(crate) fn planned(&self) -> impl Iterator<Item = Prefix> + '_ {
        self.plan.keys().copied()
    }

    pub(crate) fn installed(&self) -> &BTreeSet<Prefix> {
        &self.installed
    }
}

#[cfg(test)]
mod tests {
    use ringway_intent::RouteState;

    use super::*;

    fn plan(prefixes: &[&str]) -> RoutePlan {
        let tunnel = RouteState::Tunnel {
            prefsrc: None,
            mtu: None,
        };
        prefixes
            .iter()
            .map(|prefix| (prefix.parse().unwrap(), tunnel))
            .collect()
    }

    fn installed(keeper: &RouteKeeper) -> Vec<String> {
        keeper.installed().iter().map(Prefix::to_string).collect()
    }

    #[test]
    fn the_latest_plan_follows_when_the_comparison_before_has_ended() {
        let now = Instant::now();
        let mut keeper = RouteKeeper::new(plan(&["10.1.0.0/16"]), now);
        assert_eq!(keeper.poll(now), Some(plan(&["10.1.0.0/16"])));

        keeper.set_plan(plan(&["10.2.0.0/16"]));
        keeper.set_plan(plan(&["10.3.0.0/16"]));
        assert_eq!(keeper.poll(now), None, "one at a time");

        keeper.synced(&RoutesOutcome::Done, now);
        assert_eq!(installed(&keeper), ["10.1.0.0/16"]);
        assert!(!keeper.is_settled());
        assert_eq!(keeper.poll(now), Some(plan(&["10.3.0.0/16"])));
    }

    #[test]
    fn a_refusal_is_tried_again_and_shows() {
        let now = Instant::now();
        let mut keeper = RouteKeeper::new(plan(&["10.1.0.0/16", "10.2.0.0/16"]), now);
        keeper.poll(now);
        let refused = vec!["10.1.0.0/16".parse().unwrap()];
        keeper.synced(&RoutesOutcome::Refused(refused), now);

        assert_eq!(installed(&keeper), ["10.2.0.0/16"]);
        assert_eq!(keeper.poll(now), None);
        assert!(keeper.poll(now + RETRY).is_some());

        // Nothing is known of the kernel now, but that it had 10.2.0.0/16.
        keeper.synced(&RoutesOutcome::Failed, now + RETRY);
        assert_eq!(installed(&keeper), ["10.2.0.0/16"]);
    }

    #[test]
    fn a_change_of_others_is_looked_at_at_once_unless_they_are_fought() {
        let now = Instant::now();
        let mut keeper = RouteKeeper::new(plan(&[]), now);
        keeper.poll(now);
        // It may have come too late for the comparison.
        keeper.changed(now);
        keeper.synced(&RoutesOutcome::Done, now);
        assert!(keeper.poll(now).is_some());
        keeper.synced(&RoutesOutcome::Done, now);

        keeper.rest(now + RECONCILE * 10);
        keeper.changed(now);
        assert_eq!(keeper.poll(now + RECONCILE * 9), None);
        assert_eq!(keeper.poll_timeout(), Some(now + RECONCILE * 10));
        keeper.set_plan(plan(&["10.1.0.0/16"]));
        assert!(keeper.poll(now).is_some(), "a new plan does not wait");
    }

    #[test]
    fn routes_are_compared_now_and_then_although_nothing_changed() {
        let now = Instant::now();
        let mut keeper = RouteKeeper::new(plan(&[]), now);
        keeper.poll(now);
        keeper.synced(&RoutesOutcome::Done, now);

        assert_eq!(keeper.poll(now + RECONCILE / 2), None);
        assert_eq!(keeper.poll_timeout(), Some(now + RECONCILE));
        assert!(keeper.poll(now + RECONCILE).is_some());
    }
}
