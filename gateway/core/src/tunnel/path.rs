//! The path MTU of a tunnel: sends the probes along the session in use. [`crate::path_mtu`] decides
//! which are sent and what their echoes mean.

use std::time::Instant;

use super::Tunnel;
use crate::action::Action;
use crate::context::Context;
use crate::id::ConnId;
use crate::mesh::Role;
use crate::session::Session;

impl Tunnel {
    /// Sends the path probes that are due, once a session has proved that small packets pass.
    pub(super) fn probe_path(&mut self, context: &mut Context, now: Instant) {
        if self.path_deadline().is_none_or(|at| at > now) {
            return;
        }
        let Some(active) = self.sessions.active() else {
            return;
        };

        let before = self.path_mtu.known();
        for probe in self.path_mtu.due_probes(|| context.next_probe(), now) {
            context.act(Action::Probe {
                session: active.index,
                conn: active.conn,
                probe: probe.number,
                size: probe.size,
            });
        }
        self.report_path(context, before);
    }

    /// When path probes are due; never without a session in use.
    pub(super) fn path_deadline(&self) -> Option<Instant> {
        let active = self.sessions.active()?;
        (active.is_up() && active.proved()).then(|| self.path_mtu.deadline())
    }

    /// Takes the echo of a path probe; false if the probe was none.
    pub(super) fn path_echoed(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        probe: u64,
        now: Instant,
    ) -> bool {
        // A draining session may take another path than the one in use.
        if !self.sessions.get(conn).is_some_and(Session::is_up) {
            return false;
        }

        let before = self.path_mtu.known();
        let answered = self.path_mtu.echoed(probe, now);
        self.report_path(context, before);
        answered
    }

    /// The packets of a session take another path.
    pub(crate) fn peer_moved(&mut self, conn: ConnId, now: Instant) {
        if self.sessions.is_active(conn) {
            self.path_mtu.path_changed(now);
        }
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };

        // The peer has echoed a challenge. Probes that went to its old address say nothing any
        // more.
        if let Some(live) = session.live_mut() {
            live.liveness.resume(now);
        }

        // QUIC follows only a client that moves (RFC 9000, section 9): the control connection to a
        // peer that we dialled stays behind.
        if session.role == Role::Dialler {
            self.silent(conn, now);
        }
    }

    fn report_path(&self, context: &mut Context, before: Option<u16>) {
        // Until it is known nothing is said: hosts keep what a route has once told them.
        let known = self.path_mtu.known();
        if let Some(size) = known.filter(|_| known != before) {
            context.act(Action::PathMtu {
                peer: self.peer.clone(),
                size,
            });
        }
    }
}
