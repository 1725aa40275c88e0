//! The hold: for how long the fragments of silent owners are answered. Marks fragments as expired,
//! and says when the times of the last contacts must be written to disk. [`ringway_dns::Hold`]
//! measures the silence.
//!
//! Also decides whether an organization's zone is complete: only then is an unknown name answered
//! with NXDOMAIN.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ringway_config::{Config, GatewayId, OrgId};
use ringway_dns::{Hold, HoldFile, Moment};

use super::{Replicator, Reply};

/// Interval at which the ages of the fragments are compared with the hold.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Maximum time between two writes of the last contacts; they are also written when an owner is
/// back and when its last session has ended. After a crash, an owner seems silent for up to this
/// much longer than it was, so with a short hold the interval is an eighth of it.
const WRITE: Duration = Duration::from_secs(600);
/// If nothing was heard of a gateway for this long, it may not exist yet: its organization's zone
/// counts as complete without it.
pub(super) const ABSENT: Duration = Duration::from_secs(600);

/// The last contact with each owner, and the hold.
pub(super) struct Contacts {
    heard: Hold,
    pub(super) hold: Duration,
    started: Instant,
    /// The last contacts since the start, by the monotonic clock.
    last_contacts: BTreeMap<GatewayId, Instant>,
    /// When [`Replicator::update_ages`] last ran.
    checked: Option<Instant>,
    /// When the last contacts were last written; `None` if they must be written soon.
    written: Option<Instant>,
}

/// The result of [`Replicator::update_ages`].
#[derive(Debug, Default)]
pub struct AgeUpdate {
    /// The last contacts, if they must be written to disk.
    pub heard: Option<HoldFile>,
    /// Other work.
    pub replies: Vec<Reply>,
}

impl Contacts {
    pub(super) fn new(heard: Hold, hold: Duration, started: Instant) -> Contacts {
        Contacts {
            heard,
            hold,
            started,
            last_contacts: BTreeMap::new(),
            checked: None,
            written: None,
        }
    }

    /// Handles the return of an owner that had no session. Writes its contact soon: after a crash,
    /// it must not count as silent for the time before.
    pub(super) fn on_connected(&mut self) {
        self.checked = None;
        self.written = None;
    }

    /// Handles the end of a session with `owner`.
    pub(super) fn on_disconnected(&mut self, owner: &GatewayId, now: Moment) {
        self.contact(owner, now);
        self.written = None;
    }

    fn contact(&mut self, owner: &GatewayId, now: Moment) {
        self.heard.record_contact(owner, now);
        self.last_contacts.insert(owner.clone(), now.monotonic);
    }

    fn is_absent(&self, owner: &GatewayId, now: Moment) -> bool {
        let last = self
            .last_contacts
            .get(owner)
            .copied()
            .unwrap_or(self.started);
        now.monotonic.saturating_duration_since(last) >= ABSENT
    }

    fn write_pause(&self) -> Duration {
        (self.hold / 8).clamp(CHECK_INTERVAL, WRITE)
    }
}

impl Replicator {
    /// How long `owner` has been silent; zero while it has a session with us.
    pub(super) fn silence_of(&mut self, owner: &GatewayId, now: Moment) -> Duration {
        if *owner == self.me || self.has_session_with(owner) {
            return Duration::ZERO;
        }
        self.contacts.heard.silence(owner, now)
    }

    pub(super) fn has_session_with(&self, owner: &GatewayId) -> bool {
        self.peers.values().any(|peer| peer.sender.id == *owner)
    }

    /// Sets the hold, and forgets gateways that are in no record.
    pub(super) fn set_hold(&mut self, config: &Config) {
        let gateways: Vec<GatewayId> = crate::names::gateways(config);
        self.contacts.hold = config.dns.hold;
        self.contacts.heard.retain(&gateways);
        self.contacts
            .last_contacts
            .retain(|id, _| gateways.contains(id));
        self.contacts.checked = None;
    }

    /// Marks fragments that have expired or are usable again. Does nothing within
    /// `CHECK_INTERVAL` of the last call.
    pub fn update_ages(&mut self, now: Moment) -> AgeUpdate {
        let mut update = AgeUpdate::default();
        if is_within(self.contacts.checked, CHECK_INTERVAL, now) {
            return update;
        }
        self.contacts.checked = Some(now.monotonic);

        // First, so that no owner with a session counts as silent.
        for peer in self.peers.values() {
            self.contacts.contact(&peer.sender.id, now);
        }
        let orgs: Vec<OrgId> = self.orgs.keys().cloned().collect();
        for org in orgs {
            if self.update_expired(&org, now) {
                update.replies.extend(self.changed(&org));
            }
            self.update_complete(&org, now);
        }

        if !is_within(self.contacts.written, self.contacts.write_pause(), now) {
            self.contacts.written = Some(now.monotonic);
            update.heard = Some(self.contacts.heard.file());
        }
        update
    }

    /// Marks the fragments of `org` as expired or not. True if a mark has changed.
    pub(super) fn update_expired(&mut self, org: &OrgId, now: Moment) -> bool {
        let Some(org) = self.orgs.get_mut(org) else {
            return false;
        };

        let mut changed = false;
        for (name, held) in &mut org.held {
            let id = GatewayId {
                name: name.clone(),
                org: org.org.clone(),
            };
            // Our own fragment comes from our files and never expires.
            if id == self.me {
                continue;
            }

            let silence = self.contacts.heard.silence(&id, now);
            let is_expired = silence > self.contacts.hold;
            if is_expired == held.is_expired {
                continue;
            }
            held.is_expired = is_expired;
            changed = true;
            if is_expired {
                tracing::warn!(gateway = %id, elapsed = ?silence, "Names are too old and fail");
            } else {
                tracing::info!(gateway = %id, "Names answered again");
            }
        }
        changed
    }

    fn update_complete(&mut self, name: &OrgId, now: Moment) {
        let is_complete = self.is_complete(name, now);
        let Some(org) = self.orgs.get_mut(name) else {
            return;
        };

        if org.is_complete != is_complete {
            org.is_complete = is_complete;
            self.zones.set_complete(&org.terms.apex, is_complete);
        }
    }

    /// True if a fragment of every gateway in the record is held, or the gateway is absent.
    pub(super) fn is_complete(&self, org: &OrgId, now: Moment) -> bool {
        let Some(org) = self.orgs.get(org) else {
            return false;
        };

        org.terms.gateways.iter().all(|name| {
            let id = org.id_of(name);
            let is_held = org.held.contains_key(name);
            is_held || (!self.has_session_with(&id) && self.contacts.is_absent(&id, now))
        })
    }

    /// The last contacts, to be written at shutdown.
    pub fn heard(&self) -> HoldFile {
        self.contacts.heard.file()
    }
}

/// True if less than `time` has passed since `last`.
fn is_within(last: Option<Instant>, time: Duration, now: Moment) -> bool {
    last.is_some_and(|last| now.monotonic.duration_since(last) < time)
}
