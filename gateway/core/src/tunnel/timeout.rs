//! The timers of a tunnel: dials, probes, deadlines, rekeying.

use std::time::{Duration, Instant};

use super::Tunnel;
use crate::action::Action;
use crate::close_reason::CloseReason;
use crate::context::Context;
use crate::dial::Attempt;
use crate::id::{ConnId, DialId};
use crate::mesh::Role;
use crate::rng::Rng;
use crate::session::Stage;
use crate::settings::Settings;
use crate::tunnel_error::TunnelError;

/// Pause before another attempt to replace a session.
const REKEY_PAUSE: Duration = Duration::from_secs(60);

/// The time over which the tunnels' sessions are replaced after a change of our certificate.
const REKEY_SPREAD: Duration = Duration::from_secs(5);

/// When this end of a new session is to replace it. That is the dialler's duty; if it fails, the
/// accepter steps in before the keys reach their age limit.
pub(super) fn rekey_at(rng: &mut Rng, settings: &Settings, role: Role, now: Instant) -> Instant {
    let jitter = rng.between(Duration::ZERO, settings.rekey_after / 5);
    let earliest = settings.rekey_after / 10 * 9;

    match role {
        Role::Dialler => now + earliest + jitter,
        Role::Accepter => now + earliest + settings.rekey_after / 4 + jitter,
    }
}

impl Tunnel {
    /// Does everything whose time has come by `now`.
    pub(crate) fn timeout(&mut self, context: &mut Context, now: Instant) {
        let settings = self.pace(context);
        for conn in self.sessions.conns(|s| s.deadline(settings) <= now) {
            self.session_timeout(context, conn, now);
        }

        let expired = self.dialler.expire(now);
        for dial in expired.abandoned {
            context.abandon(dial);
        }
        // A resolver or a peer may only be slow, or a packet was lost: another dial joins this one.
        if expired.no_answer {
            let endpoints = self.dialler.endpoints().to_vec();
            self.attempt_failed(context, TunnelError::NoAnswer(endpoints), now);
        }
        if self.dialler.is_due(now) {
            self.dial(context, now);
        }

        self.probe_path(context, now);
        self.update_silence(context, now);
        self.handle_withheld(context, now);
    }

    /// Handles the last of what the peer changed too often.
    fn handle_withheld(&mut self, context: &mut Context, now: Instant) {
        let offer = self.next_offer.take_if(|(due, _)| *due <= now);
        if let Some((_, offer)) = offer {
            self.handle_offer(context, offer, now);
        }

        if self.drift_due.take_if(|due| *due <= now).is_some() {
            self.compare_records(context, now);
        }
    }

    /// When [`Tunnel::timeout`] must be called next; `None` if nothing waits for a time.
    pub(crate) fn deadline(&self, context: &Context) -> Option<Instant> {
        let settings = self.pace(context);
        let sessions = self.sessions.iter();
        sessions
            .map(|session| session.deadline(settings))
            .chain(self.dialler.deadline())
            .chain(self.path_deadline())
            .chain(self.drift_due)
            .chain(self.next_offer.as_ref().map(|(due, _)| *due))
            .min()
    }

    /// Dials at once. When a tunnel has lost its session both ends notice; the higher identity
    /// waits a little, because its dial would lose against the other's.
    pub(crate) fn dial_soon(&mut self, context: &mut Context, now: Instant) {
        if self.sessions.active().is_some() || !context.is_running() {
            return;
        }

        let step = context.settings.backoff_min;
        let delay = if self.sessions.we_are_lower() {
            Duration::ZERO
        } else {
            context.rng.between(step / 2, step)
        };
        self.dialler.dial_within(delay, now);
    }

    /// Dials without waiting for the back-off, unless a session is active. An attempt under way
    /// continues: the reason for this call may let its packets through, too.
    pub(crate) fn dial_again(&mut self, context: &Context, now: Instant) {
        if self.sessions.active().is_none() && context.is_running() {
            self.dialler.hurry();
            self.dialler.dial_within(Duration::ZERO, now);
        }
    }

    /// Dials after the back-off.
    pub(super) fn dial_later(&mut self, context: &mut Context, now: Instant) {
        // While an attempt is under way its own failure will come here again.
        let idle = self.sessions.active().is_none() && self.dialler.attempt().is_none();
        if idle && context.is_running() {
            let may_dial_us = context.membership.is_dialable;
            self.dialler
                .back_off(&context.settings, &mut context.rng, may_dial_us, now);
        }
    }

