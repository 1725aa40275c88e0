//! [`Status`]: the state of the mesh for operators. The data plane counts the packets.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use ringway_config::{GatewayId, OrgId, Prefix, SiteId};

use crate::fib::Fib;
use crate::id::ConnId;
use crate::membership::Membership;
use crate::message::RefuseReason;
use crate::outage::OutageStatus;
use crate::record_drift::RecordDrift;
use crate::round_trips::RoundTrips;
use crate::siblings::SiteStatus;
use crate::tunnel_error::TunnelError;

/// The mesh at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// One per accepted gateway, by identity.
    pub tunnels: Vec<TunnelStatus>,
    /// One per remote prefix, authorized or claimed inside an authorized one, by prefix.
    pub routes: Vec<RouteStatus>,
    /// Whether this gateway is the active one of its site.
    pub site: SiteStatus,
}

/// What the replication of zones must know about a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerSession {
    /// The features that both ends offer.
    pub features: u64,
    /// Which of two sessions with one peer is the newer one.
    pub rank: SessionRank,
}

/// The place of a session among those of its tunnel: greater is newer, and better.
///
/// The number comes first, then whether the lower identity has dialled. The connection decides only
/// between two dials of one end with the same number, which a peer that keeps to the protocol never
/// makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionRank(u64, bool, Reverse<ConnId>);

impl SessionRank {
    /// The rank of session `number`; `lower_dialled` if the lower identity is its dialler.
    pub fn new(number: u64, lower_dialled: bool, conn: ConnId) -> SessionRank {
        SessionRank(number, lower_dialled, Reverse(conn))
    }
}

/// The state of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelState {
    /// A session carries it.
    Up,
    /// The first attempt to start a session is under way.
    Connecting,
    /// Attempts failed, or only the peer can dial and has not.
    Down,
}

/// Probes of a session, on their way there or back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loss {
    /// Not echoed, although a later one was.
    pub lost: usize,
    /// All those.
    pub sent: usize,
}

/// One tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelStatus {
    /// The other end.
    pub peer: GatewayId,
    /// The site it serves.
    pub site: SiteId,
    /// Whether a session carries it.
    pub state: TunnelState,
    /// How long it has been up, or not up.
    pub since: Duration,
    /// Smoothed round trip time of the data path, once a probe was echoed.
    pub rtt: Option<Duration>,
    /// Of all probes that were echoed, on whatever session.
    pub round_trips: RoundTrips,
    /// Of the last probes, how many were lost and how many were sent.
    pub loss: Loss,
    /// Bytes of the largest outer IP packet that is known to reach the peer whole.
    pub path_mtu: u16,
    /// Why the last session or attempt ended; kept while the tunnel is up.
    pub last_error: Option<TunnelError>,
    /// The last times that no session carried it, the latest first.
    pub outages: Vec<OutageStatus>,
    /// Organizations whose records differ between the two ends, as the peer last reported on the
    /// session in use; none while the tunnel is down.
    pub records_differ: Vec<RecordDrift>,
    /// The peer's claims that we refuse.
    pub refused: BTreeMap<Prefix, RefuseReason>,
    /// Our claims that the peer refuses.
    pub refused_by_peer: BTreeMap<Prefix, RefuseReason>,
    /// The session in use.
    pub conn: Option<ConnId>,
}

/// One remote prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteStatus {
    /// Its range.
    pub prefix: Prefix,
    /// The organization it belongs to.
    pub org: OrgId,
    /// The site it belongs to.
    pub site: SiteId,
    /// The gateway it is reached through; `None`: no gateway serves it now.
    pub gateway: Option<GatewayId>,
    /// That gateway is one of our site, which passes packets on to the prefix.
    pub is_by_sibling: bool,
}

/// Every authorized prefix of another site and every route, reachable or not.
pub(crate) fn routes(membership: &Membership, fib: &Fib) -> Vec<RouteStatus> {
    let mut routes = BTreeMap::new();

    for ((org, site), prefixes) in &membership.authorized {
        if *org == membership.me.org && *site == membership.site {
            continue;
        }
        for prefix in prefixes {
            let holder = membership.holder(prefix, (org, site));
            routes.insert(*prefix, route(*prefix, holder, None));
        }
    }

    // A route may lead to a part of an authorized prefix: then both are listed.
    for (prefix, (gateway, _)) in &fib.routes {
        let Some(info) = membership.gateways.get(gateway) else {
            continue;
        };
        let is_by_sibling = membership.shares_site(gateway, &info.site);
        let beyond = if is_by_sibling {
            membership.server(prefix)
        } else {
            None
        };
        let served = beyond.unwrap_or((&gateway.org, &info.site));
        let holder = membership.holder(prefix, served);
        let route = RouteStatus {
            is_by_sibling,
            ..route(*prefix, holder, Some(gateway))
        };
        routes.insert(*prefix, route);
    }
    routes.into_values().collect()
}

fn route(
    prefix: Prefix,
    (org, site): (&OrgId, &SiteId),
    gateway: Option<&GatewayId>,
) -> RouteStatus {
    RouteStatus {
        prefix,
        org: org.clone(),
        site: site.clone(),
        gateway: gateway.cloned(),
        is_by_sibling: false,
    }
}
