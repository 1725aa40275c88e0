//! What must change for the kernel to hold the wanted routes, and in which order. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ringway_config::Prefix;
use ringway_intent::RouteState;

use super::{DOWN_METRIC, TUNNEL_METRIC, UNREACHABLE_METRIC};

/// One kernel route of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) prefix: Prefix,
    pub(super) hop: Hop,
}

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hop {
    Unreachable,
    Tunnel {
        prefsrc: Option<IpAddr>,
        mtu: Option<u32>,
    },
    /// Through the TUN, although no tunnel is up.
    Down {
        prefsrc: Option<IpAddr>,
    },
    /// Through the device of WireGuard clients.
    WireGuard {
        prefsrc: Option<IpAddr>,
    },
}

/// A route in the kernel that is ours (table and protocol). `M` is how the kernel names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Installed<M> {
    /// `None` if it is of no form that this version installs: of another version, or of an earlier
    /// TUN.
    pub(super) route: Option<Route>,
    pub(super) name: M,
}

/// A step towards the wanted routes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change<M> {
    Add(Route),
    /// Replaces our route of the same prefix and metric, without a gap.
    Replace(Route),
    Remove(Installed<M>),
}

impl<M> Change<M> {
    /// The route that is there after the change and not before.
    pub(super) fn added(&self) -> Option<Route> {
        match self {
            Change::Add(route) | Change::Replace(route) => Some(*route),
            Change::Remove(_) => None,
        }
    }

    /// The route that is added or removed, as far as it is known.
    pub(super) fn route(&self) -> Option<Route> {
        match self {
            Change::Add(route) | Change::Replace(route) => Some(*route),
            Change::Remove(installed) => installed.route,
        }
    }

    /// The kind of change, for the log.
    pub(super) fn step(&self) -> &'static str {
        match self {
            Change::Add(_) => "add",
            Change::Replace(_) => "replace",
            Change::Remove(_) => "remove",
        }
    }

    /// The place in an order that never leaves a prefix without its `unreachable` route.
    fn phase(&self) -> Phase {
        let is_unreachable = self
            .route()
            .is_some_and(|route| route.hop == Hop::Unreachable);

        match self {
            Change::Add(_) | Change::Replace(_) if is_unreachable => Phase::AddUnreachable,
            Change::Add(_) | Change::Replace(_) => Phase::AddTunnel,
            Change::Remove(_) if is_unreachable => Phase::RemoveUnreachable,
            Change::Remove(_) => Phase::RemoveTunnel,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    AddUnreachable,
    AddTunnel,
    RemoveTunnel,
    RemoveUnreachable,
}

/// The changes that turn `have` into the routes of `want`, in the order in which they must be made.
pub(super) fn difference<M>(
    want: &BTreeMap<Prefix, RouteState>,
    have: impl IntoIterator<Item = Installed<M>>,
) -> Vec<Change<M>> {
    let mut missing = wanted(want);
    let mut changes = Vec::new();

    for installed in have {
        // Removing it from `missing` makes a second route of the same key superfluous.
        let wanted = installed
            .route
            .and_then(|route| missing.remove(&route.key()));

        match wanted {
            Some(wanted) if installed.route == Some(wanted) => {}
            Some(wanted) => changes.push(Change::Replace(wanted)),
            None => changes.push(Change::Remove(installed)),
        }
    }

    changes.extend(missing.into_values().map(Change::Add));
    // Stable: inside a phase, changes keep the order of the prefixes.
    changes.sort_by_key(Change::phase);
    changes
}

/// The kernel tells routes of one table apart by prefix and metric.
type Key = (Prefix, u32);

fn wanted(want: &BTreeMap<Prefix, RouteState>) -> BTreeMap<Key, Route> {
    let mut routes = BTreeMap::new();

    for (&prefix, &state) in want {
        // By rules alone.
        if state == RouteState::Site {
            continue;
        }

        // Behind every route through the TUN: without it, packets would follow the default route.
        let unreachable = Route {
            prefix,
            hop: Hop::Unreachable,
        };
        routes.insert(unreachable.key(), unreachable);

        let hop = match state {
            RouteState::Tunnel { prefsrc, mtu } => Hop::Tunnel { prefsrc, mtu },
            RouteState::Down { prefsrc } => Hop::Down { prefsrc },
            RouteState::WireGuard { prefsrc } => Hop::WireGuard { prefsrc },
            RouteState::Unreachable | RouteState::Site => continue,
        };
        let through_tun = Route { prefix, hop };
        routes.insert(through_tun.key(), through_tun);
    }

    routes
}

impl Route {
    pub(super) fn metric(&self) -> u32 {
        match self.hop {
            Hop::Unreachable => UNREACHABLE_METRIC,
            Hop::Tunnel { .. } | Hop::WireGuard { .. } => TUNNEL_METRIC,
            Hop::Down { .. } => DOWN_METRIC,
        }
    }

    fn key(&self) -> Key {
        (self.prefix, self.metric())
    }
}

/// As `ip route` writes it, for messages.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hop {
            Hop::Unreachable => write!(f, "unreachable {}", self.prefix),
            Hop::Tunnel { prefsrc, mtu } => {
                write!(f, "{}", self.prefix)?;

                if let Some(source) = prefsrc {
                    write!(f, " src {source}")?;
                }

                if let Some(mtu) = mtu {
                    write!(f, " mtu {mtu}")?;
                }
                Ok(())
            }
            Hop::WireGuard { prefsrc } => {
                write!(f, "{} to WireGuard clients", self.prefix)?;

                if let Some(source) = prefsrc {
                    write!(f, " src {source}")?;
                }
                Ok(())
            }
            Hop::Down { prefsrc } => {
                write!(f, "{}", self.prefix)?;

                if let Some(source) = prefsrc {
                    write!(f, " src {source}")?;
                }
                write!(f, " metric {DOWN_METRIC}")
            }
        }
    }
}

#[cfg(test)]
mod tests;
