//! How large the tunnel's packets may be: asks along the session in use. What is asked, and what answers mean, is
//! [`crate::path_mtu`]'s.

use std::time::Instant;

use super::Tunnel;
use crate::context::Context;
use crate::session::Session;
use crate::{Action, ConnId, Role};

impl Tunnel {
    /// Sends the padded probes that are due, once a session has proved that small ones pass.
    pub(super) fn ask_path(&mut self, context: &mut Context, now: Instant) {
        if self.path_deadline().is_none_or(|at| at > now) {
            return;
        }
        let Some(session) = self.active.and_then(|conn| self.sessions.get(&conn)) else {
            return;
        };
        let (conn, session, before) = (session.conn, session.index, self.path_mtu.size());
        for (probe, size) in self.path_mtu.round(|| context.next_probe(), now) {
            context.act(Action::Probe {
                session,
                conn,
                probe,
                size,
            });
        }
        self.tell_path(context, before);
    }

    /// When to ask next; not without a session in use.
    pub(super) fn path_deadline(&self) -> Option<Instant> {
        let session = self.active.and_then(|conn| self.sessions.get(&conn))?;
        (session.is_up() && session.proved()).then(|| self.path_mtu.deadline())
    }

    /// True if an echo answers a question about the path.
    pub(super) fn path_answered(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        probe: u64,
        now: Instant,
    ) -> bool {
        let before = self.path_mtu.size();
        let live = self.sessions.get(&conn).is_some_and(Session::is_up);
        let answered = live && self.path_mtu.echoed(probe, now);
        self.tell_path(context, before);
        answered
    }

    /// The packets of a session take another way. The control stream of a peer that we dialled does not follow:
    /// QUIC lets only the one who dialled move (RFC 9000, section 9).
    pub(crate) fn peer_moved(&mut self, conn: ConnId, now: Instant) {
        if self.active == Some(conn) {
            self.path_mtu.resume(now);
        }
        // It has echoed a challenge: probes that went to its old address say nothing.
        if let Some(live) = self.sessions.get_mut(&conn).and_then(Session::live_mut) {
            live.liveness.resume(now);
        }
        if self
            .sessions
            .get(&conn)
            .is_some_and(|session| session.role == Role::Dialler)
        {
            self.silent(conn, now);
        }
    }

    fn tell_path(&self, context: &mut Context, before: u16) {
        let size = self.path_mtu.size();
        if size != before {
            context.act(Action::PathMtu {
                peer: self.peer.clone(),
                size,
            });
        }
    }
}
