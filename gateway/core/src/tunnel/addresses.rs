//! Where a sibling can be dialled inside our site: it says so itself, and its certificate shows
//! that it is the one. The record need not name an address there.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use ringway_config::Endpoint;

use super::Tunnel;
use super::standing::knows_siblings;
use crate::action::Action;
use crate::context::Context;
use crate::id::ConnId;
use crate::message::Message;

impl Tunnel {
    /// Tells a sibling our addresses, on every session where it was told others.
    pub(crate) fn tell_addresses(&mut self, context: &mut Context) {
        for conn in self.live_conns() {
            self.tell_addresses_on(context, conn);
        }
    }

    pub(super) fn tell_addresses_on(&mut self, context: &mut Context, conn: ConnId) {
        if !self.is_sibling(context) {
            return;
        }
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };
        if !knows_siblings(context, live) || live.told_addresses == context.addresses {
            return;
        }

        let addresses = context.addresses.clone();
        live.told_addresses.clone_from(&addresses);
        let message = Message::Addresses(addresses);
        context.act(Action::Send { conn, message });
    }

    /// The peer says where it can be dialled inside its site.
    pub(super) fn addresses_said(
        &mut self,
        context: &Context,
        conn: ConnId,
        addresses: BTreeSet<SocketAddr>,
        now: Instant,
    ) {
        let is_sibling = self.is_sibling(context);
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };
        if !is_sibling || !knows_siblings(context, live) {
            return;
        }

        // Nobody has us dial what lies outside our own site, or this gateway itself.
        let site = context.membership.local_prefixes();
        let inside = addresses.into_iter().filter(|address| {
            let is_inside = site.iter().any(|prefix| prefix.contains(address.ip()));
            is_inside && !context.addresses.contains(address)
        });
        let inside: BTreeSet<SocketAddr> = inside.collect();
        if inside == self.nearby {
            return;
        }

        self.nearby = inside;
        if self.follow_endpoints(context) && !self.nearby.is_empty() {
            // The session in use may go a longer way.
            self.rekey_by(now);
        }
    }

    /// The session in use may go by an interface that has just lost its carrier, or a longer way
    /// than one that has it again.
    pub(crate) fn look_for_another_way(&mut self, context: &Context, now: Instant) {
        if self.is_sibling(context) {
            self.rekey_by(now);
        }
    }

    /// Dials what the record names, and in front of it the addresses inside our site. True if they
    /// have changed.
    pub(super) fn follow_endpoints(&mut self, context: &Context) -> bool {
        let Some(info) = context.membership.gateways.get(&self.peer) else {
            return false;
        };
        // Another site's addresses are no way for it.
        if !self.is_sibling(context) {
            self.nearby.clear();
        }

        let nearby = self.nearby.iter().map(|address| Endpoint::from(*address));
        let endpoints: Vec<Endpoint> = nearby.chain(info.endpoints.iter().cloned()).collect();
        self.dialler.set_endpoints(&endpoints)
    }
}
