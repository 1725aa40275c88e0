//! [`Status`]: what the mesh would tell an operator. Counters of packets are the data plane's.

use std::collections::BTreeMap;
use std::time::Duration;

use ringway_config::{GatewayId, OrgId, Prefix, SiteId};

use crate::fib::Fib;
use crate::id::ConnId;
use crate::membership::Membership;
use crate::message::RefuseReason;
use crate::tunnel_error::TunnelError;

/// The mesh at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// One per accepted gateway, by identity.
    pub tunnels: Vec<TunnelStatus>,
    /// One per remote prefix, authorized or claimed inside an authorized one, by prefix.
    pub routes: Vec<RouteStatus>,
}

/// The state of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelState {
    /// A session carries it.
    Up,
    /// The first attempt since it was last up is under way.
    Connecting,
    /// Attempts failed, or the peer has to dial us and has not.
    Down,
}

/// One tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelStatus {
    /// The other end.
    pub peer: GatewayId,
    /// The site it serves.
    pub site: SiteId,
    /// Its state.
    pub state: TunnelState,
    /// For how long it has been up, or not up.
    pub since: Duration,
    /// Smoothed round trip of the data path, once a probe was echoed.
    pub rtt: Option<Duration>,
    /// Bytes of the largest outer IP packet that is known to reach the peer whole.
    pub path_mtu: u16,
    /// Why the last session or attempt ended, for an operator; kept while the tunnel is up.
    pub last_error: Option<TunnelError>,
    /// Organizations whose records differ between the two ends, by the peer's last word on the session in
    /// use; none while the tunnel is down.
    pub records_differ: Vec<OrgId>,
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
    /// The range.
    pub prefix: Prefix,
    /// Whose it is.
    pub org: OrgId,
    /// Which of its sites.
    pub site: SiteId,
    /// The gateway it is reached through; `None`: unreachable now.
    pub gateway: Option<GatewayId>,
}

/// Every authorized prefix of another site and every route, reachable or not.
pub(crate) fn routes(membership: &Membership, fib: &Fib) -> Vec<RouteStatus> {
    let mut routes = BTreeMap::new();
    for ((org, site), prefixes) in &membership.authorized {
        if *org == membership.me.org && *site == membership.site {
            continue;
        }
        for prefix in prefixes {
            let (org, site) = (org.clone(), site.clone());
            routes.insert(
                *prefix,
                RouteStatus {
                    prefix: *prefix,
                    org,
                    site,
                    gateway: None,
                },
            );
        }
    }
    for (prefix, (gateway, _)) in &fib.routes {
        let Some(info) = membership.gateways.get(gateway) else {
            continue;
        };
        let (org, site) = (gateway.org.clone(), info.site.clone());
        let gateway = Some(gateway.clone());
        routes.insert(
            *prefix,
            RouteStatus {
                prefix: *prefix,
                org,
                site,
                gateway,
            },
        );
    }
    routes.into_values().collect()
}
