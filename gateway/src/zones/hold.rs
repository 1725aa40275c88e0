//! How long fragments are answered from while their owners are silent: marks those that have become
//! too old, and says when the time of each owner's last contact must be written to disk. How
//! silence is measured is up to [`ringway_dns::Hold`].
//!
//! It also says whether an organization's zone is complete: only then is a name that it does not
//! have answered with NXDOMAIN.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ringway_config::{Config, GatewayId, OrgId};
use ringway_dns::{Hold, HoldFile, Moment};

use super::{Replicator, Reply};

/// How often the fragments' ages are compared with the hold.
const LOOK: Duration = Duration::from_secs(5);
/// How often the last contacts are written at the latest; also at once when an owner is back, and
/// after its last session has ended. After a crash, owners seem to have been silent for up to this
/// much longer than they were: with a short hold it is an eighth of that.
const WRITE: Duration = Duration::from_secs(600);
/// A gateway from which nothing was heard for this long may be one that does not exist yet: its
/// organization's zone counts as complete without it.
pub(super) const ABSENT: Duration = Duration::from_secs(600);

/// The last contact with each owner, and for how long a silent owner's fragment is answered from.
pub(super) struct Keeping {
    heard: Hold,
    pub(super) hold: Duration,
    started: Instant,
    /// The last contacts since the start.
    lately: BTreeMap<GatewayId, Instant>,
    /// When [`Replicator::look`] last did its work.
    looked: Option<Instant>,
    /// When the last contacts were last written; `None`: they must be written soon.
    written: Option<Instant>,
}

/// The work that a look has found.
#[derive(Debug, Default)]
pub struct Look {
    /// The last contacts, to be written to disk.
    pub heard: Option<HoldFile>,
    /// What else is to be done.
    pub replies: Vec<Reply>,
}

impl Keeping {
    pub(super) fn new(heard: Hold, hold: Duration, started: Instant) -> Keeping {
        Keeping {
            heard,
            hold,
            started,
            lately: BTreeMap::new(),
            looked: None,
            written: None,
        }
    }

    /// An owner is back that had no session: after a crash, it must not count as silent since long
    /// ago.
    pub(super) fn arrive(&mut self) {
        self.looked = None;
        self.written = None;
    }

    /// A session with `owner` has ended.
    pub(super) fn leave(&mut self, owner: &GatewayId, now: Moment) {
        self.contact(owner, now);
        self.written = None;
    }

    fn contact(&mut self, owner: &GatewayId, now: Moment) {
        self.heard.record_contact(owner, now);
        self.lately.insert(owner.clone(), now.monotonic);
    }

    fn is_absent(&self, owner: &GatewayId, now: Moment) -> bool {
        let last = self.lately.get(owner).copied().unwrap_or(self.started);
        now.monotonic.saturating_duration_since(last) >= ABSENT
    }

    fn write_pause(&self) -> Duration {
        (self.hold / 8).clamp(LOOK, WRITE)
    }
}

impl Replicator {
    /// How long `owner` has been silent: zero while it has a session with us.
    pub(super) fn silence_of(&mut self, owner: &GatewayId, now: Moment) -> Duration {
        if *owner == self.me || self.has_session_with(owner) {
            return Duration::ZERO;
        }
        self.keeping.heard.silence(owner, now)
    }

    pub(super) fn has_session_with(&self, owner: &GatewayId) -> bool {
        self.peers.values().any(|peer| peer.sender.id == *owner)
    }

    /// Sets the hold. The last contacts of gateways that are in no record are removed.
    pub(super) fn set_hold(&mut self, config: &Config) {
        let gateways: Vec<GatewayId> = crate::names::gateways(config);
        self.keeping.hold = config.dns.hold;
        self.keeping.heard.retain(&gateways);
        self.keeping.lately.retain(|id, _| gateways.contains(id));
        self.keeping.looked = None;
    }

    /// Marks fragments that have become too old, or usable again. Does nothing if called again
    /// within `LOOK`.
    pub fn look(&mut self, now: Moment) -> Look {
        let mut look = Look::default();
        if is_within(self.keeping.looked, LOOK, now) {
            return look;
        }
        self.keeping.looked = Some(now.monotonic);

        // First, so that no owner with a session counts as silent.
        for peer in self.peers.values() {
            self.keeping.contact(&peer.sender.id, now);
        }
        let orgs: Vec<OrgId> = self.orgs.keys().cloned().collect();
        for org in orgs {
            if self.update_expired(&org, now) {
                look.replies.extend(self.changed(&org));
            }
            self.update_complete(&org, now);
        }

        if !is_within(self.keeping.written, self.keeping.write_pause(), now) {
            self.keeping.written = Some(now.monotonic);
            look.heard = Some(self.keeping.heard.file());
        }
        look
    }

    /// Marks the fragments of `org` as expired or not, by the silence of their owners. True if one
    /// has changed.
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
            // Ours comes from our files, and is never too old.
            if id == self.me {
                continue;
            }

            let silence = self.keeping.heard.silence(&id, now);
            let is_expired = silence > self.keeping.hold;
            if is_expired == held.is_expired {
                continue;
            }
            held.is_expired = is_expired;
            changed = true;
            if is_expired {
                tracing::warn!(gateway = %id, elapsed = ?silence, "Names too old: they fail");
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
            is_held || (!self.has_session_with(&id) && self.keeping.is_absent(&id, now))
        })
    }

    /// The file with the last contacts, to be written at shutdown.
    pub fn heard(&self) -> HoldFile {
        self.keeping.heard.file()
    }
}

/// True if less than `time` has passed since `last`.
fn is_within(last: Option<Instant>, time: Duration, now: Moment) -> bool {
    last.is_some_and(|last| now.monotonic.duration_since(last) < time)
}
