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

fn down(text: &str) -> Route {
    Route {
        prefix: prefix(text),
        hop: Hop::Down { prefsrc: None },
    }
}

fn up(prefsrc: Option<&str>) -> RouteState {
    RouteState::Tunnel {
        prefsrc: prefsrc.map(|source| source.parse().unwrap()),
        mtu: Some(1440),
    }
}

/// The route as the kernel has it; a test needs no name to remove it by.
fn installed(route: Route) -> Installed<()> {
    Installed {
        route: Some(route),
        name: (),
    }
}

fn removed(route: Route) -> Change<()> {
    Change::Remove(installed(route))
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
    assert_eq!(difference(&want, have.map(installed)), []);
}

#[test]
fn unreachable_routes_are_added_first_and_removed_last() {
    let want = BTreeMap::from([
        (prefix("10.2.0.0/16"), up(None)),
        (prefix("10.3.0.0/16"), up(None)),
    ]);
    let have = [unreachable("10.9.0.0/16"), tunnel("10.9.0.0/16", None)];
    assert_eq!(
        difference(&want, have.map(installed)),
        [
            Change::Add(unreachable("10.2.0.0/16")),
            Change::Add(unreachable("10.3.0.0/16")),
            Change::Add(tunnel("10.2.0.0/16", None)),
            Change::Add(tunnel("10.3.0.0/16", None)),
            removed(tunnel("10.9.0.0/16", None)),
            removed(unreachable("10.9.0.0/16")),
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
    assert_eq!(
        difference(&want, have.map(installed)),
        [Change::Replace(tunnel("10.2.0.0/16", Some("10.1.0.3")))]
    );
}

#[test]
fn another_mtu_replaces_the_route_in_one_step() {
    let want = BTreeMap::from([(
        prefix("10.2.0.0/16"),
        RouteState::Tunnel {
            prefsrc: None,
            mtu: Some(1280),
        },
    )]);
    let have = [unreachable("10.2.0.0/16"), tunnel("10.2.0.0/16", None)];
    let smaller = Route {
        prefix: prefix("10.2.0.0/16"),
        hop: Hop::Tunnel {
            prefsrc: None,
            mtu: Some(1280),
        },
    };
    assert_eq!(
        difference(&want, have.map(installed)),
        [Change::Replace(smaller)]
    );
}

#[test]
fn a_lost_tunnel_leaves_the_unreachable_route() {
    let want = BTreeMap::from([(prefix("10.2.0.0/16"), RouteState::Unreachable)]);
    let have = [unreachable("10.2.0.0/16"), tunnel("10.2.0.0/16", None)];
    assert_eq!(
        difference(&want, have.map(installed)),
        [removed(tunnel("10.2.0.0/16", None))]
    );
}

#[test]
fn a_prefix_whose_tunnel_comes_or_goes_leads_to_the_device_all_the_time() {
    let is_down = BTreeMap::from([(prefix("10.2.0.0/16"), RouteState::Down { prefsrc: None })]);
    let have = [unreachable("10.2.0.0/16"), tunnel("10.2.0.0/16", None)];
    assert_eq!(
        difference(&is_down, have.map(installed)),
        [
            Change::Add(down("10.2.0.0/16")),
            removed(tunnel("10.2.0.0/16", None))
        ]
    );

    let is_up = BTreeMap::from([(prefix("10.2.0.0/16"), up(None))]);
    let have = [unreachable("10.2.0.0/16"), down("10.2.0.0/16")];
    assert_eq!(
        difference(&is_up, have.map(installed)),
        [
            Change::Add(tunnel("10.2.0.0/16", None)),
            removed(down("10.2.0.0/16"))
        ]
    );
}

#[test]
fn routes_of_unknown_form_and_duplicates_are_removed() {
    let want = BTreeMap::from([(prefix("10.2.0.0/16"), RouteState::Unreachable)]);
    let unknown = Installed {
        route: None,
        name: "unknown",
    };
    let first = Installed {
        route: Some(unreachable("10.2.0.0/16")),
        name: "first",
    };
    let second = Installed {
        name: "second",
        ..first
    };
    assert_eq!(
        difference(&want, [unknown, first, second]),
        [Change::Remove(unknown), Change::Remove(second)]
    );
}

mod property {
    //! A small model of the kernel carries out the changes one by one, and any of them may fail.

    use std::collections::BTreeSet;

    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    /// Our table: as in the kernel, one route for each prefix and metric. Routes of unknown form
    /// have names only.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    struct Table {
        routes: BTreeMap<Key, Route>,
        unknown: BTreeSet<u8>,
    }

    impl Table {
        fn of(routes: impl IntoIterator<Item = Route>) -> Table {
            Table {
                routes: routes
                    .into_iter()
                    .map(|route| (route.key(), route))
                    .collect(),
                unknown: BTreeSet::new(),
            }
        }

        fn installed(&self) -> Vec<Installed<u8>> {
            let known = self.routes.values().map(|route| Installed {
                route: Some(*route),
                name: 0,
            });
            let unknown = self.unknown.iter().map(|name| Installed {
                route: None,
                name: *name,
            });
            known.chain(unknown).collect()
        }

        /// As the kernel does: adding what is there, and removing what is not, are errors.
        fn carry_out(&mut self, change: &Change<u8>) {
            match change {
                Change::Add(route) => {
                    assert_eq!(
                        self.routes.insert(route.key(), *route),
                        None,
                        "{route} is there"
                    );
                }
                Change::Replace(route) => {
                    assert!(
                        self.routes.insert(route.key(), *route).is_some(),
                        "{route} is new"
                    );
                }
                Change::Remove(Installed {
                    route: Some(route), ..
                }) => {
                    assert!(
                        self.routes.remove(&route.key()).is_some(),
                        "{route} is not there"
                    );
                }
                Change::Remove(Installed { route: None, name }) => {
                    assert!(self.unknown.remove(name), "{name} is not there");
                }
            }
        }

        fn has_unreachable(&self, prefix: Prefix) -> bool {
            self.routes.contains_key(&(prefix, UNREACHABLE_METRIC))
        }

        fn has_tunnel(&self, prefix: Prefix) -> bool {
            [TUNNEL_METRIC, DOWN_METRIC]
                .iter()
                .any(|metric| self.routes.contains_key(&(prefix, *metric)))
        }
    }

    fn prefixes() -> impl Strategy<Value = Prefix> {
        (0_u8..6).prop_map(|n| format!("10.{n}.0.0/16").parse().unwrap())
    }

    fn hops() -> impl Strategy<Value = Hop> {
        prop_oneof![
            Just(Hop::Unreachable),
            (0_u32..2, 0_u8..2).prop_map(|(mtu, host)| Hop::Tunnel {
                prefsrc: (host > 0).then(|| IpAddr::from([10, 9, 0, host])),
                mtu: (mtu > 0).then_some(1280),
            }),
            (0_u8..2).prop_map(|host| Hop::Down {
                prefsrc: (host > 0).then(|| IpAddr::from([10, 9, 0, host])),
            }),
            Just(Hop::WireGuard { prefsrc: None }),
        ]
    }

    fn wants() -> impl Strategy<Value = BTreeMap<Prefix, RouteState>> {
        let states = hops().prop_map(|hop| match hop {
            Hop::Unreachable => RouteState::Unreachable,
            Hop::Tunnel { prefsrc, mtu } => RouteState::Tunnel { prefsrc, mtu },
            Hop::Down { prefsrc } => RouteState::Down { prefsrc },
            Hop::WireGuard { prefsrc } => RouteState::WireGuard { prefsrc },
        });
        btree_map(prefixes(), states, 0..6)
    }

    /// Whatever another version, a crash or an operator may have left.
    fn tables() -> impl Strategy<Value = Table> {
        let routes = vec((prefixes(), hops()), 0..10);
        (routes, proptest::collection::btree_set(any::<u8>(), 0..3)).prop_map(
            |(routes, unknown)| {
                let routes = routes
                    .into_iter()
                    .map(|(prefix, hop)| Route { prefix, hop });
                Table {
                    unknown,
                    ..Table::of(routes)
                }
            },
        )
    }

    proptest! {
        #[test]
        fn all_changes_together_leave_the_wanted_routes_and_no_others(
            want in wants(),
            mut table in tables(),
        ) {
            for change in difference(&want, table.installed()) {
                table.carry_out(&change);
            }
            prop_assert_eq!(&table, &Table::of(wanted(&want).into_values()));
            prop_assert_eq!(difference(&want, table.installed()), []);
        }

        /// A crash or a refusal after any number of changes: private traffic never meets the
        /// default route.
        #[test]
        fn after_any_change_a_prefix_with_a_tunnel_has_its_unreachable_route(
            want in wants(),
            before in wants(),
        ) {
            let mut table = Table::of(wanted(&before).into_values());
            for change in difference(&want, table.installed()) {
                table.carry_out(&change);
                for prefix in before.keys().chain(want.keys()) {
                    prop_assert!(!table.has_tunnel(*prefix) || table.has_unreachable(*prefix));
                    let stays = before.contains_key(prefix) && want.contains_key(prefix);
                    prop_assert!(!stays || table.has_unreachable(*prefix), "{prefix} leaks");
                    let leads = |routes: &BTreeMap<Prefix, RouteState>| {
                        let state = routes.get(prefix);
                        state.is_some_and(|state| *state != RouteState::Unreachable)
                    };
                    let leads = leads(&before) && leads(&want);
                    prop_assert!(!leads || table.has_tunnel(*prefix), "{prefix} is cut off");
                }
            }
        }

        #[test]
        fn a_route_that_is_wanted_and_there_is_never_touched(want in wants(), table in tables()) {
            let wanted = wanted(&want);
            for change in difference(&want, table.installed()) {
                if let Some(route) = change.route() {
                    let is_there = table.routes.get(&route.key()) == Some(&route);
                    let is_wanted = wanted.get(&route.key()) == Some(&route);
                    prop_assert!(!(is_there && is_wanted), "{route} is touched");
                }
            }
        }
    }
}
