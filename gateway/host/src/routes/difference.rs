//! What must change for the kernel to hold the wanted routes, and in which order. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ringway_config::Prefix;

use super::{RouteState, TUNNEL_METRIC, UNREACHABLE_METRIC};

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
}

/// A step towards the wanted routes. `M` is how the kernel names an installed route.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change<M> {
    Add(Route),
    /// Takes the place of our own route with the same prefix and metric, without a gap.
    Replace(Route),
    Remove(M),
}

impl<M> Change<M> {
    /// The prefix that shall have a route.
    pub(super) fn prefix(&self) -> Option<Prefix> {
        match self {
            Change::Add(route) | Change::Replace(route) => Some(route.prefix),
            Change::Remove(_) => None,
        }
    }
}

/// The steps from `have` to `want`. A route in `have` is `None` if it is ours (table and protocol) but of
/// no shape that we install: a leftover of another version or of an earlier TUN.
pub(super) fn difference<M>(
    want: &BTreeMap<Prefix, RouteState>,
    have: impl IntoIterator<Item = (Option<Route>, M)>,
) -> Vec<Change<M>> {
    let mut missing = wanted(want);
    let mut steps = Vec::new();
    for (route, name) in have {
        let claimed = route.and_then(|route| Some((route, missing.remove(&key(&route))?)));
        match claimed {
            Some((route, wanted)) if route == wanted => {}
            Some((_, wanted)) => steps.push((Step::AddTunnel, Change::Replace(wanted))),
            None => steps.push((removal(route), Change::Remove(name))),
        }
    }
    steps.extend(
        missing
            .into_values()
            .map(|route| (addition(route), Change::Add(route))),
    );
    steps.sort_by_key(|(step, _)| *step);
    steps.into_iter().map(|(_, change)| change).collect()
}

/// The order that never leaves a prefix without its `unreachable` route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    AddUnreachable,
    AddTunnel,
    RemoveTunnel,
    RemoveUnreachable,
}

fn addition(route: Route) -> Step {
    match route.hop {
        Hop::Unreachable => Step::AddUnreachable,
        Hop::Tunnel { .. } => Step::AddTunnel,
    }
}

fn removal(route: Option<Route>) -> Step {
    match route.map(|route| route.hop) {
        Some(Hop::Unreachable) => Step::RemoveUnreachable,
        Some(Hop::Tunnel { .. }) | None => Step::RemoveTunnel,
    }
}

/// What tells routes apart in the kernel: prefix and metric.
fn key(route: &Route) -> (Prefix, u32) {
    (route.prefix, route.metric())
}

fn wanted(want: &BTreeMap<Prefix, RouteState>) -> BTreeMap<(Prefix, u32), Route> {
    let mut routes = BTreeMap::new();
    let mut insert = |route: Route| routes.insert(key(&route), route);
    for (&prefix, &state) in want {
        insert(Route {
            prefix,
            hop: Hop::Unreachable,
        });
        if let RouteState::Tunnel { prefsrc, mtu } = state {
            insert(Route {
                prefix,
                hop: Hop::Tunnel { prefsrc, mtu },
            });
        }
    }
    routes
}

impl Route {
    pub(super) fn metric(&self) -> u32 {
        match self.hop {
            Hop::Unreachable => UNREACHABLE_METRIC,
            Hop::Tunnel { .. } => TUNNEL_METRIC,
        }
    }
}

