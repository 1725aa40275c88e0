//! [`Packets`]: the port to the data plane. Derives keys, builds the lookup tables, and keeps the
//! state that outlives a peer's sessions. Moves no packet itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use ringway_config::GatewayId;
use ringway_core::{ConnId, Lane, Membership};
use ringway_dataplane::{
    Counters, Outage, OutageCause, Path, Peer, Shared, SiteNo, SnapshotBuilder, TunnelSocket,
    send_padded_probe, send_probe,
};
use ringway_dns::Zone;
use ringway_filter::{Filter, Rules, Settings};
use ringway_shell::{Companions, SiteNumber, Tables};

use super::flow_sharing::FlowSharing;
use super::keys::{Keys, LocalGateway};
use super::links::KeySource;
use super::rules::CompiledRules;

// The shell computes the MTU of routes from the overhead of sealing, so both must agree.
const _: () = assert!(ringway_shell::OVERHEAD as usize == ringway_dataplane::OVERHEAD);

/// Converts an outage for the data plane.
fn answered(outage: &ringway_shell::Outage) -> Outage {
    let cause = match outage.cause {
        ringway_shell::OutageCause::Starting => OutageCause::Starting,
        ringway_shell::OutageCause::Lost => OutageCause::Lost,
        ringway_shell::OutageCause::Announced => OutageCause::Announced,
        ringway_shell::OutageCause::Unserved => OutageCause::Unserved,
    };

    Outage {
        since: outage.since,
        cause,
    }
}

/// Tables and counters that the data plane's threads share with the drive.
pub struct Packets {
    socket: Arc<TunnelSocket>,
    shared: Shared,
    rules: CompiledRules,
    /// Settings of the filter.
    settings: Settings,
    local: LocalGateway,
    peers: BTreeMap<GatewayId, Arc<Peer>>,
    keys: BTreeMap<ConnId, Keys>,
}

impl Packets {
    /// The port of a data plane that sends through `socket` and works with `shared`. Its filter has
    /// these `settings`.
    pub fn new(
        socket: Arc<TunnelSocket>,
        shared: Shared,
        settings: Settings,
        local: LocalGateway,
    ) -> Packets {
        Packets {
            socket,
            shared,
            rules: CompiledRules::default(),
            settings,
            local,
            peers: BTreeMap::new(),
            keys: BTreeMap::new(),
        }
    }

    /// The filter: its counters and its state.
    pub(super) fn filter(&self) -> &Filter {
        &self.shared.filter
    }

    /// Counters of packets that belong to no peer.
    pub(super) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// The rules in force; `None` before the first tables.
    pub(super) fn rules(&self) -> Option<&Rules> {
        self.rules.latest()
    }

    /// The state that all sessions with `peer` share.
    pub(super) fn peer(&mut self, peer: &GatewayId) -> Arc<Peer> {
        self.peers.entry(peer.clone()).or_default().clone()
    }

    /// Drops the state of peers that are no longer members.
    pub(super) fn retain(&mut self, membership: &Membership) {
        self.peers
            .retain(|peer, _| membership.gateways.contains_key(peer));
    }

    pub(super) fn install_opening(
        &mut self,
        source: Option<KeySource<'_>>,
        peer: &GatewayId,
        site: SiteNumber,
        lanes: &[Lane],
    ) {
        // The connection may have ended since the shell asked.
        let Some(source) = source else {
            return;
        };
        let shared = self.peer(peer);

        let keys = Keys::opening(&source, &self.local, peer, lanes, SiteNo(site.0), &shared);
        self.keys.insert(source.conn, keys);
    }

    pub(super) fn install_sealing(
        &mut self,
        source: Option<KeySource<'_>>,
        peer: &GatewayId,
        lanes: &[Lane],
    ) {
        let Some(source) = source else {
            return;
        };
        let shared = self.peer(peer);

        // Opening keys first: a peer may only send once we can open its packets.
        if let Some(keys) = self.keys.get_mut(&source.conn) {
            keys.seal(&source, &self.local, peer, lanes, &shared);
        }
    }

