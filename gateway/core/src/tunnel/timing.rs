//! What a tunnel does by time: dials, probes, deadlines, renewal.

use std::time::{Duration, Instant};

use super::Tunnel;
use crate::action::Action;
use crate::close_reason::CloseReason;
use crate::context::Context;
use crate::id::ConnId;
use crate::mesh::Role;
use crate::rng::Rng;
use crate::session::{Session, Stage};
use crate::settings::Settings;
use crate::tunnel_error::TunnelError;

/// Pause before the renewal of a session is tried again.
const REKEY_PAUSE: Duration = Duration::from_secs(60);

/// Over how long renewals after a change of our certificate are spread.
const PACE: Duration = Duration::from_secs(5);

/// When this end of a new session shall replace it. The dialler does (DESIGN.md, 4.2); should it fail to,
/// the accepter steps in before the keys are used up.
pub(super) fn rekey_at(rng: &mut Rng, settings: &Settings, role: Role, now: Instant) -> Instant {
    let jitter = rng.between(Duration::ZERO, settings.rekey_after / 5);
    let earliest = settings.rekey_after / 10 * 9;
    match role {
        Role::Dialler => now + earliest + jitter,
        Role::Accepter => now + earliest + settings.rekey_after / 4 + jitter,
    }
}

impl Tunnel {
    /// Does what is due.
    pub(crate) fn timeout(&mut self, context: &mut Context, now: Instant) {
        let due = self
            .sessions
            .values()
            .filter(|session| session.deadline(&context.settings) <= now);
        for conn in due.map(|session| session.conn).collect::<Vec<_>>() {
            self.session_timeout(context, conn, now);
        }
        if let Some(attempt) = self.dialler.expire(now) {
            context.abandon(attempt.dial);
            self.refused(context, TunnelError::NoAnswer(attempt.endpoint), now);
        }
        if self.dialler.is_due(now) {
            self.dial(context, now);
        }
        self.ask_path(context, now);
    }

    /// When something is due.
    pub(crate) fn deadline(&self, settings: &Settings) -> Option<Instant> {
        let sessions = self
            .sessions
            .values()
            .map(|session| session.deadline(settings));
        sessions
            .chain(self.dialler.deadline())
            .chain(self.path_deadline())
            .min()
    }

    /// Dials at once. When a tunnel has lost its session, both ends know; the higher identity gives way a
    /// little, because its dial would lose against the other.
    pub(crate) fn dial_soon(&mut self, context: &mut Context, now: Instant) {
        if self.active.is_some() || context.leaving {
            return;
        }
        let step = context.settings.backoff_min;
        let delay = match self.we_are_lower {
            true => Duration::ZERO,
            false => context.rng.between(step / 2, step),
        };
        self.dialler.soon(delay, now);
    }

    /// The next dial need not wait for the back-off. One that is under way goes on: its packets may pass now.
    pub(crate) fn dial_again(&mut self, context: &Context, now: Instant) {
        if self.active.is_none() && !context.leaving {
            self.dialler.soon(Duration::ZERO, now);
        }
    }

    pub(crate) fn stop_dialling(&mut self, context: &mut Context) {
        if let Some(attempt) = self.dialler.stop() {
            context.abandon(attempt.dial);
        }
    }

    /// Replaces the session within the next seconds.
    pub(crate) fn rekey_soon(&mut self, context: &mut Context, now: Instant) {
        let at = now + context.rng.between(Duration::ZERO, PACE);
        if let Some(live) = self.active_session_mut().and_then(Session::live_mut) {
            live.rekey_at = live.rekey_at.min(at);
        }
    }

    /// The session in use will lose its control stream soon: it is replaced at once.
    pub(crate) fn silent(&mut self, conn: ConnId, now: Instant) {
        if self.active == Some(conn)
            && let Some(live) = self.active_session_mut().and_then(Session::live_mut)
        {
            live.rekey_at = live.rekey_at.min(now);
        }
    }

    /// The last session ended.
    pub(super) fn went_down(
        &mut self,
        context: &mut Context,
        reason: TunnelError,
        proved: bool,
        now: Instant,
    ) {
        self.since = now;
        context.act(Action::TunnelDown {
            peer: self.peer.clone(),
            reason,
        });
        match proved {
            true => self.dial_soon(context, now),
            false => self.dial_later(context, now),
        }
    }

    /// A dial or a session that was not yet up came to nothing.
    pub(super) fn refused(&mut self, context: &mut Context, error: TunnelError, now: Instant) {
        self.last_error = Some(error);
        self.dial_later(context, now);
    }

    /// A session is up: a dial under way that knew nothing of it would only lose against it, or replace
    /// it for nothing. (One that was made to replace it goes on: its number is higher.)
    pub(super) fn give_up_rival_dial(&mut self, context: &mut Context, number: u64) {
        match self.dialler.attempt() {
            Some(attempt) if attempt.number > number => {}
            _ => self.stop_dialling(context),
        }
    }

    /// Our connection stands, but its `Hello` may never come: then dial again.
    pub(super) fn expect_hello(&mut self, context: &Context, now: Instant) {
        if self.active.is_none() {
            self.dialler.connected(&context.settings, now);
        }
    }

    fn dial_later(&mut self, context: &mut Context, now: Instant) {
        self.dialler.turn();
        if self.active.is_none() && self.dialler.attempt().is_none() && !context.leaving {
            self.dialler.retry(&context.settings, &mut context.rng, now);
        }
    }

    fn dial(&mut self, context: &mut Context, now: Instant) {
        let Some(endpoint) = self.dialler.endpoint().cloned() else {
            return;
        };
        let dial = context.dial(&self.peer, &endpoint);
        let number = self.newest.saturating_add(1);
        self.dialler
            .start(dial, endpoint, number, now, &context.settings);
    }

    fn session_timeout(&mut self, context: &mut Context, conn: ConnId, now: Instant) {
        let Some(session) = self.sessions.get_mut(&conn) else {
            return;
        };
        if session.expires <= now {
            return self.cut(context, conn, CloseReason::CertificateExpired, now);
        }
        match &mut session.stage {
            Stage::Greeting { .. } => {
                self.cut(context, conn, CloseReason::HelloTimeout, now);
            }
            Stage::Draining { .. } => self.retire(context, conn),
            Stage::Up(live) if live.liveness.is_dead(&context.settings, now) => {
                self.cut(context, conn, CloseReason::DataPathDead, now);
            }
            Stage::Up(live) if live.since + context.settings.max_age <= now => {
                self.cut(context, conn, CloseReason::KeysTooOld, now);
            }
            Stage::Up(live) if live.rekey_at <= now => {
                live.rekey_at = now + REKEY_PAUSE;
                self.rekey(context, now);
            }
            Stage::Up(live) if live.liveness.is_due(&context.settings, now) => {
                let probe = context.next_probe();
                live.liveness.probe(probe, &context.settings, now);
                context.act(Action::Probe {
                    session: session.index,
                    conn,
                    probe,
                    size: None,
                });
            }
            Stage::Up(_) => {}
        }
    }

    /// A new session, while the old one carries on. Without endpoints, the peer has to.
    fn rekey(&mut self, context: &mut Context, now: Instant) {
        if !context.leaving {
            self.dialler.soon(Duration::ZERO, now);
        }
    }

    fn active_session_mut(&mut self) -> Option<&mut Session> {
        self.active.and_then(|conn| self.sessions.get_mut(&conn))
    }
}
