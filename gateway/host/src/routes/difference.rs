//! Computes the changes that turn the kernel's routes into the wanted ones, and their order. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ringway_config::Prefix;
use ringway_intent::RouteState;

use super::{DOWN_METRIC, TUNNEL_METRIC, UNREACHABLE_METRIC};

/// A kernel route of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) prefix: Prefix,
    pub(super) hop: Hop,
}

/// The target of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hop {
    Unreachable,
    Tunnel {
        prefsrc: Option<IpAddr>,
        mtu: Option<u32>,
    },
    /// The TUN, although no tunnel is up.
    Down {
        prefsrc: Option<IpAddr>,
    },
    /// The device for WireGuard clients.
    WireGuard {
        prefsrc: Option<IpAddr>,
    },
}

/// A route in the kernel that is ours (table and protocol). `M` is how the kernel names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Installed<M> {
    /// `None` if this version does not install such a route: another version did, or it leads to an
    /// earlier TUN.
    pub(super) route: Option<Route>,
    pub(super) name: M,
}

/// A single change of the routes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change<M> {
    Add(Route),
    /// Replaces our route of the same prefix and metric atomically.
    Replace(Route),
    Remove(Installed<M>),
}

impl<M> Change<M> {
    /// The route that the change adds.
    pub(super) fn added(&self) -> Option<Route> {
        match self {
            Change::Add(route) | Change::Replace(route) => Some(*route),
            Change::Remove(_) => None,
        }
    }

    /// The route that is added or removed, if its form is known.
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

    /// The phase of the change, in an order that never leaves a prefix without its `unreachable`
    /// route.
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

/// The changes that turn `have` into the routes of `want`, in the order in which to make them.
pub(super) fn difference<M>(
    want: &BTreeMap<Prefix, RouteState>,
    have: impl IntoIterator<Item = Installed<M>>,
) -> Vec<Change<M>> {
    let mut missing = wanted(want);
    let mut changes = Vec::new();

    for installed in have {
        // Each wanted route is removed from `missing` once, so a second one with the same key is
        // superfluous.
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
    // A stable sort: inside a phase, changes keep the order of the prefixes.
    changes.sort_by_key(Change::phase);
    changes
}

/// The kernel identifies a route in a table by prefix and metric.
type Key = (Prefix, u32);

fn wanted(want: &BTreeMap<Prefix, RouteState>) -> BTreeMap<Key, Route> {
    let mut routes = BTreeMap::new();

    for (&prefix, &state) in want {
        // Own prefixes are routed by rules alone.
        if state == RouteState::Site {
            continue;
        }

        // Also behind a route through the TUN: without it, packets would follow the default route
        // once the device is gone.
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

/// In the notation of `ip route`, for messages.
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
