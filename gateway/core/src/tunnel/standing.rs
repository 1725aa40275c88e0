//! The part of a tunnel that concerns the gateways of one site: sends the rank of our claims to the
//! peer, receives the peer's, and observes whether a sibling is alive. [`crate::siblings`] runs the
//! election.

use std::time::{Duration, Instant};

use super::Tunnel;
use crate::action::Action;
use crate::close_reason::CloseReason;
use crate::connection_error::ConnectionError;
use crate::context::Context;
use crate::id::ConnId;
use crate::message::{ByeCode, Message, Relay, SIBLINGS, SiblingMessage};
use crate::rank::Rank;
use crate::session::{Live, Session};
use crate::settings::Settings;
use crate::siblings::{Refusal, View};
use crate::tunnel_error::TunnelError;

/// Relays that one peer may send in a second. Four gateways need fewer: each of them sends 5
/// queries a second about every other one, and as many answers.
const RELAYS_PER_SECOND: u32 = 40;

/// Limits the relays of a peer.
#[derive(Debug)]
pub(super) struct RelayLimit {
    second: Instant,
    count: u32,
}

impl RelayLimit {
    pub(super) fn new(now: Instant) -> RelayLimit {
        RelayLimit {
            second: now,
            count: 0,
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        if self.second + Duration::from_secs(1) <= now {
            self.second = now;
            self.count = 0;
        }
        self.count += 1;
        self.count <= RELAYS_PER_SECOND
    }
}

impl Tunnel {
    /// True if the peer serves our site.
    pub(crate) fn is_sibling(&self, context: &Context) -> bool {
        context.membership.shares_site(&self.peer, &self.site)
    }

    /// The settings that give the pace of this tunnel's probes.
    pub(super) fn pace<'c>(&self, context: &'c Context) -> &'c Settings {
        if self.is_to_node() {
            return context.pace_for_node(self.is_silent);
        }
        context.pace(self.is_sibling(context))
    }

    /// Sends our rank or state on every session where the last one sent differs.
    pub(crate) fn send_standing(&mut self, context: &mut Context) {
        for conn in self.live_conns() {
            self.send_standing_on(context, conn);
        }
    }

    pub(super) fn send_standing_on(&mut self, context: &mut Context, conn: ConnId) {
        let is_sibling = self.is_sibling(context);
        let sibling = context.message_for(&self.peer);
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };
        // A node has no rank: there is no other way to its addresses.
        if !supports_siblings(context, live) || context.membership.me.is_node() {
            return;
        }

        // A sibling receives the whole state, the other peers only the rank.
        let rank = sibling.state.rank;
        let message = if is_sibling && live.sent_state != Some(sibling) {
            live.sent_state = Some(sibling);
            Message::Sibling(sibling)
        } else if !is_sibling && live.sent_rank != Some(rank) {
            live.sent_rank = Some(rank);
            Message::Rank(rank)
        } else {
            return;
        };
        context.act(Action::Send { conn, message });
    }

    /// Handles the rank of the peer's claims.
    pub(super) fn handle_rank(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        rank: Rank,
        now: Instant,
    ) {
        let before = self.known_epoch;
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };
        if !supports_siblings(context, live) || (live.rank == rank && before == Some(rank.epoch)) {
            return;
        }

        live.rank = rank;
        // An epoch that is unchanged since the last session is no takeover. During a rekey the peer
        // announces a takeover on both sessions, in either order.
        if before != Some(rank.epoch) {
            let is_raised = before.is_none_or(|before| rank.epoch > before);
            for live in self.sessions.iter_mut().filter_map(Session::live_mut) {
                live.is_raised = is_raised;
            }
        }
        self.known_epoch = Some(rank.epoch);
        self.ranked_since = now;
        context.routes_stale = true;
    }

    /// Handles the peer's state. Only gateways of our own site take part in the election.
    pub(super) fn handle_sibling(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        message: SiblingMessage,
    ) {
        let is_sibling = self.is_sibling(context);
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };

        if is_sibling && supports_siblings(context, live) {
            live.state = Some(message);
            context.siblings_stale = true;
        }
    }

    /// Handles a message between siblings that the peer sends to us or asks us to forward.
    pub(super) fn handle_relay(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        relay: Relay,
        now: Instant,
    ) {
        if self.relay_limit.take(now) {
            context.relays.push((self.peer.clone(), conn, relay));
        }
    }

    /// Sends a message between siblings to the peer, if its version supports that.
    pub(crate) fn send_relay(&self, context: &mut Context, relay: Relay) {
        let active = self.sessions.active();
        let Some((session, live)) = active.and_then(|s| Some((s, s.live()?))) else {
            return;
        };

        if supports_siblings(context, live) {
            let conn = session.conn;
            let message = Message::Relay(relay);
            context.act(Action::Send { conn, message });
        }
    }

    /// The state of this tunnel, as evidence of whether a sibling is alive.
    pub(crate) fn view(&self, context: &Context, now: Instant) -> View {
        let active = self.sessions.active();
        let Some(live) = active.and_then(Session::live) else {
            return self.view_without_session();
        };

        if !supports_siblings(context, live) {
            View::Unsupported
        } else if !live.liveness.proved() {
            self.view_before_first_echo()
        } else if live.liveness.is_sibling_silent(now) {
            View::Silent
        } else {
            View::Answering {
                heard: live.liveness.last_echo(),
                since: live.since,
                message: live.state,
                is_overdue: live.liveness.is_overdue(),
            }
        }
    }

    /// A sibling that was restarted has given its role up, even if it is back at once: it knows
    /// neither the epoch nor the flows of the daemon before it, and may be a copy of it in a place
    /// from where it does not reach the site's hosts.
    fn view_before_first_echo(&self) -> View {
        match self.last_error {
            Some(TunnelError::Closed(CloseReason::PeerRestarted)) => View::Left,
            _ => View::Pending,
        }
    }

    fn view_without_session(&self) -> View {
        if !self.was_attempted {
            return View::Pending;
        }

        match &self.last_error {
            Some(TunnelError::Connection(ConnectionError::ClosedByPeer(code))) => match code {
                ByeCode::Shutdown => View::Left,
                ByeCode::DuplicateIdentity => View::Refused(Refusal::Copy),
                code if code.is_about_certificates() => View::Refused(Refusal::Certificate),
                _ => View::Silent,
            },
            Some(TunnelError::Closed(CloseReason::PeerRestarted)) => View::Left,
            Some(error) if error.is_about_certificates() => View::Refused(Refusal::Certificate),
            _ => View::Silent,
        }
    }

    /// True if there is a session, whether it carries packets or not.
    pub(crate) fn has_session(&self) -> bool {
        self.sessions.active().is_some()
    }

    /// True if no echo of the session in use is late.
    pub(crate) fn echoes_in_time(&self, context: &Context, now: Instant) -> bool {
        let live = self.sessions.active().and_then(Session::live);

        live.is_some_and(|live| !live.liveness.is_late(self.pace(context), now))
    }

    /// `Some` if the session in use carries packets: its round trip time if the peer can be asked
    /// about siblings, else `Some(None)`.
    pub(crate) fn uplink(&self, context: &Context, now: Instant) -> Option<Option<Duration>> {
        let live = self.sessions.active().and_then(Session::live)?;
        if !live.liveness.proved() || live.liveness.is_uplink_silent(now) {
            return None;
        }

        let rtt = live.liveness.rtt().unwrap_or_default();
        Some(supports_siblings(context, live).then_some(rtt))
    }
}

pub(super) fn supports_siblings(context: &Context, live: &Live) -> bool {
    live.features & context.settings.features & SIBLINGS != 0
}
