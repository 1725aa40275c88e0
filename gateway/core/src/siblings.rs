//! [`Siblings`]: elects the active gateway of this site. Each gateway runs the election for itself,
//! on what its siblings report and on whether they answer; all of them arrive at the same result.
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
//!
//! Messages, sessions and probes belong to the tunnels.

mod hand_over;
mod sibling;
mod stored_secrets;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ringway_config::GatewayId;

use crate::message::{Answer, SiblingState};
use crate::rank::{self, Place, Rank};
use crate::secret::Secret;
use crate::settings::Settings;
use crate::standing::{RoleReason, SiteRole, Standing};
use hand_over::HandOver;
use sibling::Sibling;
pub(crate) use sibling::View;
pub use sibling::{Contact, Refusal};
use stored_secrets::StoredSecrets;

/// The longest time between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How long a gateway that is asked to take over, and whose own echoes are late, waits for one; and
/// the time between its polls meanwhile.
const UNCONFIRMED_FOR: Duration = Duration::from_millis(300);
const SHORT_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A pause between two polls that means that this process was stopped (SIGSTOP, a paused VM).
const STOPPED: Duration = Duration::from_secs(1);

/// How long a gateway must have been preferred to the active one before it takes over.
const PREEMPTION_DELAY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Siblings {
    me: GatewayId,
    rank: Rank,
    role: SiteRole,
    reason: RoleReason,
    gap: Option<Duration>,
    known: BTreeMap<GatewayId, Sibling>,
    secrets: StoredSecrets,
    /// The highest epoch seen so far.
    highest: u64,
    /// The sibling that was active last.
    former: Option<GatewayId>,
    /// Our tunnels to other sites that carry packets.
    tunnels: u16,
    /// Incremented with every state that is sent to siblings.
    serial: u64,
    hand_over: HandOver,
    /// The names of the interfaces to the site's network, if none of them has a carrier.
    no_carrier: Option<String>,
    /// Since when this gateway would take over if an echo from another site arrived.
    unconfirmed_since: Option<Instant>,
    preferred_since: Option<Instant>,
    /// Takeovers by this gateway, by reason.
    takeovers: BTreeMap<&'static str, u64>,
    last_poll: Instant,
    next_poll: Instant,
    /// What [`Siblings::poll_standing`] returned last.
    reported: Option<Standing>,
}

/// This gateway's tunnels to other sites.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uplinks {
    /// How many carry packets.
    pub(crate) alive: u16,
    /// On one of them, no echo is late.
    pub(crate) is_confirmed: bool,
    /// Some have a session, whether it carries packets or not.
    pub(crate) has_sessions: bool,
}

/// The gateways of this site, for operators. This gateway's own role is reported by
/// [`Action::Role`](crate::Action::Role).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteStatus {
    /// This gateway asks a sibling to take over.
    pub hands_over: bool,
    /// The names of the interfaces to the site's network, if none of them has a carrier.
    pub no_carrier: Option<String>,
    /// Our tunnels to other sites that carry packets.
    pub tunnels: u16,
    /// Takeovers by this gateway, by reason.
    pub takeovers: BTreeMap<&'static str, u64>,
    /// The other gateways of the site.
    pub siblings: BTreeMap<GatewayId, SiblingStatus>,
}

/// One sibling, for operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiblingStatus {
    /// Whether it is alive.
    pub contact: Contact,
    /// The state that it reported last.
    pub state: Option<SiblingState>,
}

impl Siblings {
    pub(crate) fn new(me: GatewayId, settings: &Settings, now: Instant) -> Siblings {
        Siblings {
            me,
            rank: Rank {
                epoch: 0,
                preference: settings.preference,
            },
            role: SiteRole::Standby,
            reason: RoleReason::Starting,
            gap: None,
            known: BTreeMap::new(),
            secrets: StoredSecrets::new(settings.sibling_secrets.clone()),
            highest: 0,
            former: None,
            tunnels: 0,
            serial: u64::from(settings.starts) << 32,
            hand_over: HandOver::default(),
            no_carrier: None,
            unconfirmed_since: None,
            preferred_since: None,
            takeovers: BTreeMap::new(),
            last_poll: now,
            next_poll: now,
            reported: None,
        }
    }

