//! Which session carries the tunnel. Both ends decide alone and must come to the same end.
//!
//! Sessions are ranked by what both ends know: the higher number wins, because it was started by one who
//! knew the lower; between equals, started by both ends at once in ignorance of each other, the lower
//! identity's dial wins. Routes move to a better session only when it has carried an authenticated packet
//! and the peer's claims came on it (make-before-break); then the others drain, so that what the peer
//! still sends on them is received.

use std::cmp::Reverse;
use std::time::Instant;

use super::Tunnel;
use crate::context::Context;
use crate::session::Session;
use crate::{Action, ConnId, Role};

/// Greater is better. The connection's number only decides between two dials of one end with the same
/// number, which a peer that keeps to the protocol never makes.
type Rank = (u64, bool, Reverse<ConnId>);

impl Tunnel {
    /// Takes up the best session, drains the others, tells what changed.
    pub(super) fn settle(&mut self, context: &mut Context, now: Instant) {
        let before = self.active;
        self.revive_if_alone(now);
        let Some(best) = self.best(Session::is_up) else {
            return;
        };
        let ready = self.sessions.get(&best).is_some_and(Session::is_ready);
        let active = match before {
            Some(active) if !ready => active,
            _ => best,
        };
        self.active = Some(active);
        context.changed |= before != self.active;
        if before != self.active {
            self.path_mtu.resume(now);
        }
        if ready {
            self.drain_all_but(best, context, now);
        }
        match before {
            Some(conn) if conn == active => {}
            Some(_) => context.act(Action::TunnelMoved {
                peer: self.peer.clone(),
                conn: active,
            }),
            None => self.went_up(context, active, now),
        }
    }

    /// Closes a replaced session quietly.
    pub(super) fn retire(&mut self, context: &mut Context, conn: ConnId) {
        if self.sessions.remove(&conn).is_none() {
            return;
        }
        context.forget_session(conn);
        context.changed = true;
        context.act(Action::Retire { conn });
    }

    /// The winner died while the loser was draining: better the loser than nothing.
    fn revive_if_alone(&mut self, now: Instant) {
        if self.sessions.values().any(Session::is_up) {
            return;
        }
        let Some(conn) = self.best(Session::is_draining) else {
            return;
        };
        self.change(conn, |session| session.revived(now));
    }

    fn drain_all_but(&mut self, best: ConnId, context: &Context, now: Instant) {
        let until = now + context.settings.drain;
        let others = self
            .sessions
            .values()
            .filter(|session| session.is_up() && session.conn != best);
        for conn in others.map(|session| session.conn).collect::<Vec<_>>() {
            self.change(conn, |session| session.drained(until));
        }
    }

    fn went_up(&mut self, context: &mut Context, conn: ConnId, now: Instant) {
        self.since = now;
        context.act(Action::TunnelUp {
            peer: self.peer.clone(),
            conn,
        });
    }

    fn best(&self, eligible: impl Fn(&Session) -> bool) -> Option<ConnId> {
        let eligible = self.sessions.values().filter(|session| eligible(session));
        eligible
            .max_by_key(|session| self.rank(session))
            .map(|session| session.conn)
    }

    fn rank(&self, session: &Session) -> Rank {
        (
            session.number,
            self.lower_dialled(session.role),
            Reverse(session.conn),
        )
    }

    /// True if the lower identity is the dialler.
    fn lower_dialled(&self, role: Role) -> bool {
        (role == Role::Dialler) == self.we_are_lower
    }

    /// A transition consumes the old state.
    fn change(&mut self, conn: ConnId, transition: impl FnOnce(Session) -> Session) {
        if let Some(session) = self.sessions.remove(&conn) {
            self.sessions.insert(conn, transition(session));
        }
    }
}
