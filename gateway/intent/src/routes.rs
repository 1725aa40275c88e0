//! [`RoutePlan`]: the kernel routes that a gateway wants. `ringway-host` installs them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ringway_config::{Config, Connected, Prefix, Ruling};

use crate::links::Links;

/// What the kernel must do with packets to a remote prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteState {
    /// A tunnel is up: through the TUN device, and answer with ICMP "unreachable" should the device
    /// vanish.
    Tunnel {
        /// This host's address inside our site's prefixes, as the source of its own packets; of the
        /// prefix's family. `None`: the host has none, and cannot talk to the prefix itself.
        prefsrc: Option<IpAddr>,
        /// Longest packet, bytes; `None`: the TUN device's MTU.
        mtu: Option<u32>,
    },
    /// A member's prefix, and no tunnel is up: through the TUN device all the same. The data plane
    /// answers for the peer, or holds what can wait for it; should the device vanish, the kernel
    /// answers with ICMP "unreachable".
    Down {
        /// As for a tunnel.
        prefsrc: Option<IpAddr>,
    },
    /// Nobody's prefix: answer with ICMP "unreachable".
    Unreachable,
}

/// Every prefix that needs a route, and the route.
pub type RoutePlan = BTreeMap<Prefix, RouteState>;

/// The prefixes that the forwarding table has a session for, and the MTU of each session; `None`:
/// the TUN device's.
pub type Tunnelled = BTreeMap<Prefix, Option<u32>>;

/// The routes to every remote prefix, whatever the verdict on it: through the TUN device if a
/// member may use it, with or without a session for it, else unreachable. Private traffic never
/// follows the default route.
///
/// Left out are prefixes that overlap what this host needs for itself: our site's, a reserved or a
/// connected network. Routes to those would cut the host off from its neighbours.
pub fn plan_routes(
    config: &Config,
    rulings: &[Ruling],
    connected: &[Connected],
    tunnelled: &Tunnelled,
    links: &Links,
) -> RoutePlan {
    let own: Vec<Prefix> = config.own_prefixes().iter().map(|own| own.prefix).collect();
    let local: Vec<Prefix> = (own.iter().copied())
        .chain(config.reserved.iter().map(|reserved| reserved.prefix))
        .chain(connected.iter().map(|network| network.prefix))
        .collect();

    // Wider prefixes are left out too: our table comes before the main one, so that their routes
    // would win over more specific ones there.
    let remote = rulings
        .iter()
        .filter(|ruling| !local.iter().any(|near| near.overlaps(&ruling.prefix)));

    // The TUN has no address. Without a preferred source the kernel would take one of another
    // interface, and the peer would drop the packets.
    let v4 = links.own_v4_in(&own);
    let v6 = links.own_v6_in(&own);
    let prefsrc = |prefix: &Prefix| if prefix.is_ipv4() { v4 } else { v6 };

    let mut plan = RoutePlan::new();
    for ruling in remote {
        // Of two claims to one prefix at most one is available, and it decides.
        if ruling.is_available() {
            let down = RouteState::Down {
                prefsrc: prefsrc(&ruling.prefix),
            };
            plan.insert(ruling.prefix, down);
        } else {
            plan.entry(ruling.prefix).or_insert(RouteState::Unreachable);
        }
    }
    for (prefix, mtu) in tunnelled {
        let tunnel = RouteState::Tunnel {
            prefsrc: prefsrc(prefix),
            mtu: *mtu,
        };
        plan.insert(*prefix, tunnel);
    }
    plan
}

/// The prefixes of `plan` whose packets go through a tunnel.
pub fn tunnelled(plan: &RoutePlan) -> BTreeSet<Prefix> {
    plan.iter()
        .filter(|(_, state)| matches!(state, RouteState::Tunnel { .. }))
        .map(|(prefix, _)| *prefix)
        .collect()
}
