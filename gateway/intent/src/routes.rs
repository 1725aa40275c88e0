//! [`RoutePlan`]: the kernel routes that a gateway wants. `ringway-host` installs them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ringway_config::Prefix;

use crate::situation::Situation;

/// How the kernel must route packets to a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteState {
    /// A tunnel is up: route through the TUN device. If the device vanishes, answer with ICMP
    /// "unreachable".
    Tunnel {
        /// This host's address inside our site's prefixes, as the source of its own packets. `None`
        /// if the host has none of this family; then it cannot reach the prefix itself.
        prefsrc: Option<IpAddr>,
        /// Path MTU, bytes; `None`: that of the TUN device.
        mtu: Option<u32>,
    },
    /// A member's prefix without a tunnel: also route through the TUN device, where the data plane
    /// answers for the peer or holds packets that can wait. If the device vanishes, the kernel
    /// answers with ICMP "unreachable".
    Down {
        /// As in [`RouteState::Tunnel`].
        prefsrc: Option<IpAddr>,
    },
    /// A WireGuard client's prefix: route through the device for these clients. If it vanishes,
    /// answer with ICMP "unreachable".
    WireGuard {
        /// As in [`RouteState::Tunnel`].
        prefsrc: Option<IpAddr>,
    },
    /// A prefix without an owner: answer with ICMP "unreachable".
    Unreachable,
    /// A prefix behind this host: use the host's own routes. If only a default route is left,
    /// answer with ICMP "unreachable".
    Site,
}

/// The wanted routes, by prefix.
pub type RoutePlan = BTreeMap<Prefix, RouteState>;

/// The prefixes with a session, and the MTU of each; `None`: that of the TUN device.
pub type Tunnelled = BTreeMap<Prefix, Option<u32>>;

/// The routes to every remote prefix, whatever the verdict about it: through the TUN device if a
/// member may use it, with or without a session, else unreachable. Private traffic never follows
/// the default route. Prefixes of removed members are included, and so are our own, for the time
/// when the link to them is down.
pub fn plan_routes(situation: &Situation<'_>, tunnelled: &Tunnelled) -> RoutePlan {
    let links = situation.links;
    let own = situation.own();

    // The TUN has no address. Without a preferred source, the kernel would use one of another
    // interface, and the peer would drop the packets.
    let v4 = links.own_v4_in(&own);
    let v6 = links.own_v6_in(&own);
    let prefsrc = |prefix: &Prefix| if prefix.is_ipv4() { v4 } else { v6 };

    let mut plan: RoutePlan = situation
        .members()
        .into_iter()
        .map(|prefix| (prefix, RouteState::Unreachable))
        .collect();
    // Of two claims to one prefix at most one is available, and that one decides.
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
    // These also lie behind this host, but by a TUN device. A tunnel leads to a WireGuard client
    // that is connected to a sibling.
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

/// The routes before the data plane runs: the kernel answers where [`plan_routes`] would leave that
/// to the data plane.
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

/// The prefixes of `plan` with a tunnel.
pub fn tunnelled(plan: &RoutePlan) -> BTreeSet<Prefix> {
    plan.iter()
        .filter(|(_, state)| matches!(state, RouteState::Tunnel { .. }))
        .map(|(prefix, _)| *prefix)
        .collect()
}