/// As `ip route` writes it, for messages.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hop {
            Hop::Unreachable => write!(f, "unreachable {}", self.prefix),
            Hop::Tunnel { prefsrc, mtu } => {
                write!(f, "{}", self.prefix)?;
                prefsrc.map_or(Ok(()), |source| write!(f, " src {source}"))?;
                mtu.map_or(Ok(()), |mtu| write!(f, " mtu {mtu}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn unreachable(text: &str) -> Route {
        Route {
            prefix: prefix(text),
            hop: Hop::Unreachable,
        }
    }

    fn tunnel(text: &str, prefsrc: Option<&str>) -> Route {
        let prefsrc = prefsrc.map(|source| source.parse().unwrap());
        Route {
            prefix: prefix(text),
            hop: Hop::Tunnel {
                prefsrc,
                mtu: Some(1440),
            },
        }
    }

    fn up(prefsrc: Option<&str>) -> RouteState {
        RouteState::Tunnel {
            prefsrc: prefsrc.map(|source| source.parse().unwrap()),
            mtu: Some(1440),
        }
    }

    fn named(routes: &[Route]) -> Vec<(Option<Route>, String)> {
        routes
            .iter()
            .map(|route| (Some(*route), route.to_string()))
            .collect()
    }

    #[test]
    fn nothing_is_touched_when_nothing_differs() {
        let want = BTreeMap::from([
            (prefix("10.2.0.0/16"), up(Some("10.1.0.2"))),
            (prefix("fd00:2::/48"), RouteState::Unreachable),
        ]);
        let have = [
            tunnel("10.2.0.0/16", Some("10.1.0.2")),
            unreachable("fd00:2::/48"),
            unreachable("10.2.0.0/16"),
        ];
        assert_eq!(difference(&want, named(&have)), []);
    }

    #[test]
    fn unreachable_routes_are_added_first_and_removed_last() {
        let want = BTreeMap::from([
            (prefix("10.2.0.0/16"), up(None)),
            (prefix("10.3.0.0/16"), up(None)),
        ]);
        let have = [unreachable("10.9.0.0/16"), tunnel("10.9.0.0/16", None)];
        assert_eq!(
            difference(&want, named(&have)),
            [
                Change::Add(unreachable("10.2.0.0/16")),
                Change::Add(unreachable("10.3.0.0/16")),
                Change::Add(tunnel("10.2.0.0/16", None)),
                Change::Add(tunnel("10.3.0.0/16", None)),
                Change::Remove("10.9.0.0/16 mtu 1440".to_owned()),
                Change::Remove("unreachable 10.9.0.0/16".to_owned()),
            ]
        );
    }

    #[test]
    fn a_new_source_replaces_the_route_in_one_step() {
        let want = BTreeMap::from([(prefix("10.2.0.0/16"), up(Some("10.1.0.3")))]);
        let have = [
            unreachable("10.2.0.0/16"),
            tunnel("10.2.0.0/16", Some("10.1.0.2")),
        ];
        let steps = difference(&want, named(&have));
        assert_eq!(
            steps,
            [Change::Replace(tunnel("10.2.0.0/16", Some("10.1.0.3")))]
        );
    }

    #[test]
    fn another_mtu_replaces_the_route_in_one_step() {
        let smaller = Hop::Tunnel {
            prefsrc: None,
            mtu: Some(1280),
        };
        let want = BTreeMap::from([(
            prefix("10.2.0.0/16"),
            RouteState::Tunnel {
                prefsrc: None,
                mtu: Some(1280),
            },
        )]);
        let have = [unreachable("10.2.0.0/16"), tunnel("10.2.0.0/16", None)];
        let steps = difference(&want, named(&have));
        assert_eq!(
            steps,
            [Change::Replace(Route {
                prefix: prefix("10.2.0.0/16"),
                hop: smaller
            })]
        );
    }

    #[test]
    fn a_lost_tunnel_leaves_the_unreachable_route() {
        let want = BTreeMap::from([(prefix("10.2.0.0/16"), RouteState::Unreachable)]);
        let have = [unreachable("10.2.0.0/16"), tunnel("10.2.0.0/16", None)];
        assert_eq!(
            difference(&want, named(&have)),
            [Change::Remove("10.2.0.0/16 mtu 1440".to_owned())]
        );
    }

    #[test]
    fn leftovers_of_unknown_shape_and_duplicates_are_removed() {
        let want = BTreeMap::from([(prefix("10.2.0.0/16"), RouteState::Unreachable)]);
        let have = [
            (None, "leftover"),
            (Some(unreachable("10.2.0.0/16")), "first"),
            (Some(unreachable("10.2.0.0/16")), "again"),
        ];
        assert_eq!(
            difference(&want, have),
            [Change::Remove("leftover"), Change::Remove("again")]
        );
    }
}
