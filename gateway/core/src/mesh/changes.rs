//! What changes at this gateway itself, not at a peer: the member records, the host's addresses,
//! routes, links and clock, and the operator's settings. Each change goes to the tunnels that it
//! concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use ringway_config::{GatewayId, Prefix};

use super::Mesh;
use crate::close_reason::CloseReason;
use crate::membership::Membership;
use crate::message::SiteSettings;
use crate::tunnel::Tunnel;

impl Mesh {
    /// The membership has changed. Acts on the difference only: removed gateways lose every session
    /// at once, added ones are dialled, claims are evaluated again; no other tunnel is touched.
    pub fn handle_membership(&mut self, membership: Membership, now: Instant) {
        let records_changed = self.context.membership.records != membership.records;
        self.context.membership = membership;
        self.update_siblings(now);

        // Added last: a new tunnel has nothing to catch up with.
        self.remove_tunnels(now);
        self.on_all(|tunnel, context| tunnel.membership_changed(context, records_changed, now));
        self.add_tunnels(now);
        self.settle(now);
    }

    /// The host's interfaces or addresses have changed, so that peers may be reachable now that
    /// were not. Every peer without a session is dialled without waiting for its back-off.
    pub fn handle_host_changed(&mut self, now: Instant) {
        self.on_all(|tunnel, context| tunnel.dial_again(context, now));
    }

    /// Sets the addresses inside our site at which siblings can dial this gateway.
    pub fn handle_addresses(&mut self, addresses: BTreeSet<SocketAddr>) {
        if self.context.addresses == addresses {
            return;
        }

        self.context.addresses = addresses;
        self.on_all(Tunnel::send_addresses);
    }

    /// Sets what the site's gateways must have alike.
    pub fn handle_site_settings(&mut self, settings: SiteSettings, now: Instant) {
        let known = self.context.site_settings.as_ref();
        if known.is_some_and(|(known, _)| *known == settings) {
            return;
        }

        self.context.site_settings = Some((settings, now));
        self.on_all(Tunnel::send_site_settings);
    }

    /// Sets the resolvers that attached nodes use for the consortium's names.
    pub fn handle_resolvers(&mut self, resolvers: BTreeSet<IpAddr>) {
        if self.context.resolvers == resolvers {
            return;
        }

        self.context.resolvers = resolvers;
        self.on_all(Tunnel::send_offer);
    }

    /// When each WireGuard client, by prefix, used this gateway last. Those that are here are
    /// announced to siblings.
    pub fn handle_wireguard(&mut self, clients: BTreeMap<Prefix, Instant>, now: Instant) {
        if self.clients.set_used(clients) {
            self.context.routes_stale = true;
            self.settle(now);
        }
    }

    /// `lost`: the names of the interfaces to our site's network if this gateway does not reach the
    /// site's hosts by them. A sibling that does takes over then.
    pub fn handle_carrier(&mut self, lost: Option<String>, now: Instant) {
        if !self.siblings.set_carrier(lost, now) {
            return;
        }

        self.on_all(|tunnel, context| tunnel.handle_carrier(context, now));
        self.settle(now);
    }

    /// Sets our preference among the gateways of the site. Preemption still takes a minute.
    pub fn handle_preference(&mut self, preference: u32, now: Instant) {
        if self.siblings.set_preference(preference, now) {
            self.settle(now);
        }
    }

    /// Sets the prefixes to which this gateway has no route: they are not announced.
    pub fn handle_unannounced(&mut self, prefixes: BTreeSet<Prefix>) {
        if self.context.unannounced == prefixes {
            return;
        }

        self.context.unannounced = prefixes;
        self.on_all(Tunnel::announce_again);
    }

    /// Our own certificate has changed: the session of every peer that we can dial is replaced
    /// within seconds.
    pub fn handle_identity_changed(&mut self, now: Instant) {
        self.on_all(|tunnel, context| tunnel.rekey_soon(context, now));
    }

    /// The boot or monotonic time has jumped (suspend): the state of every session is unknown.
    pub fn handle_clock_jump(&mut self, now: Instant) {
        // The peers may have closed the sessions in the meantime. To detect that by silence would
        // take longer.
        self.siblings.reset_contacts(now);
        self.on_all(|tunnel, context| {
            tunnel.close_all(context, CloseReason::ClockJump, now);
            tunnel.dial_soon(context, now);
        });
        self.settle(now);
    }

    /// Starts or cancels a drain: a sibling takes over while this gateway stays up.
    pub fn handle_drain(&mut self, on: bool, now: Instant) {
        if self.context.is_running() {
            self.siblings.set_leaving(on, now);
            self.settle(now);
        }
    }

    fn remove_tunnels(&mut self, now: Instant) {
        let accepted = &self.context.membership.gateways;
        let tunnels = self.tunnels.keys();
        let removed: Vec<GatewayId> = tunnels
            .filter(|peer| !accepted.contains_key(peer))
            .cloned()
            .collect();

        for peer in removed {
            let Some(mut tunnel) = self.tunnels.remove(&peer) else {
                continue;
            };
            self.timers.set(&peer, None);

            // Draining and unfinished sessions too: the peer must not receive or send anything
            // more.
            let reason = self.context.not_accepted(&peer);
            tunnel.close_all(&mut self.context, reason, now);
            tunnel.stop_dialling(&mut self.context);
            tunnel.forget_records(&mut self.context);
        }
    }

    pub(super) fn add_tunnels(&mut self, now: Instant) {
        let gateways = self.context.membership.gateways.iter();
        let added: Vec<_> = gateways
            .filter(|(peer, _)| !self.tunnels.contains_key(peer))
            .map(|(peer, info)| (peer.clone(), info.clone()))
            .collect();

        for (peer, info) in added {
            let tunnel = Tunnel::new(peer.clone(), info, &mut self.context, now);
            let deadline = tunnel.deadline(&self.context);
            self.timers.set(&peer, deadline);
            self.tunnels.insert(peer, tunnel);
        }
    }
}
