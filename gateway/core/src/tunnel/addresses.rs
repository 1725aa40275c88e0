//! The addresses at which siblings dial each other inside the site. Each gateway sends its own; the
//! certificate proves that the right one answers. The record need not list them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use ringway_config::Endpoint;

use super::Tunnel;
use super::standing::supports_siblings;
use crate::action::Action;
use crate::context::Context;
use crate::id::ConnId;
use crate::message::Message;

impl Tunnel {
    /// Sends our addresses to a sibling, on every session where the last ones differ.
    pub(crate) fn send_addresses(&mut self, context: &mut Context) {
        for conn in self.live_conns() {
            self.send_addresses_on(context, conn);
        }
    }

    pub(super) fn send_addresses_on(&mut self, context: &mut Context, conn: ConnId) {
        if !self.is_sibling(context) {
            return;
        }
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };
        if !supports_siblings(context, live) || live.sent_addresses == context.addresses {
            return;
        }

        let addresses = context.addresses.clone();
        live.sent_addresses.clone_from(&addresses);
        let message = Message::Addresses(addresses);
        context.act(Action::Send { conn, message });
    }

    /// Handles the addresses of a sibling.
    pub(super) fn handle_addresses(
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
        if !is_sibling || !supports_siblings(context, live) {
            return;
        }

        // A sibling must not make us dial an address outside our site, or this gateway itself.
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
        if self.update_endpoints(context) && !self.nearby.is_empty() {
            // The session in use may take a longer path.
            self.rekey_by(now);
        }
    }

    /// Replaces the session with a sibling after a change of carrier: it may use an interface that
    /// has lost it, or a longer path than necessary.
    pub(crate) fn handle_carrier(&mut self, context: &Context, now: Instant) {
        if self.is_sibling(context) {
            self.rekey_by(now);
        }
    }

    /// Sets the dialler's endpoints: the addresses inside our site, then those of the record. True
    /// if they have changed.
    pub(super) fn update_endpoints(&mut self, context: &Context) -> bool {
        let Some(info) = context.membership.gateways.get(&self.peer) else {
            return false;
        };
        // The peer was moved to another site: addresses inside ours do not apply to it.
        if !self.is_sibling(context) {
            self.nearby.clear();
        }

        let nearby = self.nearby.iter().map(|address| Endpoint::from(*address));
        let endpoints: Vec<Endpoint> = nearby.chain(info.endpoints.iter().cloned()).collect();
        self.dialler.set_endpoints(&endpoints)
    }
}
