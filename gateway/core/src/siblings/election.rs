//! The election: decides from the states of the siblings whether this gateway is the active one.
//!
//! ```text
//!   Standby ── no living sibling takes precedence ──► Active, with the next epoch
//!      ▲                                                │
//!      └──── a sibling has a higher epoch ◄─────────────┘
//! ```
//! A sibling whose state is undecided delays a takeover. A sibling that is partitioned but alive
//! prevents it. Precedence, highest first: a carrier on the site's network, no hand-over in
//! progress, epoch, preference, lower identity. The active gateway stays active until another one
//! has taken over. Equal epochs mean that two gateways took over at the same time: the one with
//! precedence takes the next epoch.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use ringway_config::GatewayId;

use super::sibling::Sibling;
use super::{Contact, Refusal, Siblings, Uplinks};
use crate::message::SiblingState;
use crate::rank::{self, Place};
use crate::standing::{RoleReason, SiteRole};

/// The longest time between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How long a gateway that is asked to take over, and whose own echoes are late, waits for one; and
/// the time between its polls meanwhile.
const UNCONFIRMED_FOR: Duration = Duration::from_millis(300);
const SHORT_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long a gateway must have been preferred to the active one before it takes over.
const PREEMPTION_DELAY: Duration = Duration::from_secs(60);

impl Siblings {
    /// Runs the election.
    pub(crate) fn elect(&mut self, uplinks: &Uplinks, now: Instant) {
        self.tunnels = uplinks.alive;
        if uplinks.is_confirmed {
            self.unconfirmed_since = None;
        }
        self.note_reported_states();
        self.update_hand_over(uplinks.has_sessions, now);

        if self.known.is_empty() {
            self.set_role(SiteRole::Active, RoleReason::Alone, None);
        } else if let Some(reason) = self.refusal() {
            self.set_role(SiteRole::Standby, reason, None);
        } else if self.role == SiteRole::Active {
            self.stay_or_stand_down();
        } else {
            self.take_over_or_stand_by(uplinks.is_confirmed, now);
        }

        self.schedule(now);
    }

    /// Sets the time of the next poll.
    fn schedule(&mut self, now: Instant) {
        let deadlines = self.known.values().filter_map(Sibling::deadline);
        let deadlines = deadlines.filter(|at| *at > now);
        let interval = match self.unconfirmed_since {
            Some(_) => SHORT_POLL_INTERVAL,
            None => POLL_INTERVAL,
        };
        let latest = now + interval;
        self.next_poll = deadlines.min().map_or(latest, |at| at.min(latest));
    }

    fn note_reported_states(&mut self) {
        for (id, sibling) in &self.known {
            let Some(state) = sibling.state else {
                continue;
            };
            self.highest = rank::next([self.highest, state.rank.epoch].into_iter()) - 1;
            if state.is_active && sibling.is_alive() {
                self.former = Some(id.clone());
            }
        }
    }

    /// Compares our tunnels with those of the siblings that could take over.
    fn update_hand_over(&mut self, has_sessions: bool, now: Instant) {
        let has_carrier = self.no_carrier.is_none();
        let answering = self.known.values().filter(|s| s.contact == Contact::Heard);
        let candidates = answering
            .filter_map(|sibling| sibling.state)
            .filter(|state| !(state.hands_over || has_carrier && state.no_carrier));

        let most = candidates.map(|state| state.tunnels).max();
        self.hand_over.update(self.tunnels, most, has_sessions, now);
    }

    /// Why this gateway must not be active although no sibling is alive as far as it knows: another
    /// daemon has its identity and its place; or it has no tunnel to be active for, and its own
    /// certificate may be the one that is not accepted.
    fn refusal(&self) -> Option<RoleReason> {
        let mut contacts = self.known.values().map(|sibling| sibling.contact);
        if contacts.any(|contact| contact == Contact::Heard) {
            return None;
        }

        if let Some(sibling) = self.refusing(Refusal::Copy) {
            return Some(RoleReason::Replaced(sibling));
        }
        self.refusing(Refusal::Certificate)
            .filter(|_| self.tunnels == 0)
            .map(RoleReason::Refused)
    }

    fn refusing(&self, refusal: Refusal) -> Option<GatewayId> {
        let mut known = self.known.iter();
        let found = known.find(|(_, sibling)| sibling.contact == Contact::Refused(refusal));

        found.map(|(id, _)| id.clone())
    }

    fn stay_or_stand_down(&mut self) {
        if let Some(active) = self.superseding_sibling() {
            // Our epoch can be the higher one only if a gateway has lied about its own. Lowered, it
            // does not keep the other from being active.
            let state = self.known.get(&active).and_then(|sibling| sibling.state);
            let theirs = state.map_or(0, |state| state.rank.epoch);
            if self.rank.epoch > theirs {
                self.rank.epoch = theirs.saturating_sub(1);
            }
            return self.stand_by(active);
        }

        // Two gateways have taken over at once, and this one takes precedence. A new epoch moves
        // the peers that use the other one.
        let epoch = self.rank.epoch;
        let is_equal = self
            .alive()
            .any(|(_, state)| state.is_active && state.rank.epoch == epoch);
        if is_equal {
            self.rank.epoch = self.next_epoch();
        }

        // The first sibling was added to the record.
        if self.reason == RoleReason::Alone {
            self.rank.epoch = self.next_epoch();
            self.set_role(SiteRole::Active, RoleReason::Vacant, None);
        }
    }

