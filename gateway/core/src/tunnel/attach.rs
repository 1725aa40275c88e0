//! Tunnels with an attached node at one end: what a gateway offers to it, and what each end hears
//! of the other.
//!
//! A node is a host, not a member of the site: of what gateways say to each other, it takes what
//! leads packets (claims and their rank), and tells nothing but what it has itself.

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

    /// True if the peer may send such a message.
    pub(super) fn may_say(&self, context: &Context, kind: Kind) -> bool {
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

    /// What the peer, a node, reaches through this gateway: our site and every other one.
    pub(super) fn offered_prefixes(&self, context: &Context) -> BTreeSet<Prefix> {
        let membership = &context.membership;
        let sites = membership.authorized.iter();
        let prefixes = sites
            .filter(|((_, site), _)| !site.is_node())
            .flat_map(|(_, prefixes)| prefixes.iter().copied());

        prefixes.take(MAX_PREFIXES).collect()
    }

    /// What a sibling reaches through us: nodes that are attached here, and perhaps not there. A
    /// gateway of our own site needs no other to reach the rest of it.
    pub(super) fn prefixes_for_sibling(&self, context: &Context, conn: ConnId) -> BTreeSet<Prefix> {
        let session = self.sessions.get(conn).and_then(Session::live);
        let knows = session.is_some_and(|live| live.features & ATTACH != 0);

        if knows {
            context.nodes_here.clone()
        } else {
            BTreeSet::new()
        }
    }

    /// Tells the peer, if it is a node, what this gateway has for it, on every session where it was
    /// told something else.
    pub(crate) fn tell_offer(&mut self, context: &mut Context) {
        for conn in self.live_conns() {
            self.tell_offer_on(context, conn);
        }
    }

    pub(super) fn tell_offer_on(&mut self, context: &mut Context, conn: ConnId) {
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
        let knows = live.features & context.settings.features & ATTACH != 0;
        if !knows || live.told_offer.as_ref() == Some(&offer) {
            return;
        }
        live.told_offer = Some(offer.clone());
        let message = Message::Offer(offer);
        context.act(Action::Send { conn, message });
    }

    /// True if no packets pass just now between an attached node and a gateway, although there is a
    /// session.
    pub(crate) fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// Looks again whether packets pass between an attached node and a gateway: another way is used
    /// long before the session counts as dead.
    pub(super) fn note_silence(&mut self, context: &mut Context, now: Instant) {
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

    /// The gateway says what it has for us. The shell hears of changes, of some at once and then of
    /// one a minute: it reads its files again for each.
    pub(super) fn offered(&mut self, context: &mut Context, offer: Offer, now: Instant) {
        if self.offer.as_ref() == Some(&offer) || !self.offer_allowance.take(now) {
            return;
        }

        self.offer = Some(offer.clone());
        context.act(Action::Offered {
            peer: self.peer.clone(),
            offer,
        });
    }
}
