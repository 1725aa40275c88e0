//! [`Tunnel`]: the relation with one peer, carried by one session at a time.
//!
//! This file dispatches events and ends sessions. `sessions` decides which session
//! carries it, `start` turns connections into sessions, `claims` exchanges prefixes and records,
//! `timeout` handles deadlines, `path` finds the path MTU, `standing` serves the election of a
//! site's active gateway, `addresses` and `site_settings` are exchanged between siblings, `attach`
//! has what differs for attached nodes, `report` describes the tunnel for operators.
//!
//! Invariants: a session of a dead daemon (an older boot id) is never up beside one of the running
//! daemon; a peer has a bounded number of sessions, those without `Hello` included. A bad peer may
//! lose its session, but does not affect other tunnels.

mod addresses;
mod attach;
mod claims;
mod path;
mod report;
mod sessions;
mod site_settings;
mod standing;
mod start;
mod timeout;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use ringway_config::{GatewayId, SiteId};

use crate::action::{Action, PolicyEnvelope};
use crate::alarm::Alarm;
use crate::allowance::Allowance;
use crate::boots::Boots;
use crate::close_reason::CloseReason;
use crate::connection_error::ConnectionError;
use crate::context::Context;
use crate::dial::Dialler;
use crate::dial_error::DialError;
use crate::id::{ConnId, DialId};
use crate::membership::GatewayInfo;
use crate::message::{ByeCode, FieldError, Kind, Message, Offer, SiteSettings};
use crate::outage::Outages;
use crate::path_mtu::PathMtu;
use crate::record_drift::RecordDrift;
use crate::rib::Claim;
use crate::round_trips::RoundTrips;
use crate::session::{Live, Session};
use crate::tunnel_error::TunnelError;
use sessions::{Selection, Sessions};
use standing::RelayLimit;

/// Most alarms about one session.
const MAX_ALARMS: u32 = 8;

