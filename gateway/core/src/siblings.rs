//! [`Siblings`]: which gateway of this site is the active one. Decides for this gateway alone, from
//! what its siblings say and whether they answer; every gateway of the site comes to the same
//! result.
//!
//! ```text
//!   Standby ── no living sibling goes before it ──► Active, with the next epoch
//!      ▲                                              │
//!      └── a sibling has a higher epoch ◄─────────────┘
//! ```
//! A sibling that is in doubt holds a takeover up, one that is cut off but alive prevents it. A
//! gateway that hands over goes after all others, and after these one whose interface to the site's
//! network has no carrier; but each stays active until another one is. An equal epoch means that
//! two took over at once: preference, then the lower identity decides, and that one takes the next
//! epoch.
//!
//! Messages, sessions and probes are the tunnels'.

mod sibling;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ringway_config::GatewayId;

use crate::message::{Answer, SiblingState};
use crate::rank::{self, Place, Rank};
use crate::secret::Secret;
use crate::settings::Settings;
use crate::standing::{RoleReason, SiteRole, Standing};
pub use sibling::Contact;
use sibling::Sibling;
pub(crate) use sibling::View;

/// How often tunnels are counted.
const TICK: Duration = Duration::from_millis(100);

/// A gateway that looks later than that after its last look stood still.
const STILL: Duration = Duration::from_secs(1);

/// How long a sibling has had clearly more tunnels before this gateway hands over.
const FEWER: Duration = Duration::from_secs(1);

/// How long a preferred gateway waits before it takes the place of another.
const RETURN: Duration = Duration::from_secs(60);

/// Least time between two orders to keep what siblings prove to be alive by: one of them could say
/// something else all the time.
const KEEP_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Siblings {
    me: GatewayId,
    rank: Rank,
    role: SiteRole,
    reason: RoleReason,
    gap: Option<Duration>,
    known: BTreeMap<GatewayId, Sibling>,
    /// What siblings prove to be alive by, as it outlives this run; and since when.
    kept: BTreeMap<GatewayId, Secret>,
    kept_at: Option<Instant>,
    /// The highest epoch that was seen.
    highest: u64,
    /// The sibling that was active last.
    former: Option<GatewayId>,
    /// Our tunnels that carry packets.
    tunnels: u16,
    /// Counts what siblings were told.
    serial: u64,
    is_leaving: bool,
    hands_over: bool,
    /// The interfaces to the site's network that have no carrier, if none has one.
    no_carrier: Option<String>,
    fewer_since: Option<Instant>,
    preferred_since: Option<Instant>,
    /// How often it became active, by reason.
    takeovers: BTreeMap<&'static str, u64>,
    looked: Instant,
    /// When to look again.
    next: Instant,
    told: Option<Standing>,
}

/// What this gateway knows of its site's gateways, for operators. Its role comes by
/// [`Action::Role`](crate::Action::Role).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteStatus {
    /// It asks a sibling to take over.
    pub hands_over: bool,
    /// Its interfaces to the site's network, if none of them has a carrier.
    pub no_carrier: Option<String>,
    /// Its tunnels to other sites that carry packets.
    pub tunnels: u16,
    /// How often it became active, by reason.
    pub takeovers: BTreeMap<&'static str, u64>,
    /// The other gateways of the site.
    pub siblings: BTreeMap<GatewayId, SiblingStatus>,
}

