//! [`RoutePlan`]: the kernel routes that a gateway wants. `ringway-host` installs them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ringway_config::Prefix;

use crate::situation::Situation;

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
    /// A WireGuard client's: through the device of those, and answer with ICMP "unreachable" should
    /// that vanish.
    WireGuard {
        /// As for a tunnel.
        prefsrc: Option<IpAddr>,
    },
    /// Nobody's prefix: answer with ICMP "unreachable".
    Unreachable,
    /// One of the prefixes that lie behind this host: by the host's own routes; where only a
    /// default route is left, answer with ICMP "unreachable".
    Site,
}

/// Every prefix that needs a route, and the route.
pub type RoutePlan = BTreeMap<Prefix, RouteState>;

/// The prefixes that the forwarding table has a session for, and the MTU of each session; `None`:
/// the TUN device's.
pub type Tunnelled = BTreeMap<Prefix, Option<u32>>;

/// The routes to every remote prefix, whatever the verdict on it: through the TUN device if a
/// member may use it, with or without a session for it, else unreachable. Private traffic never
/// follows the default route. Prefixes of removed members are among them, and so are our own, for
/// the time when the link to them is down.
pub fn plan_routes(situation: &Situation<'_>, tunnelled: &Tunnelled) -> RoutePlan {
    let links = situation.links;
    let own = situation.own();

    // The TUN has no address. Without a preferred source the kernel would take one of another
    // interface, and the peer would drop the packets.
    let v4 = links.own_v4_in(&own);
    let v6 = links.own_v6_in(&own);
    let prefsrc = |prefix: &Prefix| if prefix.is_ipv4() { v4 } else { v6 };

    let mut plan: RoutePlan = situation
        .members()
        .into_iter()
        .map(|prefix| (prefix, RouteState::Unreachable))
        .collect();
    // Of two claims to one prefix at most one is available, and it decides.
    let available = situation
        .rulings
        .iter()
        .filter(|ruling| ruling.is_available());
    for ruling in available {
        if let Some(state) = plan.get_mut(&ruling.prefix) {
            *state = RouteState::Down {
                prefsrc: prefsrc(&ruling.prefix),
            };
        }
    }
    for (prefix, mtu) in tunnelled {
        let tunnel = RouteState::Tunnel {
            prefsrc: prefsrc(prefix),
            mtu: *mtu,
        };
        plan.insert(*prefix, tunnel);
    }

    let inside = links.defaults_inside(&own);
    for prefix in situation.served() {
        let is_inside = if prefix.is_ipv4() {
            inside.v4
        } else {
            inside.v6
        };
        if !is_inside {
            plan.insert(prefix, RouteState::Site);
        }
    }
    // Behind this host as well, but by a TUN device. A tunnel leads to a WireGuard client that is
    // at another gateway of this site.
    for (prefix, is_client) in situation.nodes() {
        let prefsrc = prefsrc(&prefix);
        let state = match tunnelled.get(&prefix) {
            Some(mtu) => RouteState::Tunnel { prefsrc, mtu: *mtu },
            None if is_client => RouteState::WireGuard { prefsrc },
            None => RouteState::Down { prefsrc },
        };
        plan.insert(prefix, state);
    }
    plan
}

/// The routes of a gateway whose data plane does not run yet: what [`plan_routes`] hands to that,
/// the kernel answers for.
pub fn plan_closed_routes(situation: &Situation<'_>) -> RoutePlan {
    let mut plan = plan_routes(situation, &Tunnelled::new());

    for state in plan.values_mut() {
        if matches!(
            state,
            RouteState::Down { .. } | RouteState::WireGuard { .. }
        ) {
            *state = RouteState::Unreachable;
        }
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
