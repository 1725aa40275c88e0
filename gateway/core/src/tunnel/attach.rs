//! Tunnels with an attached node at one end: the gateway's offer, and which messages each end
//! accepts.
//!
//! A node is a host, not a gateway: it needs claims and their rank to route its packets, and sends
//! only claims of its own.

use std::collections::BTreeSet;
use std::time::Instant;

use ringway_config::Prefix;

use super::Tunnel;
use crate::action::Action;
use crate::context::Context;
use crate::id::ConnId;
use crate::message::{ATTACH, Kind, MAX_PREFIXES, MAX_RESOLVERS, Message, Offer, SIBLING_ROUTES};
use crate::session::Session;

impl Tunnel {
    /// The peer is an attached node of ours.
    pub(crate) fn is_to_node(&self) -> bool {
        self.peer.is_node()
    }

    /// One end is an attached node.
    pub(super) fn is_attachment(&self, context: &Context) -> bool {
        self.peer.is_node() || context.membership.me.is_node()
    }

    /// True if the peer may send a message of this kind.
    pub(super) fn may_send(&self, context: &Context, kind: Kind) -> bool {
        let always = matches!(
            kind,
            Kind::Hello | Kind::Announce | Kind::Withdraw | Kind::Refuse | Kind::Bye
        );
        if self.peer.is_node() {
            always
        } else if context.membership.me.is_node() {
            always || matches!(kind, Kind::Offer | Kind::Rank)
        } else {
            kind != Kind::Offer
        }
    }

    /// The prefixes that the peer, a node, reaches through this gateway: those of all sites.
    pub(super) fn offered_prefixes(&self, context: &Context) -> BTreeSet<Prefix> {
        let membership = &context.membership;
        let sites = membership.authorized.iter();
        let prefixes = sites
            .filter(|((_, site), _)| !site.is_node())
            .flat_map(|(_, prefixes)| prefixes.iter().copied());

        prefixes.take(MAX_PREFIXES).collect()
    }

    /// The prefixes that a sibling reaches through us: those of nodes attached to this gateway, and
    /// of other sites that our own tunnels lead to. It reaches the rest of the site by itself.
    pub(super) fn prefixes_for_sibling(&self, context: &Context, conn: ConnId) -> BTreeSet<Prefix> {
        let session = self.sessions.get(conn).and_then(Session::live);
        let features = session.map_or(0, |live| live.features & context.settings.features);

        // A node has no other way; a site may have one.
        let mut prefixes = BTreeSet::new();
        if features & ATTACH != 0 {
            prefixes.clone_from(&context.nodes_here);
        }
        if features & SIBLING_ROUTES != 0 {
            let room = MAX_PREFIXES.saturating_sub(prefixes.len());
            prefixes.extend(context.reached_here.iter().copied().take(room));
        }
        prefixes
    }

    /// Sends our offer to the peer, if it is a node, on every session where the last one differs.
    pub(crate) fn send_offer(&mut self, context: &mut Context) {
        for conn in self.live_conns() {
            self.send_offer_on(context, conn);
        }
    }

    pub(super) fn send_offer_on(&mut self, context: &mut Context, conn: ConnId) {
        if !self.peer.is_node() {
            return;
        }
        let resolvers = context.resolvers.iter().take(MAX_RESOLVERS);
        let offer = Offer {
            prefixes: self.offered_prefixes(context),
            resolvers: resolvers.copied().collect(),
        };

        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };
        let supports = live.features & context.settings.features & ATTACH != 0;
        if !supports || live.sent_offer.as_ref() == Some(&offer) {
            return;
        }
        live.sent_offer = Some(offer.clone());
        let message = Message::Offer(offer);
        context.act(Action::Send { conn, message });
    }

    /// True while an attached node and a gateway have a session on which packets are lost.
    pub(crate) fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// True while packets pass between us, who have siblings, and the peer.
    pub(crate) fn carries(&self) -> bool {
        self.carries
    }

    /// Updates [`Tunnel::is_silent`] and [`Tunnel::carries`]. Routes move to another gateway long
    /// before the session counts as dead.
    pub(super) fn update_silence(&mut self, context: &mut Context, now: Instant) {
        let live = self.sessions.active().and_then(Session::live);
        let is_proved = live.is_some_and(|live| live.liveness.proved());
        let is_silent =
            live.is_some_and(|live| live.liveness.proved() && live.liveness.is_uplink_silent(now));
        let carries = is_proved && !is_silent;

        if context.has_siblings && self.carries != carries {
            self.carries = carries;
            context.routes_stale = true;
        }
        if self.is_attachment(context) && self.is_silent != is_silent {
            self.is_silent = is_silent;
            context.routes_stale = true;
        }
    }

    /// Handles the gateway's offer. Changes are limited to a burst and then one a minute, because
    /// the shell reads its files again for each.
    pub(super) fn handle_offer(&mut self, context: &mut Context, offer: Offer, now: Instant) {
        self.next_offer = None;
        if self.offer.as_ref() == Some(&offer) {
            return;
        }
        if !self.offer_allowance.take(now) {
            self.next_offer = Some((self.offer_allowance.next(), offer));
            return;
        }

        self.offer = Some(offer.clone());
        context.act(Action::Offered {
            peer: self.peer.clone(),
            offer,
        });
    }
}
