//! Kernel routes, the rule, and what outlives the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringway_config::{Prefix, Routes as Numbers};
use ringway_host::routes::{KernelRoutes, RoutesError, purge};
use ringway_host::tun::open_tun;
use ringway_intent::{RouteState, Thing};
use tun_rs::SyncDevice;

use crate::namespace::Namespace;
use crate::tun_name;

const NUMBERS: Numbers = Numbers {
    table: 4600,
    protocol: 146,
    mark: 0x1057,
};

/// A host with a private address, a default route, and a TUN.
struct Host {
    namespace: Namespace,
    tun: Option<(Arc<SyncDevice>, u32)>,
}

impl Host {
    fn new() -> Host {
        let namespace = Namespace::new("gw");
        namespace.nic("eth0");
        for command in [
            "addr add 10.1.0.1/24 dev eth0",
            "addr add 10.1.0.2/24 dev eth0",
            "addr add fd00:1::1/64 dev eth0 nodad",
            "route add default via 10.1.0.254",
            "-6 route add default via fd00:1::fe",
        ] {
            namespace.ip(command);
        }
        let tun = namespace.enter(|| open_tun(&tun_name(), 1420, 1)).unwrap();
        Host {
            namespace,
            tun: Some(tun),
        }
    }

    fn sync(&self, want: &[(&str, RouteState)]) -> Result<(), RoutesError> {
        let want: BTreeMap<Prefix, RouteState> = want
            .iter()
            .map(|(prefix, state)| (prefix.parse().unwrap(), *state))
            .collect();
        let tun = self.tun.as_ref().unwrap().1;
        self.namespace.wait(|| async move {
            KernelRoutes::open(NUMBERS, Arc::new(tun.into()))?
                .sync(&want)
                .await
                .map(drop)
        })
    }

    /// Our table, one route a line, without what the kernel adds.
    fn table(&self) -> Vec<String> {
        let mut routes = Vec::new();
        for family in ["-4", "-6"] {
            // A table exists from its first route on; before, listing it is an error.
            let (_, text) = self.namespace.run(&format!(
                "ip {family} -n {} route show table 4600",
                self.namespace.name()
            ));
            routes.extend(
                text.lines()
                    .filter(|line| !line.contains("does not exist"))
                    .map(tidy),
            );
        }
        routes.sort();
        routes
    }

    fn route_get(&self, arguments: &str) -> String {
        self.namespace.ip(&format!("route get {arguments}"))
    }

    /// As `route_get`, also if there is no way.
    fn way(&self, to: &str) -> String {
        self.namespace.run(&format!("ip route get {to}")).1
    }

    /// How a connection to `to` is refused, and after which time.
    fn connect(&self, to: &str) -> (ErrorKind, Duration) {
        let to: SocketAddr = to.parse().unwrap();
        let begin = Instant::now();
        let error = self
            .namespace
            .enter(|| TcpStream::connect_timeout(&to, Duration::from_secs(5)));
        (error.unwrap_err().kind(), begin.elapsed())
    }
}

