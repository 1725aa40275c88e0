//! The data plane as the drive sees it: makes the tables that packets are looked up in, and keeps what
//! outlives a peer's sessions. Looks nothing up and moves no packet itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ringway_config::{Connected, GatewayId, OrgId, Prefix, SiteId};
use ringway_core::{Fib, Membership};
use ringway_dataplane::{Counters, Peer, SiteNo, Snapshot, SnapshotBuilder, TunnelSocket};

use super::sessions::Sessions;

/// The tables and counters that the data plane's threads share with the drive.
pub struct Packets {
    socket: Arc<TunnelSocket>,
    tables: Arc<ArcSwap<Snapshot>>,
    own: Arc<Counters>,
    peers: BTreeMap<GatewayId, Arc<Peer>>,
    sites: BTreeMap<(OrgId, SiteId), SiteNo>,
    local: Vec<Prefix>,
}

impl Packets {
    /// For a data plane that has `socket`, looks up in `tables` and counts what it cannot tell to a peer
    /// in `own`. `connected`: the networks that this host is connected to.
    pub fn new(
        socket: Arc<TunnelSocket>,
        tables: Arc<ArcSwap<Snapshot>>,
        own: Arc<Counters>,
        connected: &[Connected],
    ) -> Packets {
        let (peers, sites, local) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut packets = Packets {
            socket,
            tables,
            own,
            peers,
            sites,
            local,
        };
        packets.set_local(connected);
        packets
    }

    /// The networks that this host is connected to.
    pub(super) fn set_local(&mut self, connected: &[Connected]) {
        self.local = connected.iter().map(|network| network.prefix).collect();
    }

    pub(super) fn socket(&self) -> &TunnelSocket {
        &self.socket
    }

    pub(super) fn own_counters(&self) -> &Counters {
        &self.own
    }

    /// What all sessions with `peer` share.
    pub(super) fn peer(&mut self, peer: &GatewayId) -> Arc<Peer> {
        self.peers.entry(peer.clone()).or_default().clone()
    }

    /// Peers that are members no longer are forgotten.
    pub(super) fn retain(&mut self, membership: &Membership) {
        self.peers
            .retain(|peer, _| membership.gateways.contains_key(peer));
    }

    /// The number of a site, for as long as this process lives: running sessions refer to it.
    pub(super) fn site(&mut self, org: &OrgId, site: &SiteId) -> SiteNo {
        let next = SiteNo(self.sites.len() as u32);
        *self
            .sites
            .entry((org.clone(), site.clone()))
            .or_insert(next)
    }

    /// Swaps in tables made from what is in force now.
    pub(super) fn publish(&mut self, fib: &Fib, membership: &Membership, sessions: &Sessions) {
        let mut tables = SnapshotBuilder::new(self.site(&membership.me.org, &membership.site));
        for prefix in &fib.local {
            tables.site_prefix(*prefix);
        }
        for prefix in &self.local {
            tables.connected(*prefix);
        }
        for (prefix, org, site) in &fib.authorized {
            tables.authorize(*prefix, self.site(org, site));
        }
        for (prefix, (_, conn)) in &fib.routes {
            if let Some(lanes) = sessions.lanes(*conn) {
                tables.route(*prefix, lanes.clone());
            }
        }
        for incoming in sessions.incoming() {
            tables.incoming(incoming.clone());
        }
        self.tables.store(Arc::new(tables.build()));
    }
}