/// What is known of a sibling, for operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiblingStatus {
    /// Whether it answers.
    pub contact: Contact,
    /// What it said last.
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
            kept: settings.sibling_secrets.clone(),
            kept_at: None,
            highest: 0,
            former: None,
            tunnels: 0,
            serial: u64::from(settings.starts) << 32,
            is_leaving: false,
            hands_over: false,
            no_carrier: None,
            fewer_since: None,
            preferred_since: None,
            takeovers: BTreeMap::new(),
            looked: now,
            next: now,
            told: None,
        }
    }

    /// These are the other gateways of our site now.
    pub(crate) fn follow(&mut self, siblings: &BTreeSet<GatewayId>, now: Instant) {
        self.known.retain(|id, _| siblings.contains(id));
        for id in siblings {
            let known = self.known.entry(id.clone());
            known.or_insert_with(|| Sibling::new(self.kept.get(id).copied(), now));
        }
        self.next = now;
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &GatewayId> {
        self.known.keys()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// What this gateway says of itself to its siblings.
    pub(crate) fn state(&self) -> SiblingState {
        SiblingState {
            rank: self.rank,
            is_active: self.role == SiteRole::Active,
            hands_over: self.hands_over,
            no_carrier: self.no_carrier.is_some(),
            tunnels: self.tunnels,
            serial: self.serial,
        }
    }

    /// What the siblings are to be told, if it is not what they were told last.
    pub(crate) fn next_state(&mut self, told: &SiblingState) -> Option<SiblingState> {
        if self.state() == *told {
            return None;
        }

        self.serial += 1;
        Some(self.state())
    }

    /// A standby carries what comes, too; but not without a way to the site's hosts.
    pub(crate) fn claims_site(&self) -> bool {
        self.role == SiteRole::Active || self.no_carrier.is_none()
    }

    /// The operator wants another preference. False if that is known.
    pub(crate) fn prefer(&mut self, preference: u32, now: Instant) -> bool {
        if self.rank.preference == preference {
            return false;
        }

        self.rank.preference = preference;
        self.preferred_since = None;
        self.next = now;
        true
    }

    /// These interfaces to the site's network have no carrier, and no other has. False if that is
    /// known.
    pub(crate) fn set_carrier(&mut self, lost: Option<String>, now: Instant) -> bool {
        if self.no_carrier == lost {
            return false;
        }

        self.no_carrier = lost;
        self.next = now;
        true
    }

    /// This gateway leaves, or does not any more.
    pub(crate) fn set_leaving(&mut self, leaving: bool, now: Instant) {
        self.is_leaving = leaving;
        self.next = now;
    }

    /// This gateway looks around. If it was stopped for a while, another one may be active since,
    /// and has given our sessions up.
    pub(crate) fn look(&mut self, now: Instant) {
        if self.looked + STILL <= now {
            self.forget(now);
        }
        self.looked = now;
    }

    /// This gateway itself has slept: another one may be active since.
    pub(crate) fn forget(&mut self, now: Instant) {
        for sibling in self.known.values_mut() {
            sibling.forget(now);
        }
    }

    /// Takes what the tunnel to a sibling shows.
    pub(crate) fn observe(&mut self, id: &GatewayId, view: View, patience: Duration, now: Instant) {
        if let Some(sibling) = self.known.get_mut(id) {
            sibling.observe(view, patience, now);
        }
    }

    /// The siblings that peers are to be asked about.
    pub(crate) fn to_be_asked(&self, now: Instant) -> Vec<GatewayId> {
        // The active one has nothing to decide about those that it hears, unless it wants to hear
        // that another one is active.
        let decides = self.role == SiteRole::Standby || self.no_carrier.is_some();
        let open = self.known.iter();

        open.filter(|(_, sibling)| sibling.is_to_be_asked(decides, now))
            .map(|(id, _)| id.clone())
            .collect()
    }

    pub(crate) fn asked(&mut self, id: &GatewayId, nonce: [u8; 16], now: Instant) {
        if let Some(sibling) = self.known.get_mut(id) {
            sibling.asked(nonce, now);
        }
    }

    /// Takes a sibling's proof that it is alive.
    pub(crate) fn proved(
        &mut self,
        id: &GatewayId,
        nonce: [u8; 16],
        answer: Answer,
        now: Instant,
    ) -> bool {
        let sibling = self.known.get_mut(id);

        sibling.is_some_and(|sibling| sibling.proved(nonce, answer, now))
    }

    /// What siblings prove to be alive by, if it is not what is kept for the next start.
    pub(crate) fn secrets_to_keep(&mut self, now: Instant) -> Option<BTreeMap<GatewayId, Secret>> {
        if self.kept_at.is_some_and(|kept| now < kept + KEEP_AGAIN) {
            return None;
        }
        let known = self.known.iter();
        let secrets = known.filter_map(|(id, sibling)| Some((id.clone(), sibling.secret()?)));
        let secrets = secrets.collect();
        if self.kept == secrets {
            return None;
        }

        self.kept_at = Some(now);
        self.kept.clone_from(&secrets);
        Some(secrets)
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next <= now
    }

    /// When to look again although nothing happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        (!self.known.is_empty()).then_some(self.next)
    }

    /// Decides. `tunnels`: of ours to other sites, how many carry packets.
    pub(crate) fn decide(&mut self, tunnels: u16, now: Instant) {
        self.tunnels = tunnels;
        self.note_states();
        self.decide_hand_over(now);

        if self.known.is_empty() {
            self.set(SiteRole::Active, RoleReason::Alone, None);
        } else if self.role == SiteRole::Active {
            self.stay_or_stand_down();
        } else {
            self.take_over_or_wait(now);
        }

        let deadlines = self.known.values().filter_map(Sibling::deadline);
        let deadlines = deadlines.filter(|at| *at > now);
        self.next = deadlines.chain([now + TICK]).min().unwrap_or(now + TICK);
    }

    /// The role, if it is not the one that was told last.
    pub(crate) fn news(&mut self) -> Option<Standing> {
        let standing = self.standing();
        if self.told.as_ref() == Some(&standing) {
            return None;
        }

        self.told = Some(standing.clone());
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
            hands_over: self.hands_over,
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

    fn note_states(&mut self) {
        for (id, sibling) in &self.known {
            let Some(state) = sibling.state else {
                continue;
            };
            self.highest = rank::next([self.highest, state.rank.epoch].into_iter()) - 1;
            if state.is_active && sibling.lives() {
                self.former = Some(id.clone());
            }
        }
    }

    /// Hands over if a sibling has tunnels and this gateway has none, or clearly fewer for a while.
    fn decide_hand_over(&mut self, now: Instant) {
        let others = self.known.values().filter(|s| s.contact == Contact::Heard);
        let states = others.filter_map(|sibling| sibling.state);
        let has_carrier = self.no_carrier.is_none();
        let most = states.filter(|state| !(state.hands_over || has_carrier && state.no_carrier));
        let most = most.map(|state| state.tunnels).max().unwrap_or_default();

        let is_cut_off = self.tunnels == 0 && most > 0;
        let has_fewer = most >= self.tunnels.saturating_mul(2) && most >= self.tunnels + 2;
        if !has_fewer {
            self.fewer_since = None;
        }
        let since = has_fewer.then(|| *self.fewer_since.get_or_insert(now));
        let has_long = since.is_some_and(|since| since + FEWER <= now);

        self.hands_over = self.is_leaving || is_cut_off || has_long;
    }

    fn stay_or_stand_down(&mut self) {
        if let Some(active) = self.superior() {
            // A number that only a lie can have made must not keep the other from its place.
            let state = self.known.get(&active).and_then(|sibling| sibling.state);
            let theirs = state.map_or(0, |state| state.rank.epoch);
            if self.rank.epoch > theirs {
                self.rank.epoch = theirs.saturating_sub(1);
            }
            return self.stand_by(active);
        }

        // Two have taken over at once, and this one goes before the other: peers that use the
        // other must move, too. Or it was alone until now.
        let epoch = self.rank.epoch;
        let is_equal = self
            .living()
            .any(|(_, state)| state.is_active && state.rank.epoch == epoch);
        if is_equal {
            self.rank.epoch = self.next_epoch();
        }
        if self.reason == RoleReason::Alone {
            self.rank.epoch = self.next_epoch();
            self.set(SiteRole::Active, RoleReason::Vacant, None);
        }
    }

    /// A living sibling that is active in our place.
    fn superior(&self) -> Option<GatewayId> {
        let state = self.state();
        let ours = key(&self.me, &state);
        let active = self.living().filter(|(_, state)| state.is_active);
        let above = active.filter(|(id, state)| key(id, state) > ours);

        let highest = above.max_by_key(|(id, state)| key(id, state));
        highest.map(|(id, _)| id.clone())
    }

    fn take_over_or_wait(&mut self, now: Instant) {
        let me = self.me.clone();
        let state = self.state();
        let ours = key(&me, &state);
        let is_starting = self.reason == RoleReason::Starting;
        let is_held_up = self.known.iter().any(|(id, sibling)| {
            let before = sibling.state.map(|state| key(id, &state) > ours);
            sibling.is_open() && before.unwrap_or(is_starting)
        });
        if is_held_up {
            return;
        }

        let first = self.living().max_by_key(|(id, state)| key(id, state));
        let first = first.map(|(id, state)| (id.clone(), *state));
        match first {
            Some((id, state)) if key(&id, &state) > ours => {
                if self.may_return(&id, &state, now) {
                    self.take_over(RoleReason::Preferred(id), now);
                } else {
                    self.stand_by(id);
                }
            }
            _ => self.take_over(self.why_now(), now),
        }
    }

    /// True if this gateway was preferred to the active one, and as well connected, for a while.
    fn may_return(&mut self, id: &GatewayId, active: &SiblingState, now: Instant) -> bool {
        let is_heard = self
            .known
            .get(id)
            .is_some_and(|sibling| sibling.contact == Contact::Heard);
        let is_better = self.rank.preference > active.rank.preference
            && self.tunnels >= active.tunnels
            && !self.hands_over
            && self.no_carrier.is_none();
        if !is_heard || !is_better {
            self.preferred_since = None;
            return false;
        }

        *self.preferred_since.get_or_insert(now) + RETURN <= now
    }

    fn why_now(&self) -> RoleReason {
        let Some(former) = &self.former else {
            return RoleReason::Vacant;
        };
        let sibling = self.known.get(former);

        match sibling.map(|sibling| sibling.contact) {
            Some(Contact::Silent) => RoleReason::Silent(former.clone()),
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

    /// `active` goes before this gateway.
    fn stand_by(&mut self, active: GatewayId) {
        let reason = match self.no_carrier.clone() {
            Some(interfaces) => RoleReason::NoCarrier { interfaces, active },
            None => RoleReason::Outranked(active),
        };

        self.set(SiteRole::Standby, reason, None);
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
        self.preferred_since = None;
        self.set(SiteRole::Active, reason, gap);
    }

    fn next_epoch(&self) -> u64 {
        rank::next([self.highest, self.rank.epoch].into_iter())
    }

    fn set(&mut self, role: SiteRole, reason: RoleReason, gap: Option<Duration>) {
        if role != self.role {
            self.gap = gap;
        }
        self.role = role;
        self.reason = reason;
    }

    fn living(&self) -> impl Iterator<Item = (&GatewayId, &SiblingState)> {
        let living = self.known.iter().filter(|(_, sibling)| sibling.lives());

        living.filter_map(|(id, sibling)| Some((id, sibling.state.as_ref()?)))
    }
}

/// Who is active goes by this. One that is drained, or has no uplink, is still better than one that
/// does not reach the site's hosts.
fn key<'s>(id: &'s GatewayId, state: &SiblingState) -> (bool, bool, Place<'s>) {
    let place = (state.rank, Reverse(id));

    (!state.no_carrier, !state.hands_over, place)
}
