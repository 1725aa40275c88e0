//! [`Session`]: the keys of one handshake with a peer, from the connection to its end.
//!
//! ```text
//!   connected ──► AwaitingHello ── peer's Hello ──► Up ── a better one is ready ──► Draining
//!                                                   ▲                               │    │
//!                                                   └──── the better one ended ─────┘    ▼
//!                                                                                     retired
//! ```
//! A session is up when both `Hello`s have arrived: a TLS 1.3 client cannot know earlier that it
//! was accepted. On a draining session packets are only received; probes go on, so that it is known
//! whether the session still works. `tunnel::sessions` decides which session is better.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ringway_config::{OrgId, Prefix};

use crate::claims::Claims;
use crate::held_record::HeldRecord;
use crate::id::{ConnId, SessionIndex};
use crate::liveness::Liveness;
use crate::mesh::Role;
use crate::message::{Offer, Refuse, SiblingMessage, SiteSettings};
use crate::rank::Rank;
use crate::settings::Settings;

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) conn: ConnId,
    pub(crate) role: Role,
    /// Our index in lane 0: the peer writes it into its probes and echoes.
    pub(crate) index: SessionIndex,
    /// When the peer's certificate expires.
    pub(crate) expires: Instant,
    /// The round trip time of its handshake.
    pub(crate) rtt: Duration,
    /// Its number within the tunnel ([`Hello::replaces`](crate::Hello) plus one). For an accepted
    /// session it is 0 until the dialler's `Hello` arrives.
    pub(crate) number: u64,
    /// Our certificate has changed before the session was up: when it is to be replaced then.
    pub(crate) outdated: Option<Instant>,
    pub(crate) stage: Stage,
}

#[derive(Debug)]
pub(crate) enum Stage {
    /// Our `Hello` is sent, the peer's has not arrived.
    AwaitingHello {
        /// When the wait ends.
        deadline: Instant,
    },
    /// In use, or ready for it. Boxed, because the live state is large and the enum lies in a map.
    Up(Box<Live>),
    /// Replaced; packets are still received.
    Draining {
        /// When it is retired.
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
    /// The member records that the peer holds, as it last reported them.
    pub(crate) records: BTreeMap<OrgId, HeldRecord>,
    /// The features that the peer offers.
    pub(crate) features: u64,
    /// When it came up.
    pub(crate) since: Instant,
    /// When this end is to replace it.
    pub(crate) rekey_at: Instant,
    /// The rank of the peer's claims.
    pub(crate) rank: Rank,
    /// The peer's epoch is higher than in its last session: it has taken over.
    pub(crate) is_raised: bool,
    /// The state that a sibling reported last.
    pub(crate) state: Option<SiblingMessage>,
    // What we sent last on this session.
    pub(crate) sent_rank: Option<Rank>,
    pub(crate) sent_state: Option<SiblingMessage>,
    pub(crate) sent_addresses: BTreeSet<SocketAddr>,
    pub(crate) sent_settings: Option<SiteSettings>,
    pub(crate) sent_offer: Option<Offer>,
    /// What we announced on it; `None` before the first announcement.
    pub(crate) announced: Option<BTreeSet<Prefix>>,
    /// The peer's last answer to that.
    pub(crate) refused_by_peer: Refuse,
    /// Number of alarms raised about it.
    pub(crate) alarms: u32,
}

impl Live {
    pub(crate) fn new(
        records: BTreeMap<OrgId, HeldRecord>,
        rekey_at: Instant,
        rtt: Duration,
        now: Instant,
    ) -> Self {
        Self {
            liveness: Liveness::new(rtt, now),
            claims: Claims::default(),
            records,
            features: 0,
            since: now,
            rekey_at,
            rank: Rank::default(),
            is_raised: false,
            state: None,
            sent_rank: None,
            sent_state: None,
            sent_addresses: BTreeSet::new(),
            sent_settings: None,
            sent_offer: None,
            announced: None,
            refused_by_peer: Refuse::default(),
            alarms: 0,
        }
    }

    /// When something is due, apart from the certificate's expiry.
    fn deadline(&self, settings: &Settings) -> Instant {
        self.liveness
            .deadline(settings)
            .min(self.rekey_at)
            .min(self.since + settings.max_age)
    }
}

impl Session {
    /// The peer's `Hello` has arrived.
    pub(crate) fn established(self, number: u64, live: Live) -> Self {
        Self {
            number,
            stage: Stage::Up(Box::new(live)),
            ..self
        }
    }

    /// Our certificate has changed: the session is to be replaced at `at`, or as soon as it is up.
    pub(crate) fn outdate(&mut self, at: Instant) {
        match self.live_mut() {
            Some(live) => live.rekey_at = live.rekey_at.min(at),
            None => self.outdated = Some(at),
        }
    }

    /// A better session is ready. Only a session that is up can drain.
    pub(crate) fn draining(self, until: Instant) -> Self {
        let stage = match self.stage {
            Stage::Up(live) => Stage::Draining { until, live },
            stage => stage,
        };

        Self { stage, ..self }
    }

    /// The better session has ended. Only a session that drains can come back.
    pub(crate) fn revived(self) -> Self {
        let stage = match self.stage {
            Stage::Draining { live, .. } => Stage::Up(live),
            stage => stage,
        };

        Self { stage, ..self }
    }

    pub(crate) fn awaits_hello(&self) -> bool {
        matches!(self.stage, Stage::AwaitingHello { .. })
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up(_))
    }

    pub(crate) fn is_draining(&self) -> bool {
        matches!(self.stage, Stage::Draining { .. })
    }

    /// True if it drains and its data path works, as far as is known.
    pub(crate) fn can_come_back(&self, settings: &Settings, now: Instant) -> bool {
        match &self.stage {
            Stage::Draining { live, .. } => !live.liveness.is_silent(settings, now),
            Stage::AwaitingHello { .. } | Stage::Up(_) => false,
        }
    }

    /// The live state of a session that is up or draining: both ends hold all keys.
    pub(crate) fn live(&self) -> Option<&Live> {
        match &self.stage {
            Stage::AwaitingHello { .. } => None,
            Stage::Up(live) | Stage::Draining { live, .. } => Some(live),
        }
    }

    pub(crate) fn live_mut(&mut self) -> Option<&mut Live> {
        match &mut self.stage {
            Stage::AwaitingHello { .. } => None,
            Stage::Up(live) | Stage::Draining { live, .. } => Some(live),
        }
    }

    /// True once a probe was echoed: the data path carries packets in both directions.
    pub(crate) fn proved(&self) -> bool {
        self.live().is_some_and(|live| live.liveness.proved())
    }

    /// True if routes may move here: it has carried a packet and the peer has announced what it
    /// serves.
    pub(crate) fn is_ready(&self) -> bool {
        self.proved() && self.live().is_some_and(|live| live.claims.announced())
    }

    /// When something is due.
    pub(crate) fn deadline(&self, settings: &Settings) -> Instant {
        let deadline = match &self.stage {
            Stage::AwaitingHello { deadline } => *deadline,
            Stage::Up(live) => live.deadline(settings),
            // A draining session is neither replaced nor declared dead, only probed until it ends.
            Stage::Draining { until, live } => live.liveness.due_at(settings).min(*until),
        };

        // The certificate ends the session in every stage.
        deadline.min(self.expires)
    }
}
