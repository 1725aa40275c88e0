//! [`Tunnel`]: the relation with one peer, carried by one session at a time.
//!
//! This file owns what comes in and how sessions end. How they start stands in `greeting`, which of them
//! wins in `choice`, what happens by time in `timing`, how large its packets may be in `path`, what is announced in
//! `telling`, what operators see in `report`.
//!
//! Invariants: `active` is a session that is up; a session of a dead daemon (an older boot id) is never up
//! beside one of the running daemon; a peer has a bounded number of sessions, half-open ones included. A
//! bad peer may lose its session, never the mesh.

mod choice;
mod greeting;
mod path;
mod report;
mod telling;
mod timing;

use std::collections::BTreeMap;
use std::time::Instant;

use ringway_config::{GatewayId, Prefix, SiteId};

use crate::action::Action;
use crate::alarm::Alarm;
use crate::boots::Boots;
use crate::close_reason::CloseReason;
use crate::connection_error::ConnectionError;
use crate::context::Context;
use crate::dial::Dialler;
use crate::dial_error::DialError;
use crate::id::{ConnId, DialId};
use crate::membership::GatewayInfo;
use crate::message::{ByeCode, FieldError, Kind, Message};
use crate::path_mtu::PathMtu;
use crate::session::{Live, Session};
use crate::tunnel_error::TunnelError;

/// Most alarms about one session.
const MAX_ALARMS: u32 = 8;

#[derive(Debug)]
pub(crate) struct Tunnel {
    peer: GatewayId,
    site: SiteId,
    /// Dialler order: our dial wins between equals.
    we_are_lower: bool,
    sessions: BTreeMap<ConnId, Session>,
    /// The session that routes use.
    active: Option<ConnId>,
    dialler: Dialler,
    path_mtu: PathMtu,
    boots: Boots,
    /// Highest session number that was used or heard of.
    newest: u64,
    /// Since when it is up, or is not.
    since: Instant,
    last_error: Option<TunnelError>,
}

impl Tunnel {
    /// A tunnel that is dialled at once.
    pub(crate) fn new(
        peer: GatewayId,
        info: GatewayInfo,
        context: &mut Context,
        now: Instant,
    ) -> Self {
        let mut tunnel = Self {
            we_are_lower: context.membership.me < peer,
            peer,
            site: info.site,
            sessions: BTreeMap::new(),
            active: None,
            dialler: Dialler::new(info.endpoints),
            path_mtu: PathMtu::new(now),
            boots: Boots::default(),
            newest: 0,
            since: now,
            last_error: None,
        };
        tunnel.dial_soon(context, now);
        tunnel
    }

    pub(crate) fn dial_failed(
        &mut self,
        context: &mut Context,
        dial: DialId,
        error: DialError,
        now: Instant,
    ) {
        if self.dialler.finish(dial).is_some() {
            self.refused(context, error.into(), now);
        }
    }

    pub(crate) fn message(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        message: Message,
        now: Instant,
    ) {
        let Some(session) = self.sessions.get(&conn) else {
            return;
        };

        // The first message is `Hello` and no later one is. `Bye` may come at any time.
        let is_hello = matches!(message, Message::Hello(_));
        let is_bye = matches!(message, Message::Bye { .. });
        if !is_bye && is_hello != session.is_greeting() {
            let reason = CloseReason::UnexpectedMessage(message.kind());
            return self.cut(context, conn, reason, now);
        }

        match message {
            Message::Hello(hello) => self.hello(context, conn, hello, now),
            Message::Announce { serial, prefixes } => {
                self.announced(context, conn, serial, prefixes, now);
            }
            Message::Withdraw { serial, prefixes } => {
                self.withdrawn(context, conn, serial, &prefixes, now);
            }
            Message::Refuse(refuse) => self.refused_by_peer(context, conn, refuse),
            Message::Records { records } => self.records(conn, records),
            Message::Zone(message) => context.act(Action::ZoneMessage {
                peer: self.peer.clone(),
                conn,
                message,
            }),
            Message::Bye { code } => self.bye(context, conn, code, now),
        }
    }

