//! The virtual addresses of siblings. They move with the active role, so the gateways of a site
//! must have the same; each says which it has, and the difference is reported.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Tunnel;
use super::standing::supports_siblings;
use crate::action::Action;
use crate::context::Context;
use crate::id::ConnId;
use crate::message::Message;

impl Tunnel {
    /// Sends our virtual addresses to a sibling, on every session where the last ones differ.
    pub(crate) fn send_virtual_addresses(&mut self, context: &mut Context) {
        for conn in self.live_conns() {
            self.send_virtual_addresses_on(context, conn);
        }
    }

    pub(super) fn send_virtual_addresses_on(&mut self, context: &mut Context, conn: ConnId) {
        if !self.is_sibling(context) {
            return;
        }
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };
        if !supports_siblings(context, live) || live.sent_virtual == context.virtual_addresses {
            return;
        }

        // None at all is worth a message too, once it is known.
        live.sent_virtual.clone_from(&context.virtual_addresses);
        if let Some(addresses) = context.virtual_addresses.clone() {
            let message = Message::VirtualAddresses(addresses);
            context.act(Action::Send { conn, message });
        }
    }

    /// Handles the virtual addresses of a sibling.
    pub(super) fn handle_virtual_addresses(
        &mut self,
        context: &Context,
        conn: ConnId,
        addresses: BTreeSet<IpAddr>,
    ) {
        let is_sibling = self.is_sibling(context);
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };

        if is_sibling && supports_siblings(context, live) {
            self.virtual_addresses = Some(addresses);
        }
    }

    /// What a sibling reported last; `None` if it has reported nothing, or is no sibling.
    pub(crate) fn virtual_addresses(&self, context: &Context) -> Option<&BTreeSet<IpAddr>> {
        let addresses = self.virtual_addresses.as_ref();

        addresses.filter(|_| self.is_sibling(context))
    }
}