    /// A living sibling that is active and takes precedence over this gateway.
    fn superseding_sibling(&self) -> Option<GatewayId> {
        let state = self.state();
        let ours = precedence(&self.me, &state);
        let active = self.alive().filter(|(_, state)| state.is_active);
        let above = active.filter(|(id, state)| precedence(id, state) > ours);

        let highest = above.max_by_key(|(id, state)| precedence(id, state));
        highest.map(|(id, _)| id.clone())
    }

    fn take_over_or_stand_by(&mut self, is_confirmed: bool, now: Instant) {
        if self.must_wait() {
            return;
        }

        let state = self.state();
        let me = self.me.clone();
        let ours = precedence(&me, &state);
        let first = self.alive().max_by_key(|(id, state)| precedence(id, state));
        let first = first.map(|(id, state)| (id.clone(), *state));
        match first {
            Some((id, state)) if precedence(&id, &state) > ours => {
                if self.may_preempt(&id, &state, now) {
                    self.take_over(RoleReason::Preferred(id), now);
                } else {
                    self.stand_by(id);
                }
            }
            _ => {
                let reason = self.takeover_reason();
                if is_confirmed || !self.awaits_echo(&reason, now) {
                    self.take_over(reason, now);
                }
            }
        }
    }

    /// True while a sibling that may be alive would take precedence. After the start, so would one
    /// whose state is still unknown.
    fn must_wait(&self) -> bool {
        let state = self.state();
        let ours = precedence(&self.me, &state);
        let is_starting = self.reason == RoleReason::Starting;

        self.known.iter().any(|(id, sibling)| {
            let precedes = sibling.state.map(|state| precedence(id, &state) > ours);
            sibling.is_undecided() && precedes.unwrap_or(is_starting)
        })
    }

    /// True while this gateway may have lost its uplinks as well as the one that hands over: if all
    /// uplinks fail at once, one gateway notices first.
    fn awaits_echo(&mut self, reason: &RoleReason, now: Instant) -> bool {
        let RoleReason::HandedOver(former) = reason else {
            return false;
        };
        let state = self.known.get(former).and_then(|sibling| sibling.state);
        if state.is_some_and(|state| state.no_carrier) {
            return false;
        }

        now < *self.unconfirmed_since.get_or_insert(now) + UNCONFIRMED_FOR
    }

    /// True once this gateway has been preferred to the active one, and as well connected, for
    /// [`PREEMPTION_DELAY`].
    fn may_preempt(&mut self, id: &GatewayId, active: &SiblingState, now: Instant) -> bool {
        let is_heard = self
            .known
            .get(id)
            .is_some_and(|sibling| sibling.contact == Contact::Heard);
        let is_better = self.rank.preference > active.rank.preference
            && self.tunnels >= active.tunnels
            && !self.hand_over.is_requested()
            && self.no_carrier.is_none();
        if !is_heard || !is_better {
            self.preferred_since = None;
            return false;
        }

        *self.preferred_since.get_or_insert(now) + PREEMPTION_DELAY <= now
    }

    fn takeover_reason(&self) -> RoleReason {
        let Some(former) = &self.former else {
            return RoleReason::Vacant;
        };
        let sibling = self.known.get(former);

        match sibling.map(|sibling| sibling.contact) {
            Some(Contact::Silent | Contact::Refused(_)) => RoleReason::Silent(former.clone()),
            Some(Contact::Heard | Contact::Apart { .. })
                if sibling
                    .and_then(|sibling| sibling.state)
                    .is_some_and(|state| state.hands_over || state.no_carrier) =>
            {
                RoleReason::HandedOver(former.clone())
            }
            _ => RoleReason::Left(former.clone()),
        }
    }

    /// Becomes or stays standby because `active` is the active gateway.
    fn stand_by(&mut self, active: GatewayId) {
        let reason = match self.no_carrier.clone() {
            Some(interfaces) => RoleReason::NoCarrier { interfaces, active },
            None => RoleReason::Outranked(active),
        };

        self.set_role(SiteRole::Standby, reason, None);
    }

    fn take_over(&mut self, reason: RoleReason, now: Instant) {
        let gap = match &reason {
            RoleReason::Silent(former) | RoleReason::Left(former) => self
                .known
                .get(former)
                .and_then(|sibling| sibling.heard)
                .map(|heard| now.saturating_duration_since(heard)),
            RoleReason::HandedOver(_) | RoleReason::Preferred(_) => Some(Duration::ZERO),
            _ => None,
        };

        self.rank.epoch = self.next_epoch();
        *self.takeovers.entry(reason.word()).or_default() += 1;
        self.former = None;
        self.unconfirmed_since = None;
        self.preferred_since = None;
        self.set_role(SiteRole::Active, reason, gap);
    }

    fn next_epoch(&self) -> u64 {
        rank::next([self.highest, self.rank.epoch].into_iter())
    }

    fn set_role(&mut self, role: SiteRole, reason: RoleReason, gap: Option<Duration>) {
        if role != self.role {
            self.gap = gap;
        }
        self.role = role;
        self.reason = reason;
    }

    /// The siblings that are alive and have reported a state.
    fn alive(&self) -> impl Iterator<Item = (&GatewayId, &SiblingState)> {
        let alive = self.known.iter().filter(|(_, sibling)| sibling.is_alive());

        alive.filter_map(|(id, sibling)| Some((id, sibling.state.as_ref()?)))
    }
}

/// The gateway with the greatest value becomes the active one. A gateway that is drained or has no
/// uplink still takes precedence over one that does not reach the site's hosts.
fn precedence<'s>(id: &'s GatewayId, state: &SiblingState) -> (bool, bool, Place<'s>) {
    let place = (state.rank, Reverse(id));

    (!state.no_carrier, !state.hands_over, place)
}