    pub(crate) fn malformed(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        kind: Kind,
        error: FieldError,
        now: Instant,
    ) {
        let Some(session) = self.sessions.get_mut(&conn) else {
            return;
        };

        // Before the session is up every message counts, and so do these two kinds at any time.
        let essential = matches!(kind, Kind::Hello | Kind::Bye);
        let Some(live) = session.live_mut().filter(|_| !essential) else {
            let reason = match error {
                FieldError::Version(mismatch) if session.is_greeting() => {
                    CloseReason::Version(mismatch)
                }
                error => CloseReason::Malformed { kind, error },
            };
            return self.cut(context, conn, reason, now);
        };

        let alarm = Alarm::Malformed {
            peer: self.peer.clone(),
            kind,
            error: error.clone(),
        };
        live.alarm(context, alarm);
        self.last_error = Some(TunnelError::Malformed { kind, error });

        if matches!(kind, Kind::Announce | Kind::Withdraw) {
            live.claims.malformed();
            self.claims_changed(context, conn, now);
        }
    }

    /// An authenticated packet came back on the session.
    pub(crate) fn echoed(&mut self, context: &mut Context, conn: ConnId, probe: u64, now: Instant) {
        if self.path_answered(context, conn, probe, now) {
            return;
        }
        let Some(session) = self
            .sessions
            .get_mut(&conn)
            .filter(|session| session.is_up())
        else {
            return;
        };
        let first = !session.proved();
        let ours = session
            .live_mut()
            .is_some_and(|live| live.liveness.echoed(probe, now));
        if ours && first {
            self.dialler.proved();
            self.settle(context, now);
        }
    }

    /// Ends a session from this side, with the reason for both ends.
    pub(crate) fn cut(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        reason: CloseReason,
        now: Instant,
    ) {
        if self.sessions.contains_key(&conn) {
            context.close(conn, reason.clone());
            self.lose(context, conn, reason.into(), now);
        }
    }

    /// Ends every session.
    pub(crate) fn cut_all(&mut self, context: &mut Context, reason: CloseReason, now: Instant) {
        self.cut_those(context, |_| true, reason, now);
    }

    /// The session is gone, whoever ended it.
    pub(crate) fn lose(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        error: TunnelError,
        now: Instant,
    ) {
        let Some(session) = self.sessions.remove(&conn) else {
            return;
        };
        context.forget_session(conn);
        context.changed |= session.live().is_some();
        if self.active == Some(conn) {
            self.active = None;
            self.last_error = Some(error.clone());
            self.settle(context, now);
            if self.active.is_none() {
                self.went_down(context, error, session.proved(), now);
            }
        } else if session.is_greeting() && self.active.is_none() {
            self.refused(context, error, now);
        }
    }

    /// What the active session's claims offer.
    pub(crate) fn claims(&self) -> impl Iterator<Item = (Prefix, &GatewayId, ConnId)> {
        let active = self.active.and_then(|conn| self.sessions.get(&conn));
        let live = active.and_then(|session| Some((session.conn, session.live()?)));
        live.into_iter().flat_map(move |(conn, live)| {
            live.claims.admitted().map(move |p| (p, &self.peer, conn))
        })
    }

    fn cut_those(
        &mut self,
        context: &mut Context,
        those: impl Fn(&Session) -> bool,
        reason: CloseReason,
        now: Instant,
    ) {
        let mut cut: Vec<&Session> = self
            .sessions
            .values()
            .filter(|session| those(session))
            .collect();
        // Draining ones first: none shall be revived in between.
        cut.sort_by_key(|session| !session.is_draining());
        for conn in cut
            .into_iter()
            .map(|session| session.conn)
            .collect::<Vec<_>>()
        {
            self.cut(context, conn, reason.clone(), now);
        }
    }

    fn bye(&mut self, context: &mut Context, conn: ConnId, code: ByeCode, now: Instant) {
        if code == ByeCode::DuplicateIdentity && self.boots.alarm(now) {
            context.act(Action::Alarm(Alarm::OurIdentityElsewhere {
                peer: self.peer.clone(),
            }));
        }
        // The shell is told to close in any case: the peer's `Bye` alone closes nothing.
        context.act(Action::Retire { conn });
        self.lose(
            context,
            conn,
            ConnectionError::ClosedByPeer(code).into(),
            now,
        );
    }
}

impl Live {
    /// Raises an alarm, unless the session has raised enough of them.
    fn alarm(&mut self, context: &mut Context, alarm: Alarm) {
        self.alarms = self.alarms.saturating_add(1);
        if self.alarms <= MAX_ALARMS {
            context.act(Action::Alarm(alarm));
        }
    }
}
