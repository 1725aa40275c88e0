//! [`Session`]: one handshake's worth of keys with a peer, from the connection to its end.
//!
//! ```text
//!   connected ──► Greeting ──peer's Hello──► Up ──a better one has proved itself──► Draining ──► retired
//!                                            ▲                                        │
//!                                            └──────────── the better one died ───────┘
//! ```
//! A session is up when both `Hello`s are through: a TLS 1.3 client cannot know earlier that it was
//! accepted. A draining session is only received on. Which session is better is `tunnel`'s matter.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ringway_config::{Digest, OrgId, Prefix};

use crate::claims::Claims;
use crate::liveness::Liveness;
use crate::{ConnId, Refuse, Role, SessionIndex, Settings};

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) conn: ConnId,
    pub(crate) role: Role,
    /// What the peer calls the session in its packets to us, in lane 0: that of all probes.
    pub(crate) index: SessionIndex,
    /// When the peer's certificate expires.
    pub(crate) expires: Instant,
    /// Its number within the tunnel ([`Hello::replaces`](crate::Hello) plus one). An accepted session has
    /// none (0) until the dialler's `Hello` comes.
    pub(crate) number: u64,
    pub(crate) stage: Stage,
}

#[derive(Debug)]
pub(crate) enum Stage {
    /// Our `Hello` is sent, the peer's awaited.
    Greeting {
        /// How long.
        deadline: Instant,
    },
    /// In use, or ready for it. Boxed: a map of few sessions has room for many.
    Up(Box<Live>),
    /// Replaced: still received on.
    Draining {
        /// How long.
        until: Instant,
        /// As before.
        live: Box<Live>,
    },
}

/// What a session has once it is up.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) liveness: Liveness,
    pub(crate) claims: Claims,
    /// The member records that the peer holds, by its last word on this session.
    pub(crate) records: BTreeMap<OrgId, Digest>,
    /// Since when it is up.
    pub(crate) since: Instant,
    /// When it is time to replace it, from this end.
    pub(crate) rekey_at: Instant,
    /// What we announced on it; `None` before the first announcement.
    pub(crate) told: Option<BTreeSet<Prefix>>,
    /// The peer's last answer to that.
    pub(crate) refused_by_peer: Refuse,
    /// Alarms raised about it.
    pub(crate) alarms: u32,
}

impl Live {
    pub(crate) fn new(records: BTreeMap<OrgId, Digest>, rekey_at: Instant, now: Instant) -> Self {
        Self {
            liveness: Liveness::new(now),
            claims: Claims::default(),
            records,
            since: now,
            rekey_at,
            told: None,
            refused_by_peer: Refuse::default(),
            alarms: 0,
        }
    }
}

impl Session {
    /// Both `Hello`s are through.
    pub(crate) fn greeted(self, number: u64, live: Live) -> Self {
        Self {
            number,
            stage: Stage::Up(Box::new(live)),
            ..self
        }
    }

    /// A better session has proved itself.
    pub(crate) fn drained(self, until: Instant) -> Self {
        match self.stage {
            Stage::Up(live) => Self {
                stage: Stage::Draining { until, live },
                ..self
            },
            stage => Self { stage, ..self },
        }
    }

    /// The better session died.
    pub(crate) fn revived(self, now: Instant) -> Self {
        match self.stage {
            Stage::Draining { mut live, .. } => {
                live.liveness.resume(now);
                Self {
                    stage: Stage::Up(live),
                    ..self
                }
            }
            stage => Self { stage, ..self },
        }
    }

    pub(crate) fn is_greeting(&self) -> bool {
        matches!(self.stage, Stage::Greeting { .. })
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up(_))
    }

    pub(crate) fn is_draining(&self) -> bool {
        matches!(self.stage, Stage::Draining { .. })
    }

    /// Up or draining: both ends hold all keys.
    pub(crate) fn live(&self) -> Option<&Live> {
        match &self.stage {
            Stage::Greeting { .. } => None,
            Stage::Up(live) | Stage::Draining { live, .. } => Some(live),
        }
    }

    pub(crate) fn live_mut(&mut self) -> Option<&mut Live> {
        match &mut self.stage {
            Stage::Greeting { .. } => None,
            Stage::Up(live) | Stage::Draining { live, .. } => Some(live),
        }
    }

    /// True once an authenticated packet came back.
    pub(crate) fn proved(&self) -> bool {
        self.live().is_some_and(|live| live.liveness.proved())
    }

    /// True if routes may move here: the data path carries packets and the peer has said what it serves.
    pub(crate) fn is_ready(&self) -> bool {
        self.proved() && self.live().is_some_and(|live| live.claims.announced())
    }

    /// When something has to be done about it.
    pub(crate) fn deadline(&self, settings: &Settings) -> Instant {
        let stage = match &self.stage {
            Stage::Greeting { deadline } => *deadline,
            Stage::Up(live) => live
                .liveness
                .deadline(settings)
                .min(live.rekey_at)
                .min(live.since + settings.max_age),
            Stage::Draining { until, .. } => *until,
        };
        stage.min(self.expires)
    }
}
