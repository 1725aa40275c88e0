//! [`Sessions`]: the sessions with one peer, and which of them carries the tunnel. Both ends decide
//! alone and must come to the same result.
//!
//! Sessions are ranked by what both ends know. The higher number wins: the end that started it knew
//! of the lower. Two sessions of one number were started by both ends at the same time; there the
//! dial of the lower identity wins. Routes move to a better session only when it is ready, that is,
//! when it has carried an authenticated packet and the peer has announced its prefixes on it
//! (make-before-break). Then the others drain, so that packets that the peer still sends on them
//! are received.
//!
//! Invariant: the active session is up.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::id::ConnId;
use crate::mesh::Role;
use crate::session::{Live, Session};
use crate::settings::Settings;
use crate::status::SessionRank;

#[derive(Debug)]
pub(super) struct Sessions {
    by_conn: BTreeMap<ConnId, Session>,
    /// The session that routes use.
    active: Option<ConnId>,
    /// True if our identity is lower than the peer's: then our dial wins a tie.
    we_are_lower: bool,
}

/// The outcome of [`Sessions::select`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selection {
    /// The active session is the one before, or there is still none.
    Unchanged,
    /// There was no active session; this is it now.
    Up(ConnId),
    /// This session takes the place of another.
    Moved(ConnId),
}

impl Sessions {
    pub(super) fn new(we_are_lower: bool) -> Self {
        Self {
            by_conn: BTreeMap::new(),
            active: None,
            we_are_lower,
        }
    }

    /// True if our dial wins a tie.
    pub(super) fn we_are_lower(&self) -> bool {
        self.we_are_lower
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_conn.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.by_conn.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.by_conn.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.by_conn.values_mut()
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<&Session> {
        self.by_conn.get(&conn)
    }

    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        self.by_conn.get_mut(&conn)
    }

    /// The live state of a session that is up or draining.
    pub(super) fn live_mut(&mut self, conn: ConnId) -> Option<&mut Live> {
        self.get_mut(conn).and_then(Session::live_mut)
    }

    /// The session that routes use.
    pub(super) fn active(&self) -> Option<&Session> {
        self.active.and_then(|conn| self.get(conn))
    }

    pub(super) fn is_active(&self, conn: ConnId) -> bool {
        self.active == Some(conn)
    }

    /// The connections of the sessions that `which` accepts.
    pub(super) fn conns(&self, which: impl Fn(&Session) -> bool) -> Vec<ConnId> {
        let chosen = self.iter().filter(|session| which(session));

        chosen.map(|session| session.conn).collect()
    }

    pub(super) fn insert(&mut self, session: Session) {
        self.by_conn.insert(session.conn, session);
    }

    /// Removes a session. If it was the active one, there is none until the next
    /// [`Sessions::select`].
    pub(super) fn remove(&mut self, conn: ConnId) -> Option<Session> {
        if self.is_active(conn) {
            self.active = None;
        }

        self.by_conn.remove(&conn)
    }

    /// Makes the best session the active one. Once it is ready, the others are drained; until then,
    /// the session that is active stays so.
    pub(super) fn select(&mut self, settings: &Settings, now: Instant) -> Selection {
        self.revive_if_alone(settings, now);
        let Some(best) = self.best(Session::is_up) else {
            return Selection::Unchanged;
        };

        // The best session wins in the end. Until it is ready, the one in use stays.
        let ready = self.get(best).is_some_and(Session::is_ready);
        if ready {
            self.drain_all_but(best, now + settings.drain);
        }

        match self.active {
            Some(active) if active == best || !ready => Selection::Unchanged,
            Some(_) => {
                self.active = Some(best);
                Selection::Moved(best)
            }
            // A session that is not ready yet is better than none.
            None => {
                self.active = Some(best);
                Selection::Up(best)
            }
        }
    }

    /// If the better session has died while the other was draining, the other serves again, unless
    /// it has died of the same cause.
    fn revive_if_alone(&mut self, settings: &Settings, now: Instant) {
        if self.iter().any(Session::is_up) {
            return;
        }

        if let Some(conn) = self.best(|session| session.can_come_back(settings, now)) {
            self.change(conn, Session::revived);
        }
    }

    fn drain_all_but(&mut self, best: ConnId, until: Instant) {
        for conn in self.conns(|session| session.is_up() && session.conn != best) {
            self.change(conn, |session| session.draining(until));
        }
    }

    fn best(&self, eligible: impl Fn(&Session) -> bool) -> Option<ConnId> {
        let eligible = self.iter().filter(|session| eligible(session));
        let best = eligible.max_by_key(|session| self.rank(session))?;

        Some(best.conn)
    }

    /// The place of a session among those of its tunnel.
    pub(super) fn rank(&self, session: &Session) -> SessionRank {
        let lower_dialled = (session.role == Role::Dialler) == self.we_are_lower;
        SessionRank::new(session.number, lower_dialled, session.conn)
    }

    fn change(&mut self, conn: ConnId, transition: impl FnOnce(Session) -> Session) {
        // A transition consumes the session, so that it is taken out for it.
        if let Some(session) = self.by_conn.remove(&conn) {
            self.by_conn.insert(conn, transition(session));
        }
    }
}