    /// Replaces the set of the site's other gateways.
    pub(crate) fn set_siblings(&mut self, siblings: &BTreeSet<GatewayId>, now: Instant) {
        self.known.retain(|id, _| siblings.contains(id));
        for id in siblings {
            let known = self.known.entry(id.clone());
            known.or_insert_with(|| Sibling::new(self.secrets.get(id), now));
        }
        self.next_poll = now;
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &GatewayId> {
        self.known.keys()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The state that this gateway reports to its siblings.
    pub(crate) fn state(&self) -> SiblingState {
        SiblingState {
            rank: self.rank,
            is_active: self.role == SiteRole::Active,
            hands_over: self.hand_over.is_requested(),
            no_carrier: self.no_carrier.is_some(),
            tunnels: self.tunnels,
            serial: self.serial,
        }
    }

    /// The state to send to the siblings, unless it equals `sent`, the last one.
    pub(crate) fn next_state(&mut self, sent: &SiblingState) -> Option<SiblingState> {
        if self.state() == *sent {
            return None;
        }

        self.serial += 1;
        Some(self.state())
    }

    /// Whether this gateway announces the site's prefixes. A standby does so too, at its lower
    /// rank; a gateway that cannot reach the site's hosts does not.
    pub(crate) fn claims_site(&self) -> bool {
        self.role == SiteRole::Active || self.no_carrier.is_none()
    }

    /// Sets the preference from the configuration. False if it is unchanged.
    pub(crate) fn set_preference(&mut self, preference: u32, now: Instant) -> bool {
        if self.rank.preference == preference {
            return false;
        }

        self.rank.preference = preference;
        self.preferred_since = None;
        self.next_poll = now;
        true
    }

    /// `lost`: the interfaces to the site's network, if none of them has a carrier. False if
    /// nothing has changed.
    pub(crate) fn set_carrier(&mut self, lost: Option<String>, now: Instant) -> bool {
        if self.no_carrier == lost {
            return false;
        }

        self.no_carrier = lost;
        self.next_poll = now;
        true
    }

    /// Starts or cancels the hand-over before this gateway stops or is drained.
    pub(crate) fn set_leaving(&mut self, leaving: bool, now: Instant) {
        self.hand_over.set_leaving(leaving);
        self.next_poll = now;
    }

    /// Records the time of this poll. After a long pause between two polls, the process was
    /// stopped: a sibling may have taken over, and has closed our sessions.
    pub(crate) fn note_poll(&mut self, now: Instant) {
        if self.last_poll + STOPPED <= now {
            self.reset_contacts(now);
        }
        self.last_poll = now;
    }

    /// This host was suspended: a sibling may have taken over in the meantime.
    pub(crate) fn reset_contacts(&mut self, now: Instant) {
        for sibling in self.known.values_mut() {
            sibling.reset_contact(now);
        }
    }

    /// Updates a sibling from the state of the tunnel to it. `timeout`: how long to wait for
    /// answers of peers about it.
    pub(crate) fn observe(&mut self, id: &GatewayId, view: View, timeout: Duration, now: Instant) {
        if let Some(sibling) = self.known.get_mut(id) {
            sibling.observe(view, timeout, now);
        }
    }

    /// The siblings about which to query peers now.
    pub(crate) fn due_queries(&self, now: Instant) -> Vec<GatewayId> {
        // The active gateway does not need proof of siblings that answer. Without a carrier it
        // does: only through peers can it learn that a sibling has taken over.
        let may_change_role = self.role == SiteRole::Standby || self.no_carrier.is_some();
        let siblings = self.known.iter();

        siblings
            .filter(|(_, sibling)| sibling.is_query_due(may_change_role, now))
            .map(|(id, _)| id.clone())
            .collect()
    }

    pub(crate) fn note_query(&mut self, id: &GatewayId, nonce: [u8; 16], now: Instant) {
        if let Some(sibling) = self.known.get_mut(id) {
            sibling.note_query(nonce, now);
        }
    }

    /// Handles a sibling's proof that it is alive. False if the proof is invalid or outdated.
    pub(crate) fn handle_proof(
        &mut self,
        id: &GatewayId,
        nonce: [u8; 16],
        answer: Answer,
        now: Instant,
    ) -> bool {
        let sibling = self.known.get_mut(id);

        sibling.is_some_and(|sibling| sibling.handle_proof(nonce, answer, now))
    }

    /// The siblings' secrets, if the state directory has others.
    pub(crate) fn secrets_to_store(&mut self, now: Instant) -> Option<BTreeMap<GatewayId, Secret>> {
        let known = self.known.iter();
        let secrets = known.filter_map(|(id, sibling)| Some((id.clone(), sibling.secret()?)));

        self.secrets.replace(secrets.collect(), now)
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next_poll <= now
    }

    /// When to poll again without an event.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        (!self.known.is_empty()).then_some(self.next_poll)
    }

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

        let deadlines = self.known.values().filter_map(Sibling::deadline);
        let deadlines = deadlines.filter(|at| *at > now);
        let interval = match self.unconfirmed_since {
            Some(_) => SHORT_POLL_INTERVAL,
            None => POLL_INTERVAL,
        };
        let latest = now + interval;
        self.next_poll = deadlines.min().map_or(latest, |at| at.min(latest));
    }

    /// The role of this gateway, if it has changed since the last call.
    pub(crate) fn poll_standing(&mut self) -> Option<Standing> {
        let standing = self.standing();
        if self.reported.as_ref() == Some(&standing) {
            return None;
        }

        self.reported = Some(standing.clone());
        Some(standing)
    }

    pub(crate) fn status(&self) -> SiteStatus {
        let siblings = self.known.iter().map(|(id, sibling)| {
            let status = SiblingStatus {
                contact: sibling.contact,
                state: sibling.state,
            };
            (id.clone(), status)
        });

        SiteStatus {
            hands_over: self.hand_over.is_requested(),
            no_carrier: self.no_carrier.clone(),
            tunnels: self.tunnels,
            takeovers: self.takeovers.clone(),
            siblings: siblings.collect(),
        }
    }

    fn standing(&self) -> Standing {
        Standing {
            role: self.role,
            epoch: self.rank.epoch,
            reason: self.reason.clone(),
            gap: self.gap,
        }
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
        let me = self.me.clone();
        let state = self.state();
        let ours = precedence(&me, &state);

        // A sibling that may be alive and would take precedence delays the decision. After the
        // start, so does one whose state is still unknown.
        let is_starting = self.reason == RoleReason::Starting;
        let must_wait = self.known.iter().any(|(id, sibling)| {
            let precedes = sibling.state.map(|state| precedence(id, &state) > ours);
            sibling.is_undecided() && precedes.unwrap_or(is_starting)
        });
        if must_wait {
            return;
        }

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