#[derive(Debug)]
pub(crate) struct Tunnel {
    peer: GatewayId,
    site: SiteId,
    sessions: Sessions,
    dialler: Dialler,
    path_mtu: PathMtu,
    boots: Boots,
    /// The highest session number that either end has used.
    newest: u64,
    /// An attempt to reach the peer has failed, or a session was up: what follows is no first
    /// attempt.
    was_attempted: bool,
    /// When it went up or down last.
    since: Instant,
    last_error: Option<TunnelError>,
    /// The differences between the ends' records, as last reported to the operator.
    drift: Vec<RecordDrift>,
    drift_allowance: Allowance,
    /// When another difference is reported, which came too soon.
    drift_due: Option<Instant>,
    outages: Outages,
    round_trips: RoundTrips,
    /// The epoch of the peer's claims that was known last, and since when it has its rank.
    known_epoch: Option<u64>,
    ranked_since: Instant,
    relay_limit: RelayLimit,
    /// The addresses of a sibling inside our site.
    nearby: BTreeSet<SocketAddr>,
    /// The settings that a sibling reported last, and when they changed.
    site_settings: Option<(SiteSettings, Instant)>,
    /// The last offer of a gateway to us, an attached node.
    offer: Option<Offer>,
    offer_allowance: Allowance,
    /// An offer that came too soon, and when it is handled.
    next_offer: Option<(Instant, Offer)>,
    /// Packets to or from an attached node are lost, although there is a session.
    is_silent: bool,
    /// The session in use carries packets. Only followed by gateways with siblings.
    carries: bool,
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
            sessions: Sessions::new(context.membership.me < peer),
            peer,
            site: info.site,
            dialler: Dialler::new(info.endpoints),
            path_mtu: PathMtu::new(now),
            boots: Boots::default(),
            newest: 0,
            was_attempted: false,
            since: now,
            last_error: None,
            drift: Vec::new(),
            drift_allowance: Allowance::new(now),
            drift_due: None,
            outages: Outages::default(),
            round_trips: RoundTrips::default(),
            known_epoch: None,
            ranked_since: now,
            relay_limit: RelayLimit::new(now),
            nearby: BTreeSet::new(),
            site_settings: None,
            offer: None,
            offer_allowance: Allowance::new(now),
            next_offer: None,
            is_silent: false,
            carries: false,
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
        if self.dialler.failed(dial) {
            self.attempt_failed(context, error.into(), now);
        }
    }

    pub(crate) fn message(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        message: Message,
        now: Instant,
    ) {
        let Some(session) = self.sessions.get(conn) else {
            return;
        };

        // The first message is `Hello` and no later one is. `Bye` may come at any time.
        let is_hello = matches!(message, Message::Hello(_));
        let is_bye = matches!(message, Message::Bye { .. });
        if !is_bye && is_hello != session.awaits_hello() {
            let reason = CloseReason::UnexpectedMessage(message.kind());
            return self.close(context, conn, reason, now);
        }

        if !self.may_send(context, message.kind()) {
            let reason = CloseReason::UnexpectedMessage(message.kind());
            return self.close(context, conn, reason, now);
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
            Message::Records { records } => self.records(context, conn, records, now),
            Message::Rank(rank) => self.handle_rank(context, conn, rank, now),
            Message::Sibling(message) => self.handle_sibling(context, conn, message),
            Message::Relay(relay) => self.handle_relay(context, conn, relay, now),
            Message::Addresses(list) => self.handle_addresses(context, conn, list, now),
            Message::SiteSettings(settings) => {
                self.handle_site_settings(context, conn, settings, now);
            }
            Message::Zone(message) => context.act(Action::ZoneMessage {
                peer: self.peer.clone(),
                conn,
                message,
            }),
            Message::Policy(message) => context.act(Action::Policy(PolicyEnvelope {
                peer: self.peer.clone(),
                conn,
                message,
            })),
            Message::Offer(offer) => self.handle_offer(context, offer, now),
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
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };

        // Before the session is up every message is essential, and so are these two kinds at any
        // time.
        let essential = matches!(kind, Kind::Hello | Kind::Bye);
        let Some(live) = session.live_mut().filter(|_| !essential) else {
            let reason = match error {
                FieldError::Version(mismatch) if session.awaits_hello() => {
                    CloseReason::Version(mismatch)
                }
                error => CloseReason::Malformed { kind, error },
            };
            return self.close(context, conn, reason, now);
        };

        // The session goes on (RFC 7606, section 2): one bad message does not cost the tunnel.
        let alarm = Alarm::Malformed {
            peer: self.peer.clone(),
            kind,
            error: error.clone(),
        };
        live.alarm(context, alarm);
        self.last_error = Some(TunnelError::Malformed { kind, error });

        // RFC 7606, section 2: it counts as a withdrawal of what it was about.
        if matches!(kind, Kind::Announce | Kind::Withdraw) {
            live.claims.malformed();
            self.claims_changed(context, conn, now);
        }
    }

    /// The wall clock was set, so that the peer's certificate expires at another time.
    pub(crate) fn expires(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        expires: Instant,
        now: Instant,
    ) {
        if let Some(session) = self.sessions.get_mut(conn) {
            session.expires = expires;
        }

        if expires <= now {
            self.close(context, conn, CloseReason::CertificateExpired, now);
        }
    }

    /// A probe was echoed on the session.
    pub(crate) fn echoed(&mut self, context: &mut Context, conn: ConnId, probe: u64, now: Instant) {
        // Probes of the path MTU are numbered in the same sequence, so the number tells which it
        // is.
        if self.path_echoed(context, conn, probe, now) {
            return;
        }

        let alone = self.sessions.active().is_none();
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };
        let first = !live.liveness.proved();

        if let Some(round_trip) = live.liveness.echoed(probe, now) {
            self.round_trips.note(round_trip);
            // Only an echo resets the back-off: a firewall may pass the handshake but no data
            // packets.
            if first || alone {
                self.dialler.reset_backoff();
                self.select_session(context, now);
            }
        }
        self.update_silence(context, now);
    }

    /// Closes a session from this side. Both ends record the reason.
    pub(crate) fn close(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        reason: CloseReason,
        now: Instant,
    ) {
        // It may have ended since the caller looked it up.
        if self.sessions.get(conn).is_some() {
            context.close(conn, reason.clone());
            self.ended(context, conn, reason.into(), now);
        }
    }

    pub(crate) fn close_all(&mut self, context: &mut Context, reason: CloseReason, now: Instant) {
        self.close_those(context, |_| true, reason, now);
    }

    fn close_those(
        &mut self,
        context: &mut Context,
        which: impl Fn(&Session) -> bool,
        reason: CloseReason,
        now: Instant,
    ) {
        // Draining ones first, so that none is revived when the one in use is closed.
        let draining = self.sessions.conns(|s| which(s) && s.is_draining());
        let others = self.sessions.conns(|s| which(s) && !s.is_draining());

        for conn in draining.into_iter().chain(others) {
            self.close(context, conn, reason.clone(), now);
        }
    }

    /// A session has ended, from whichever side.
    pub(crate) fn ended(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        error: TunnelError,
        now: Instant,
    ) {
        let was_active = self.sessions.is_active(conn);
        let Some(session) = self.sessions.remove(conn) else {
            return;
        };
        context.forget_session(conn);
        // Without a `Hello` from the peer there are no claims.
        context.routes_stale |= session.live().is_some();

        // The end of a session that another replaces changes nothing for the tunnel.
        if was_active {
            self.last_error = Some(error.clone());
            self.select_session(context, now);

            // Another session, even one that was draining, keeps the tunnel up.
            if self.sessions.active().is_none() {
                self.went_down(context, error, session.proved(), now);
            }
        } else if session.awaits_hello() && self.sessions.active().is_none() {
            self.attempt_failed(context, error, now);
        }
    }

    /// The admitted claims of the session in use.
    pub(crate) fn claims(&self) -> impl Iterator<Item = Claim<'_>> {
        let active = self.sessions.active();
        let live = active.and_then(|session| Some((session.conn, session.live()?)));

        live.into_iter().flat_map(move |(conn, live)| {
            let admitted = live.claims.admitted();
            admitted.map(move |prefix| Claim {
                prefix,
                gateway: &self.peer,
                conn,
                rank: live.rank,
                is_raised: live.is_raised,
                since: self.since.max(self.ranked_since),
                is_silent: self.is_silent,
            })
        })
    }

    /// Uses the best session, drains the others, and reports a change.
    fn select_session(&mut self, context: &mut Context, now: Instant) {
        let peer = self.peer.clone();

        let selection = self.sessions.select(self.pace(context), now);
        match selection {
            Selection::Unchanged => return,
            Selection::Up(conn) => {
                self.since = now;
                self.outages.end(now);
                self.was_attempted = true;
                context.act(Action::TunnelUp { peer, conn });
            }
            Selection::Moved(conn) => context.act(Action::TunnelMoved { peer, conn }),
        }

        // A new session may take another path than the one before.
        context.routes_stale = true;
        context.siblings_stale = true;
        self.update_silence(context, now);
        self.path_mtu.path_changed(now);
        self.compare_records(context, now);
    }

    /// Ends a session that was replaced, without a reason for the peer.
    fn retire(&mut self, context: &mut Context, conn: ConnId) {
        if self.sessions.remove(conn).is_some() {
            context.forget_session(conn);
            context.act(Action::Retire { conn });
        }
    }

    fn went_down(
        &mut self,
        context: &mut Context,
        reason: TunnelError,
        proved: bool,
        now: Instant,
    ) {
        self.since = now;
        self.carries = false;
        context.siblings_stale = true;
        self.outages.begin(reason.clone(), now);
        context.act(Action::TunnelDown {
            peer: self.peer.clone(),
            reason,
            proved,
        });

        // A session that has carried packets is worth an immediate dial.
        if proved {
            self.dial_soon(context, now);
        } else {
            self.dial_later(context, now);
        }
    }

    /// A dial, or a connection without `Hello`, came to nothing.
    fn attempt_failed(&mut self, context: &mut Context, error: TunnelError, now: Instant) {
        self.last_error = Some(error);
        if !self.was_attempted {
            self.was_attempted = true;
            context.act(Action::FirstAttemptFailed {
                peer: self.peer.clone(),
            });
        }
        self.dial_later(context, now);
    }

    fn bye(&mut self, context: &mut Context, conn: ConnId, code: ByeCode, now: Instant) {
        if code == ByeCode::DuplicateIdentity && self.boots.alarm_due(now) {
            context.act(Action::Alarm(Alarm::OurIdentityElsewhere {
                peer: self.peer.clone(),
            }));
        }

        // The peer's `Bye` alone closes nothing.
        context.act(Action::Retire { conn });
        let error = ConnectionError::ClosedByPeer(code);
        self.ended(context, conn, error.into(), now);
    }
}

impl Live {
    /// Raises an alarm, unless the session has raised [`MAX_ALARMS`].
    fn alarm(&mut self, context: &mut Context, alarm: Alarm) {
        self.alarms = self.alarms.saturating_add(1);
        if self.alarms <= MAX_ALARMS {
            context.act(Action::Alarm(alarm));
        }
    }
}
