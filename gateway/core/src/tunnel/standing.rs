//! What a tunnel has to do with the gateways of one site: tells the peer the rank of our claims,
//! takes the peer's, and shows whether a sibling is alive. [`crate::siblings`] decides what
//! follows.

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
use crate::siblings::View;
use crate::tunnel_error::TunnelError;

/// Messages between siblings that are passed on for one peer in a second.
/// Each of four gateways may have 5 questions about every other one, and their answers.
const RELAYED_PER_SECOND: u32 = 40;

/// The messages of a peer that were passed on in this second.
#[derive(Debug)]
pub(super) struct Relayed {
    second: Instant,
    count: u32,
}

impl Relayed {
    pub(super) fn new(now: Instant) -> Relayed {
        Relayed {
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
        self.count <= RELAYED_PER_SECOND
    }
}

impl Tunnel {
    /// True if the peer serves our site.
    pub(crate) fn is_sibling(&self, context: &Context) -> bool {
        context.membership.shares_site(&self.peer, &self.site)
    }

    /// How fast this tunnel is probed.
    pub(super) fn pace<'c>(&self, context: &'c Context) -> &'c Settings {
        if self.is_to_node() {
            return context.pace_for_node();
        }
        context.pace(self.is_sibling(context))
    }

    /// Tells the peer what this gateway is, on every session where it was told something else.
    pub(crate) fn tell_standing(&mut self, context: &mut Context) {
        for conn in self.live_conns() {
            self.tell_standing_on(context, conn);
        }
    }

    pub(super) fn tell_standing_on(&mut self, context: &mut Context, conn: ConnId) {
        let is_sibling = self.is_sibling(context);
        let sibling = context.message_for(&self.peer);
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };
        // A node has no rank: nobody has a choice.
        if !knows_siblings(context, live) || context.membership.me.is_node() {
            return;
        }

        // A sibling needs to know more than the others.
        let rank = sibling.state.rank;
        let message = if is_sibling && live.told_state != Some(sibling) {
            live.told_state = Some(sibling);
            Message::Sibling(sibling)
        } else if !is_sibling && live.told_rank != Some(rank) {
            live.told_rank = Some(rank);
            Message::Rank(rank)
        } else {
            return;
        };
        context.act(Action::Send { conn, message });
    }

    /// The peer's claims have this rank.
    pub(super) fn ranked(&mut self, context: &mut Context, conn: ConnId, rank: Rank, now: Instant) {
        let before = self.known_epoch;
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };
        if !knows_siblings(context, live) || (live.rank == rank && before == Some(rank.epoch)) {
            return;
        }

        live.rank = rank;
        // The epoch that it had when its last session ended is no takeover. While a session
        // replaces another one, the peer says a takeover on both, and which is first is chance.
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

    /// The peer says what it is. Only a gateway of our site has a say in what this one is.
    pub(super) fn sibling_said(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        message: SiblingMessage,
    ) {
        let is_sibling = self.is_sibling(context);
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };

        if is_sibling && knows_siblings(context, live) {
            live.state = Some(message);
            context.siblings_stale = true;
        }
    }

    /// The peer wants a message passed on, or passes one on to us.
    pub(super) fn relayed(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        relay: Relay,
        now: Instant,
    ) {
        if self.relayed.take(now) {
            context.relays.push((self.peer.clone(), conn, relay));
        }
    }

    /// Sends a message of one sibling to another, if the peer can take it.
    pub(crate) fn relay(&self, context: &mut Context, relay: Relay) {
        let active = self.sessions.active();
        let Some((session, live)) = active.and_then(|s| Some((s, s.live()?))) else {
            return;
        };

        if knows_siblings(context, live) {
            let conn = session.conn;
            let message = Message::Relay(relay);
            context.act(Action::Send { conn, message });
        }
    }

    /// What this tunnel shows of a sibling.
    pub(crate) fn view(&self, context: &Context, now: Instant) -> View {
        let active = self.sessions.active();
        let Some(live) = active.and_then(Session::live) else {
            return self.view_without_session();
        };

        if !knows_siblings(context, live) {
            View::Mute
        } else if !live.liveness.proved() {
            View::Nothing
        } else if live.liveness.is_sibling_silent(now) {
            View::Silent
        } else {
            View::Answers {
                heard: live.liveness.last_echo(),
                since: live.since,
                said: live.state,
                is_overdue: live.liveness.is_overdue(),
            }
        }
    }

    fn view_without_session(&self) -> View {
        if !self.was_attempted {
            return View::Nothing;
        }

        let has_left = match &self.last_error {
            Some(TunnelError::Connection(ConnectionError::ClosedByPeer(code))) => {
                *code == ByeCode::Shutdown
            }
            Some(TunnelError::Closed(reason)) => *reason == CloseReason::PeerRestarted,
            _ => false,
        };
        if has_left { View::Left } else { View::Silent }
    }

    /// The round trip time of the session in use, if packets pass and the peer knows of siblings:
    /// then it can be asked about them. Without the latter, `Some(None)`.
    pub(crate) fn uplink(&self, context: &Context, now: Instant) -> Option<Option<Duration>> {
        let live = self.sessions.active().and_then(Session::live)?;
        if !live.liveness.proved() || live.liveness.is_uplink_silent(now) {
            return None;
        }

        let rtt = live.liveness.rtt().unwrap_or_default();
        Some(knows_siblings(context, live).then_some(rtt))
    }
}

pub(super) fn knows_siblings(context: &Context, live: &Live) -> bool {
    live.features & context.settings.features & SIBLINGS != 0
}
