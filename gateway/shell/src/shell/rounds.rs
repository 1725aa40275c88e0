//! Time passes: clocks are looked at, and once a second what nothing else reports.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringway_config::defaults::DNS_PORT;
use ringway_core::message::{MAX_ADDRESSES, MAX_RESOLVERS, MAX_VIRTUAL_ADDRESSES, SiteSettings};

use super::Shell;
use crate::changes::Request;
use crate::effect::Effect;
use crate::packet_effect::PacketEffect;

/// How often the device and the connections are looked after although no port reported anything.
const ROUND: Duration = Duration::from_secs(1);

impl Shell {
    pub(super) fn tick(&mut self, boot: Duration, wall: Duration, now: Instant) {
        if self.wall.has_stepped(now, wall) {
            self.follow_wall_clock(now);
        }
        if self.clock.has_jumped(now, boot) {
            tracing::warn!(
                "The clock jumped: this machine slept or was moved; every session is replaced"
            );
            // A restored snapshot must not seal a packet number twice under one key.
            self.mesh.handle_clock_jump(now);
        }

        if self.round <= now {
            self.round = now + ROUND;
            self.begin_round(now);
        }
        if self.hold_down.is_due(now) {
            self.reach(now);
        }
        if self.guard_retry.poll(now) {
            self.submit(Request::Guard, now);
        }
        self.mesh.handle_timeout(now);
    }

    /// The wall clock was set: every session ends when its certificates do.
    fn follow_wall_clock(&mut self, now: Instant) {
        tracing::info!("The clock was set; sessions end when their certificates do");

        let sessions = self.sessions.iter();
        let ends: Vec<_> = sessions
            .map(|(conn, session)| (conn, self.wall.instant(session.expires)))
            .collect();
        for (conn, expires) in ends {
            self.mesh.handle_expiry(conn, expires, now);
        }
    }

    fn begin_round(&mut self, now: Instant) {
        self.effects.push_back(Effect::CheckDevice);
        self.effects.push_back(Effect::ReadActivity);
        self.tell_addresses();
        self.tell_settings(now);
        self.tell_resolvers();
        for name in self.alarms.over(now) {
            self.effects.push_back(Effect::Clear(name));
        }
        self.ask_data_plane(PacketEffect::ExpireKeys);
        if let Some(to) = self.sharing.due(now) {
            self.ask_data_plane(PacketEffect::ShareFlows { to });
        }
        if self.heap.is_due(now) {
            self.effects.push_back(Effect::TrimHeap);
        }

        // The mesh replaces such a session once it is in use; until then this is repeated.
        for conn in self.sessions.find(|session| session.is_outdated) {
            self.mesh.handle_silent(conn, now);
        }
    }

    /// Attached nodes learn where the consortium's names are answered.
    pub(super) fn tell_resolvers(&mut self) {
        let listen = self.current.config.dns.listen.iter();
        // A stub resolver's configuration has no place for another port.
        let usual = listen.filter(|address| address.port() == DNS_PORT);
        let reachable = usual
            .map(SocketAddr::ip)
            .filter(|address| !address.is_loopback() && !address.is_unspecified());

        self.mesh
            .handle_resolvers(reachable.take(MAX_RESOLVERS).collect());
    }

    /// Siblings learn where this host is inside our site, since the record names no address there.
    pub(super) fn tell_addresses(&mut self) {
        let listen = self.current.config.listen;
        let site = self.membership.local_prefixes();
        let inside = self.current.links.preferred_addresses().filter(|own| {
            // The tunnel's socket may listen on one address only.
            let is_bound = listen.ip().is_unspecified() || listen.ip() == *own;
            is_bound && site.iter().any(|prefix| prefix.contains(*own))
        });

        let addresses = inside.map(|own| SocketAddr::new(own, listen.port()));
        self.mesh
            .handle_addresses(addresses.take(MAX_ADDRESSES).collect());
    }

    /// Siblings learn what our file has of what all of them must have alike.
    pub(super) fn tell_settings(&mut self, now: Instant) {
        let config = &self.current.config;
        // Digests of long lists of rules are not made every second.
        if self
            .told
            .as_ref()
            .is_some_and(|told| Arc::ptr_eq(told, config))
        {
            return;
        }

        let moving = config.ha.addresses.iter();
        let moving: BTreeSet<IpAddr> = moving.map(|moving| moving.address).collect();
        let settings = SiteSettings {
            virtual_addresses: moving.into_iter().take(MAX_VIRTUAL_ADDRESSES).collect(),
            rules: Some(config.policy.digest()),
            nodes: Some(config.nodes.digest()),
        };
        self.told = Some(config.clone());
        self.mesh.handle_site_settings(settings, now);
    }
}