fn tidy(line: &str) -> String {
    let noise = [
        "pref medium",
        "dev lo",
        "error -113",
        "scope link",
        "linkdown",
    ];
    let line = noise
        .iter()
        .fold(line.to_owned(), |line, noise| line.replace(noise, ""));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn up(prefsrc: &str) -> RouteState {
    RouteState::Tunnel {
        prefsrc: Some(prefsrc.parse().unwrap()),
        mtu: Some(1440),
    }
}

const UNREACHABLE_V4: &str = "unreachable 10.2.0.0/16 proto 146 metric 4294967294";
const UNREACHABLE_V6: &str = "unreachable fd00:2::/48 proto 146 metric 4294967294";
const TUNNEL_V4: &str = "10.2.0.0/16 dev ringway0 proto 146 src 10.1.0.1 metric 100 mtu 1440";
const TUNNEL_V6: &str = "fd00:2::/48 dev ringway0 proto 146 src fd00:1::1 metric 100 mtu 1440";

#[test]
fn a_tunnel_takes_both_families_and_its_loss_leaves_them_unreachable() {
    let host = Host::new();
    host.sync(&[
        ("10.2.0.0/16", up("10.1.0.1")),
        ("fd00:2::/48", up("fd00:1::1")),
    ])
    .unwrap();
    assert_eq!(
        host.table(),
        [TUNNEL_V4, TUNNEL_V6, UNREACHABLE_V4, UNREACHABLE_V6]
    );
    let route = host.route_get("10.2.3.4");
    assert!(
        route.contains("dev ringway0") && route.contains("src 10.1.0.1"),
        "{route}"
    );
    let route = host.route_get("fd00:2::9");
    assert!(
        route.contains("dev ringway0") && route.contains("src fd00:1::1"),
        "{route}"
    );

    host.sync(&[
        ("10.2.0.0/16", RouteState::Unreachable),
        ("fd00:2::/48", up("fd00:1::1")),
    ])
    .unwrap();
    assert_eq!(host.table(), [TUNNEL_V6, UNREACHABLE_V4, UNREACHABLE_V6]);
    host.sync(&[]).unwrap();
    assert!(host.table().is_empty());
}

#[test]
fn a_prefix_whose_tunnel_is_down_leads_to_the_device_under_another_protocol() {
    let host = Host::new();
    let down = |source: &str| RouteState::Down {
        prefsrc: source.parse().ok(),
    };
    let want = [
        ("10.2.0.0/16", down("10.1.0.1")),
        ("fd00:2::/48", down("fd00:1::1")),
    ];
    host.sync(&want).unwrap();
    let v4 = "10.2.0.0/16 dev ringway0 proto 147 src 10.1.0.1 metric 200";
    let v6 = "fd00:2::/48 dev ringway0 proto 147 src fd00:1::1 metric 200";
    assert_eq!(host.table(), [v4, v6, UNREACHABLE_V4, UNREACHABLE_V6]);
    assert_eq!(
        host.namespace.route_changes(|| host.sync(&want).unwrap()),
        0
    );

    host.sync(&[
        ("10.2.0.0/16", up("10.1.0.1")),
        ("fd00:2::/48", down("fd00:1::1")),
    ])
    .unwrap();
    assert_eq!(
        host.table(),
        [TUNNEL_V4, v6, UNREACHABLE_V4, UNREACHABLE_V6]
    );
    host.namespace
        .wait(|| async { purge(NUMBERS, &BTreeSet::new(), None).await })
        .unwrap();
    assert!(host.table().is_empty());
}

#[test]
fn a_second_sync_changes_nothing() {
    let host = Host::new();
    let want = [
        ("10.2.0.0/16", up("10.1.0.1")),
        ("fd00:2::/48", up("fd00:1::1")),
    ];
    assert_eq!(
        host.namespace.route_changes(|| host.sync(&want).unwrap()),
        6,
        "four routes, two rules"
    );
    assert_eq!(
        host.namespace.route_changes(|| host.sync(&want).unwrap()),
        0
    );
}

#[test]
fn a_new_own_address_replaces_the_route() {
    let host = Host::new();
    host.sync(&[("10.2.0.0/16", up("10.1.0.1"))]).unwrap();
    host.sync(&[("10.2.0.0/16", up("10.1.0.2"))]).unwrap();
    assert_eq!(
        host.table(),
        [&TUNNEL_V4.replace("10.1.0.1", "10.1.0.2"), UNREACHABLE_V4]
    );
    host.sync(&[(
        "10.2.0.0/16",
        RouteState::Tunnel {
            prefsrc: None,
            mtu: None,
        },
    )])
    .unwrap();
    assert_eq!(
        host.table(),
        [
            &TUNNEL_V4
                .replace(" src 10.1.0.1", "")
                .replace(" mtu 1440", ""),
            UNREACHABLE_V4
        ]
    );
}

#[test]
fn another_mtu_replaces_the_route() {
    let host = Host::new();
    host.sync(&[
        ("10.2.0.0/16", up("10.1.0.1")),
        ("fd00:2::/48", up("fd00:1::1")),
    ])
    .unwrap();
    let smaller = |source: &str| RouteState::Tunnel {
        prefsrc: source.parse().ok(),
        mtu: Some(1280),
    };
    host.sync(&[
        ("10.2.0.0/16", smaller("10.1.0.1")),
        ("fd00:2::/48", smaller("fd00:1::1")),
    ])
    .unwrap();
    let (v4, v6) = (
        TUNNEL_V4.replace("1440", "1280"),
        TUNNEL_V6.replace("1440", "1280"),
    );
    assert_eq!(host.table(), [&v4, &v6, UNREACHABLE_V4, UNREACHABLE_V6]);
}

#[test]
fn routes_of_a_killed_daemon_are_taken_over_and_foreign_ones_left_alone() {
    let host = Host::new();
    for leftover in [
        "route add unreachable 10.9.0.0/16 table 4600 proto 146 metric 4294967294",
        "route add 10.8.0.0/16 dev eth0 table 4600 proto 146 metric 7",
        "route add unreachable 10.2.0.0/16 table 4600 proto 146 metric 4294967294",
        "route add 10.7.0.0/16 dev eth0 table 4600 proto static",
        "route add 10.6.0.0/16 dev eth0 table 4601 proto 146",
        "-6 route add fd00:8::/48 dev eth0 table 4600 proto 146 metric 7",
        "-6 route add fd00:7::/48 dev eth0 table 4600 proto static",
        "rule add not fwmark 0x1 lookup 4600 priority 4600 protocol 146",
        "rule add fwmark 0x2 lookup 4600 priority 9000",
    ] {
        host.namespace.ip(leftover);
    }
    host.sync(&[("10.2.0.0/16", up("10.1.0.1"))]).unwrap();
    assert_eq!(
        host.table(),
        [
            TUNNEL_V4,
            "10.7.0.0/16 dev eth0 proto static",
            "fd00:7::/48 dev eth0 proto static metric 1024",
            UNREACHABLE_V4
        ]
    );
    assert!(
        host.namespace
            .ip("route show table 4601")
            .contains("10.6.0.0/16")
    );
    let rules = host.namespace.ip("rule");
    assert!(
        rules.contains("not from all fwmark 0x1057 lookup 4600"),
        "{rules}"
    );
    assert!(
        rules.contains("fwmark 0x2 lookup 4600") && !rules.contains("fwmark 0x1 "),
        "{rules}"
    );

    host.namespace
        .wait(|| async { purge(NUMBERS, &BTreeSet::new(), None).await })
        .unwrap();
    assert_eq!(
        host.table(),
        [
            "10.7.0.0/16 dev eth0 proto static",
            "fd00:7::/48 dev eth0 proto static metric 1024"
        ]
    );
    let rules = host.namespace.ip("rule") + &host.namespace.ip("-6 rule");
    assert!(
        !rules.contains("0x1057") && rules.contains("fwmark 0x2"),
        "{rules}"
    );
}

#[test]
fn prefixes_stay_unreachable_when_the_tun_is_gone() {
    let mut host = Host::new();
    host.sync(&[
        ("10.2.0.0/16", up("10.1.0.1")),
        ("fd00:2::/48", up("fd00:1::1")),
    ])
    .unwrap();
    host.tun = None;
    // The kernel takes a moment to remove the routes of a device that is gone.
    let deadline = Instant::now() + Duration::from_secs(5);
    while host.table().len() > 2 && Instant::now() < deadline {}
    assert_eq!(host.table(), [UNREACHABLE_V4, UNREACHABLE_V6]);
    for to in ["10.2.3.4:7051", "[fd00:2::9]:7051"] {
        let (kind, elapsed) = host.connect(to);
        assert_eq!(kind, ErrorKind::HostUnreachable, "{to}");
        assert!(elapsed < Duration::from_secs(1), "{to}: {elapsed:?}");
    }
}

#[test]
fn the_tunnels_own_packets_skip_the_table() {
    let host = Host::new();
    host.sync(&[
        ("10.2.0.0/16", up("10.1.0.1")),
        ("fd00:2::/48", RouteState::Unreachable),
    ])
    .unwrap();
    let marked = host.route_get("10.2.3.4 mark 0x1057");
    assert!(marked.contains("via 10.1.0.254 dev eth0"), "{marked}");
    let marked = host.route_get("fd00:2::9 mark 0x1057");
    assert!(marked.contains("via fd00:1::fe dev eth0"), "{marked}");
    let other = host.route_get("10.2.3.4 mark 0x1");
    assert!(other.contains("dev ringway0"), "{other}");
}

#[test]
fn one_refused_route_does_not_hold_up_the_others() {
    let host = Host::new();
    let error = host
        .sync(&[
            ("10.2.0.0/16", up("10.99.0.1")),
            ("10.3.0.0/16", up("10.1.0.1")),
        ])
        .unwrap_err();
    let RoutesError::Refused { refused, route, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(route, "10.2.0.0/16 src 10.99.0.1 mtu 1440");
    assert_eq!(*refused, ["10.2.0.0/16".parse::<Prefix>().unwrap()]);
    let third = |route: &str| route.replace("10.2.", "10.3.");
    assert_eq!(
        host.table(),
        [&third(TUNNEL_V4), UNREACHABLE_V4, &third(UNREACHABLE_V4)]
    );
}

/// The host's own ways to the site come first, and the default route is none of them.
#[test]
fn our_own_prefix_is_unreachable_when_only_a_default_route_is_left() {
    let host = Host::new();
    host.namespace.nic("eth1");
    for command in [
        "addr add 203.0.113.5/24 dev eth1",
        "route replace default via 203.0.113.1",
        "route add 10.0.0.0/8 via 10.1.0.254",
        "-6 route replace default via fd00:1::fe",
    ] {
        host.namespace.ip(command);
    }
    let own = [
        ("10.1.0.0/16", RouteState::Site),
        ("fd00:1::/48", RouteState::Site),
    ];
    host.sync(&own).unwrap();
    assert!(host.way("10.1.0.7").contains("dev eth0"), "connected");
    assert!(host.way("10.1.9.7").contains("via 10.1.0.254"), "shorter");
    assert!(host.way("198.51.100.1").contains("dev eth1"), "default");
    assert!(!host.way("fd00:1:0:9::7").contains("dev eth0"));

    host.namespace.ip("link set eth0 down");
    assert!(
        !host.way("10.1.0.7").contains("dev "),
        "the site is cut off"
    );
    assert!(host.way("198.51.100.1").contains("dev eth1"));

    host.namespace.ip("link set eth0 up");
    host.namespace.ip("route replace 10.1.0.0/24 dev eth0");
    assert!(host.way("10.1.0.7").contains("dev eth0"));
    let known = own.map(|(prefix, _)| prefix.parse().unwrap()).into();
    host.namespace
        .wait(|| purge(NUMBERS, &known, None))
        .unwrap();
    assert!(!host.namespace.ip("rule").contains("10.1.0.0/16"));
    assert!(!host.namespace.ip("-6 rule").contains("fd00:1::/48"));
}

#[test]
fn only_changes_of_other_programs_are_reported() {
    let host = Host::new();
    let tun = host.tun.as_ref().unwrap().1;
    let plan = |prefixes: &[&str]| -> BTreeMap<Prefix, RouteState> {
        let prefixes = prefixes.iter();
        prefixes
            .map(|prefix| (prefix.parse().unwrap(), up("10.1.0.1")))
            .collect()
    };
    let (first, second) = (plan(&["10.2.0.0/16"]), plan(&["10.3.0.0/16"]));

    host.namespace.wait(|| async {
        let mut routes = KernelRoutes::open(NUMBERS, Arc::new(tun.into())).unwrap();
        assert_eq!(routes.sync(&first).await.unwrap(), []);
        assert_eq!(routes.sync(&second).await.unwrap(), [], "another plan");
        host.namespace.ip("route add 192.0.2.0/24 via 10.1.0.254");
        assert_eq!(routes.sync(&second).await.unwrap(), [], "nothing of ours");

        for (command, thing) in [
            ("route flush table 4600", Thing::Routes),
            (
                "route del 10.3.0.0/16 dev ringway0 table 4600",
                Thing::Routes,
            ),
            ("rule del priority 4600", Thing::Rule),
            ("-6 rule del priority 4600", Thing::Rule),
        ] {
            host.namespace.ip(command);
            let restored = routes.sync(&second).await.unwrap();
            let things: Vec<_> = restored.into_iter().map(|one| one.thing).collect();
            assert_eq!(things, [thing], "{command}");
            assert_eq!(routes.sync(&second).await.unwrap(), [], "{command}");
        }
    });
}

#[test]
fn rules_for_own_prefixes_go_if_an_earlier_run_is_known_to_have_added_them() {
    let host = Host::new();
    let own: Prefix = "10.1.0.0/16".parse().unwrap();
    host.sync(&[("10.1.0.0/16", RouteState::Site)]).unwrap();
    let has_rules = || host.namespace.ip("rule").contains("10.1.0.0/16");

    // They may be another daemon's.
    host.sync(&[]).unwrap();
    assert!(has_rules());
    let tun = host.tun.as_ref().unwrap().1;
    host.namespace.wait(|| async {
        let mut routes = KernelRoutes::open(NUMBERS, Arc::new(tun.into())).unwrap();
        routes.adopt([own]);
        routes.sync(&BTreeMap::new()).await.unwrap();
    });
    assert!(!has_rules());
}