    pub(crate) fn stop_dialling(&mut self, context: &mut Context) {
        for attempt in self.dialler.stop() {
            context.abandon(attempt.dial);
        }
    }

    /// A dial has led to a connection. Returns its attempt, unless that was given up; the others
    /// are abandoned, since two sessions of one number must not come from one end.
    pub(super) fn dial_connected(
        &mut self,
        context: &mut Context,
        dial: DialId,
    ) -> Option<Attempt> {
        let (connected, others) = self.dialler.connected(dial);

        for attempt in others {
            context.abandon(attempt.dial);
        }
        connected
    }

    /// Stops a dial that has become needless because a session with this number is up. A dial that
    /// is meant to replace that session has a higher number and continues.
    pub(super) fn stop_older_dial(&mut self, context: &mut Context, number: u64) {
        let attempt = self.dialler.attempt();
        if attempt.is_none_or(|attempt| attempt.number <= number) {
            self.stop_dialling(context);
        }
    }

    /// Our connection is established. If its `Hello` never arrives, the peer is dialled again.
    pub(super) fn expect_hello(&mut self, now: Instant) {
        if self.sessions.active().is_none() {
            self.dialler.expect_hello(now);
        }
    }

    /// Our certificate has changed: replaces the session within the next seconds.
    pub(crate) fn rekey_soon(&mut self, context: &mut Context, now: Instant) {
        let pause = context.rng.between(Duration::ZERO, REKEY_SPREAD);

        // A session that is not up yet may become the one in use, with the earlier certificate.
        for session in self.sessions.iter_mut() {
            session.outdate(now + pause);
        }
    }

    /// The control connection is silent and will time out: if the session is in use, it is replaced
    /// at once.
    pub(crate) fn silent(&mut self, conn: ConnId, now: Instant) {
        if self.sessions.is_active(conn) {
            self.rekey_by(now);
        }
    }

    pub(super) fn rekey_by(&mut self, at: Instant) {
        let active = self.sessions.active().map(|session| session.conn);
        if let Some(live) = active.and_then(|conn| self.sessions.live_mut(conn)) {
            live.rekey_at = live.rekey_at.min(at);
        }
    }

    fn dial(&mut self, context: &mut Context, now: Instant) {
        // A session that begins meanwhile gets the same number, and competes with this one.
        let dial = context.dial(&self.peer, self.dialler.endpoints());
        let number = self.newest.saturating_add(1);
        self.dialler.start(dial, number, now, &context.settings);
    }

    fn session_timeout(&mut self, context: &mut Context, conn: ConnId, now: Instant) {
        let settings = context.pace(self.is_sibling(context));
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        if session.expires <= now {
            return self.close(context, conn, CloseReason::CertificateExpired, now);
        }

        let live = match &mut session.stage {
            Stage::AwaitingHello { .. } => {
                return self.close(context, conn, CloseReason::HelloTimeout, now);
            }
            Stage::Draining { until, .. } if *until <= now => return self.retire(context, conn),
            // It is known then whether it works, should the session in its place die.
            Stage::Draining { live, .. } => {
                if live.liveness.is_due(settings, now) {
                    self.probe(context, conn, now);
                }
                return;
            }
            Stage::Up(live) => live,
        };

        if live.liveness.is_dead(settings, now) {
            return self.close(context, conn, CloseReason::DataPathDead, now);
        }
        if live.since + settings.max_age <= now {
            return self.close(context, conn, CloseReason::KeysTooOld, now);
        }

        // If the dial fails, or the peer has to dial, this session asks again after a pause.
        if live.rekey_at <= now {
            live.rekey_at = now + REKEY_PAUSE;
            self.rekey(context, now);
        } else if live.liveness.is_due(settings, now) {
            self.probe(context, conn, now);
        }
    }

    fn probe(&mut self, context: &mut Context, conn: ConnId, now: Instant) {
        let is_sibling = self.is_sibling(context);
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        let index = session.index;
        let Some(live) = session.live_mut() else {
            return;
        };

        let probe = context.next_probe();
        live.liveness.probe(probe, context.pace(is_sibling), now);
        // Siblings and uplinks die between two of its rounds.
        context.siblings_stale |= is_sibling || live.liveness.is_overdue();
        context.act(Action::Probe {
            session: index,
            conn,
            probe,
            size: None,
        });
    }

    /// Dials a new session while the old one is in use. A peer that has no endpoints cannot be
    /// dialled: the session is replaced when it dials us.
    fn rekey(&mut self, context: &Context, now: Instant) {
        if context.is_running() {
            self.dialler.dial_within(Duration::ZERO, now);
        }
    }
}
