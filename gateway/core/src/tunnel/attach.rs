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
use crate::message::{ATTACH, Kind, MAX_PREFIXES, MAX_RESOLVERS, Message, Offer};
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

    /// The prefixes that a sibling reaches through us: those of nodes attached to this gateway. It
    /// reaches the rest of the site by itself.
    pub(super) fn prefixes_for_sibling(&self, context: &Context, conn: ConnId) -> BTreeSet<Prefix> {
        let session = self.sessions.get(conn).and_then(Session::live);
        let supports = session.is_some_and(|live| live.features & ATTACH != 0);

        if supports {
            context.nodes_here.clone()
        } else {
            BTreeSet::new()
        }
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

    /// Updates [`Tunnel::is_silent`]. Routes move to another gateway long before the session counts
    /// as dead.
    pub(super) fn update_silence(&mut self, context: &mut Context, now: Instant) {
        if !self.is_attachment(context) {
            return;
        }
        let live = self.sessions.active().and_then(Session::live);
        let is_silent =
            live.is_some_and(|live| live.liveness.proved() && live.liveness.is_uplink_silent(now));

        if self.is_silent != is_silent {
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
