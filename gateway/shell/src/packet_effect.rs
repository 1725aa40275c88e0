//! [`PacketEffect`]: what the data plane is to do: keys, tables, probes, paths.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ringway_config::GatewayId;
use ringway_core::{ConnId, Lane, Membership};

use crate::tables::{SiteNumber, Tables};

/// One thing to do in the data plane.
#[derive(Debug, Clone)]
pub enum PacketEffect {
    /// Derive the keys that open what a peer sends.
    InstallOpening {
        /// The session's connection.
        conn: ConnId,
        /// The peer.
        peer: GatewayId,
        /// The site whose addresses its packets may come from.
        site: SiteNumber,
        /// Our lanes.
        lanes: Vec<Lane>,
    },
    /// Derive the keys that seal for a peer.
    InstallSealing {
        /// The session's connection.
        conn: ConnId,
        /// The peer.
        peer: GatewayId,
        /// The peer's lanes.
        lanes: Vec<Lane>,
    },
    /// Swap in new tables. Keys of connections that they do not name are dropped.
    Publish(Box<Tables>),
    /// Send a probe along a session's path.
    Probe {
        /// The session's connection.
        conn: ConnId,
        /// The token that the echo must repeat.
        probe: u64,
        /// Bytes of the whole outer packet; `None`: as short as it can be.
        size: Option<u16>,
    },
    /// Send a probe to an address that is not the peer's, so that the peer can prove that it is
    /// there.
    Challenge {
        /// The session's connection.
        conn: ConnId,
        /// The token that the echo must repeat.
        token: u64,
        /// The address.
        to: SocketAddr,
    },
    /// Send a session's packets to another address from now on.
    MovePath {
        /// The session's connection.
        conn: ConnId,
        /// The peer's address.
        remote: SocketAddr,
        /// The local address, if it is fixed.
        local: Option<IpAddr>,
    },
    /// The largest outer packet that reaches a peer whole has changed.
    SetPathMtu {
        /// The peer.
        peer: GatewayId,
        /// Bytes, IP header included.
        size: u16,
    },
    /// Drop the counters of every peer that is not among these.
    RetainPeers(Arc<Membership>),
    /// Drop keys of key phases that have passed.
    ExpireKeys,
    /// Connections that another gateway of our site has carried come here now: those whose records
    /// did not reach us have grace.
    BeginGrace,
    /// Tell another gateway of our site of all flows that are known.
    ShareFlows {
        /// The sessions with such gateways.
        to: BTreeSet<ConnId>,
    },
}