    /// Swaps in `tables`, with the addresses of our own `zone`. Drops the keys of connections that
    /// the tables do not name. Returns the filter's rules if they have changed.
    pub(super) fn publish(
        &mut self,
        tables: &Tables,
        zone: Option<&Arc<Zone>>,
    ) -> Option<Arc<Rules>> {
        // First, so that the new tables do not open packets of a session that has ended.
        self.keys.retain(|conn, _| tables.sessions.contains(conn));

        let mut builder = SnapshotBuilder::new(SiteNo(tables.site.0));
        let before = self.rules.latest().map(std::ptr::from_ref);
        let rules = self.rules.compile(&tables.rules, zone);
        builder.rules(rules.clone());
        for prefix in &tables.local {
            builder.site_prefix(*prefix);
        }
        for prefix in &tables.connected {
            builder.connected(*prefix);
        }
        let sites = tables.authorized.iter();
        for (prefix, site) in sites.filter(|(_, site)| !tables.attached.contains(site)) {
            builder.authorize(*prefix, SiteNo(site.0));
        }
        for (prefix, site) in &tables.authorized {
            if tables.attached.contains(site) {
                builder.node_prefix(*prefix, SiteNo(site.0));
            }
        }
        if tables.nodes_reach_each_other {
            builder.let_nodes_reach_each_other();
        }
        for conn in &tables.companions.sessions {
            if let Some(lanes) = self.keys.get(conn).and_then(Keys::lanes) {
                // One lane is enough: there are few records, and their order does not matter.
                builder.companion(lanes.lane(0).clone());
            }
        }
        for (prefix, conn) in &tables.routes {
            // A session without sealing keys already receives, but has no route yet.
            let Some(lanes) = self.keys.get(conn).and_then(Keys::lanes) else {
                continue;
            };
            if tables.companions.sessions.contains(conn) {
                builder.route_by_sibling(*prefix, lanes.clone());
            } else {
                builder.route(*prefix, lanes.clone());
            }
        }
        builder.tunnel(tables.tunnel);
        for (prefix, outage) in &tables.outages {
            builder.outage(*prefix, answered(outage));
        }
        for incoming in self.keys.values().flat_map(Keys::incoming) {
            builder.incoming(incoming.clone());
        }

        // One atomic swap: a thread sees either the old tables or the new ones.
        self.shared.snapshot.store(Arc::new(builder.build()));

        let settings = Settings::of(&tables.rules.policy);
        if settings != self.settings {
            self.shared.filter.configure(&settings, Instant::now());
            self.settings = settings;
        }
        self.set_companions(&tables.companions);

        let is_same = before == Some(Arc::as_ptr(&rules));
        (!is_same).then_some(rules)
    }

    /// Sets how the filter treats the flows of our siblings.
    fn set_companions(&mut self, companions: &Companions) {
        let filter = &self.shared.filter;
        filter.set_sharing(!companions.sessions.is_empty());

        // Connections of a sibling that is gone may arrive here from now on. Those of a sibling
        // that has come are not known yet.
        let is_one_missing = companions.is_one_missing;
        if is_one_missing != filter.has_endless_grace() {
            filter.set_endless_grace(is_one_missing);
            filter.begin_grace(Instant::now());
        }
    }

    /// A job that sends every flow to siblings, over these sessions.
    pub(super) fn share_flows(&self, to: &BTreeSet<ConnId>) -> FlowSharing {
        let sessions = to.iter().filter_map(|conn| self.keys.get(conn)?.lanes());

        FlowSharing {
            filter: self.shared.filter.clone(),
            socket: self.socket.clone(),
            sessions: sessions.map(|lanes| lanes.lane(0).clone()).collect(),
        }
    }

    /// Sends a probe. With `size`, it fills an outer packet of that many bytes.
    pub(super) fn probe(&self, conn: ConnId, probe: u64, size: Option<u16>) {
        if let Some(lanes) = self.keys.get(&conn).and_then(Keys::lanes) {
            // One lane is enough: all lanes of a session use the same path.
            let outgoing = lanes.lane(0);
            // A probe that cannot be sent counts as one without an answer.
            let _ = match size {
                Some(size) => send_padded_probe(&*self.socket, outgoing, probe, size),
                None => send_probe(&*self.socket, outgoing, probe, None),
            };
        }
    }

    /// Sends a probe to another address than the peer's.
    pub(super) fn challenge(&self, conn: ConnId, token: u64, to: SocketAddr) {
        if let Some(lanes) = self.keys.get(&conn).and_then(Keys::lanes) {
            // As in RFC 9000, section 8.2, the session stays on its path until the answer proves
            // the new address. If this probe is lost, the peer's next packet causes another one.
            let _ = send_probe(&*self.socket, lanes.lane(0), token, Some(to));
        }
    }

    /// Moves a session to another address.
    pub(super) fn move_path(&self, conn: ConnId, remote: SocketAddr, local: Option<IpAddr>) {
        let lanes = self.keys.get(&conn).and_then(Keys::lanes);

        for outgoing in lanes.into_iter().flat_map(|lanes| lanes.iter()) {
            outgoing.set_path(Path::new(remote, local));
        }
    }

    /// Drops the keys of earlier key phases.
    pub(super) fn expire_keys(&self, now: Instant) {
        for keys in self.keys.values() {
            keys.expire(now);
        }
    }
}
