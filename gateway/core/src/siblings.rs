//! [`Siblings`]: the other gateways of this site, and the role of this one. Each gateway runs the
//! election for itself (`election`), on what its siblings report and on whether they answer
//! (`sibling`); all of them arrive at the same result.
//!
//! Messages, sessions and probes belong to the tunnels.

mod contact;
mod election;
mod hand_over;
mod sibling;
mod status;
mod stored_secrets;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ringway_config::GatewayId;

use crate::message::{Answer, SiblingState};
use crate::rank::Rank;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::standing::{RoleReason, SiteRole, Standing};
pub(crate) use contact::View;
pub use contact::{Contact, Refusal};
use hand_over::HandOver;
use sibling::Sibling;
pub use status::{SiblingSettings, SiblingStatus, SiteStatus};
use stored_secrets::StoredSecrets;

/// A pause between two polls that means that this process was stopped (SIGSTOP, a paused VM).
const STOPPED: Duration = Duration::from_secs(1);

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

    /// The role of this gateway, if it has changed since the last call.
    pub(crate) fn poll_standing(&mut self) -> Option<Standing> {
        let standing = self.standing();
        if self.reported.as_ref() == Some(&standing) {
            return None;
        }

        self.reported = Some(standing.clone());
        Some(standing)
    }

    fn standing(&self) -> Standing {
        Standing {
            role: self.role,
            epoch: self.rank.epoch,
            reason: self.reason.clone(),
            gap: self.gap,
        }
    }
}
