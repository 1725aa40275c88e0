//! `[[announce]]`: a data centre behind gw.org1 is announced only while the gateway's host has a
//! route to it: one that an operator writes, one that BIRD or FRR learns by BGP, and at a second
//! gateway of the site.
//!
//! ```text
//!   orderer0.org0 ── gw.org0 ═══ WAN ═══ gw.org1 ── BGP, BFD ── peer0.org1 ── 10.20.1.11
//!                                    ╚══ gw2.org1 ──────┘                     (org1/idc)
//! ```

use std::path::Path;
use std::time::Instant;

use nix::sys::signal::Signal;
use ringway_lab::ping::Outcome;
use ringway_lab::program;
use ringway_tests::data_centre::DataCentre;
use ringway_tests::scene::{append, eventually, replace};
use ringway_tests::second_gateway::{NAME, SecondGateway};
use ringway_tests::{Scene, inside};
use serde_json::Value;

use crate::RINGWAY;
use crate::frr::Frr;
use crate::routing_daemons::start_bird;
use crate::via::{ADDRESS, AT_ORG1, HOST, IDC, change, ping};

const GATEWAY: &str = "gw.org1";
const ROUTER: &str = "peer0.org1";

/// Where the claims are looked at.
const PEER: &str = "gw.org0";

const PREFIXES: [&str; 2] = ["10.20.1.0/24", "10.20.2.0/24"];

pub(crate) const ANNOUNCE: &str = "
[[announce]]
site = \"idc\"
watch = \"kernel\"
";

/// Takes the static routes away.
const NO_ROUTES: &str = "ip route del 10.20.1.0/24; ip route del 10.20.2.0/24";

/// What the router in front of the data centre tells by BGP: the networks behind it.
const ROUTER_BIRD: &str = "router id 10.10.1.11;
protocol device { scan time 1; }
protocol direct { ipv4; interface \"idc0\"; }
protocol bfd { interface \"*\" { interval 100 ms; multiplier 3; }; }
protocol bgp vpc {
    local as 65002;
    neighbor 10.10.1.1 as 65001;
    bfd on;
    error wait time 1, 2;
    connect retry time 2;
    connect delay time 1;
    ipv4 { import none; export where source = RTS_DEVICE; next hop self; };
}
";

/// As deploy/data-centres.md has it, with other addresses and shorter times.
const GATEWAY_BIRD: &str = "router id 10.10.1.1;
protocol device { scan time 1; }
protocol kernel { ipv4 { import none; export where source = RTS_BGP; }; }
protocol bfd { interface \"lan0\" { interval 100 ms; multiplier 3; }; }
protocol bgp idc {
    local as 65001;
    neighbor 10.10.1.11 as 65002;
    bfd on;
    error wait time 1, 2;
    connect retry time 2;
    connect delay time 1;
    ipv4 { import where net ~ [ 10.20.0.0/16+ ]; export none; };
}
";

/// As deploy/data-centres.md has it, with other addresses and shorter times.
const GATEWAY_FRR: &str = "bfd
 profile idc
  detect-multiplier 3
  receive-interval 100
  transmit-interval 100
 exit
exit
ip prefix-list idc permit 10.20.0.0/16 le 24
route-map nothing deny 10
exit
router bgp 65001
 neighbor 10.10.1.11 remote-as 65002
 neighbor 10.10.1.11 bfd profile idc
 neighbor 10.10.1.11 timers connect 2
 address-family ipv4 unicast
  neighbor 10.10.1.11 prefix-list idc in
  neighbor 10.10.1.11 route-map nothing out
 exit-address-family
exit
";

/// A data centre that is announced while there is a route; there is one.
fn connect(scene: &Scene) -> DataCentre {
    let behind = DataCentre::connect(scene);
    append(&scene.config(GATEWAY), AT_ORG1);
    let site = format!("idc={}", PREFIXES.join(","));
    change(scene, GATEWAY, &["site", "add", &site, "--via", "vpc"]);
    append(&scene.config(GATEWAY), ANNOUNCE);
    scene.reload(GATEWAY);

    behind
}

/// The gateway through which the peer reaches `prefix`.
pub(crate) fn through(scene: &Scene, prefix: &str) -> Value {
    let status = scene.status(PEER);
    let mut routes = status["routes"].as_array().into_iter().flatten();
    let route = routes.find(|route| route["prefix"] == prefix);
    // Before the peer has the record, it is neither reached nor out of reach.
    route.map_or(Value::from("unknown"), |route| route["gateway"].clone())
}

/// Waits until the peer has both prefixes through `gateway`, or neither through any.
fn wait_until_claimed(scene: &Scene, gateway: Option<&str>, event: &str) {
    let begun = Instant::now();
    eventually(&format!("{gateway:?} after: {event}"), 30, || {
        PREFIXES
            .iter()
            .all(|prefix| through(scene, prefix).as_str() == gateway)
    });

    println!("{event}: the claim followed after {:?}", begun.elapsed());
}

/// What the gateway's status says of the announcement.
pub(crate) fn said(scene: &Scene) -> Vec<String> {
    let status = scene.status(GATEWAY);
    let items = status["attention"].as_array().into_iter().flatten();
    items
        .filter(|item| item["kind"] == "not-announced")
        .filter_map(|item| item["what"].as_str().map(String::from))
        .collect()
}

fn wait_until_said(scene: &Scene, expected: &[&str]) {
    eventually(&format!("{expected:?}"), 10, || said(scene) == expected);
}

#[test]
fn a_site_is_announced_only_while_the_host_has_a_route_to_it() {
    let mut scene = Scene::new("announce", RINGWAY);
    let mut behind = connect(&scene);
    behind.serve(9001);
    ping(&scene, IDC, &Outcome::Reply);
    assert!(inside::connects(&scene, HOST, IDC, 9001));
    wait_until_said(&scene, &[]);

    // One of two: members notice at once, and not by the far end.
    let lost = "idc is not announced in part: no route to 10.20.1.0/24";
    scene.sh(GATEWAY, "ip route del 10.20.1.0/24");
    wait_until_said(&scene, &[lost]);
    eventually("the end of the claim", 10, || {
        through(&scene, PREFIXES[0]).is_null()
    });
    assert_eq!(through(&scene, PREFIXES[1]), GATEWAY);
    ping(&scene, IDC, &Outcome::Unreachable);
    assert!(!inside::connects(&scene, HOST, IDC, 9001));
    everything_says(&scene, lost);

    // Neither a half of everything nor a route that leads nowhere is a way there.
    scene.sh(
        GATEWAY,
        "ip route add 0.0.0.0/1 via 10.10.1.11; ip route add unreachable 10.20.1.0/24; \
         ip route del 10.20.2.0/24",
    );
    let both = "idc is not announced: no route to 10.20.1.0/24, 10.20.2.0/24";
    wait_until_said(&scene, &[both]);
    wait_until_claimed(&scene, None, "the last route is gone");
    restart_without(&mut scene, both);

    // A part counts, and so does what holds it. The metric is not looked at.
    scene.sh(
        GATEWAY,
        "ip route del unreachable 10.20.1.0/24; ip route del 0.0.0.0/1; \
         ip route add 10.20.0.0/23 via 10.10.1.11 metric 900; \
         ip route add 10.20.2.8/29 via 10.10.1.11",
    );
    wait_until_claimed(&scene, Some(GATEWAY), "routes are back");
    wait_until_said(&scene, &[]);
    ping(&scene, IDC, &Outcome::Reply);
    assert!(behind.pings(IDC, ADDRESS));

    // Without the block, routes do not matter.
    scene.sh(
        GATEWAY,
        "ip route del 10.20.0.0/23; ip route del 10.20.2.8/29",
    );
    wait_until_claimed(&scene, None, "routes are gone");
    scene.assert_no_leaks();
    // It asks this machine's resolver, on the other side of the WAN.
    says_once(&scene, "doctor", both);
    replace(&scene.config(GATEWAY), ANNOUNCE, "");
    scene.reload(GATEWAY);
    wait_until_claimed(&scene, Some(GATEWAY), "the block is gone");
    wait_until_said(&scene, &[]);

    drop(behind);
    scene.close();
}

/// Status, log, `check` and metrics.
fn everything_says(scene: &Scene, what: &str) {
    assert!(scene.logged(GATEWAY).contains(what));
    says_once(scene, "check", what);
    let shown = program::output(&mut scene.ringway(GATEWAY, &["status"])).expect("it answers");
    assert!(shown.contains("unannounced"), "{shown}");
    let metrics = program::output(&mut scene.ringway(GATEWAY, &["metrics"])).expect("it answers");
    let series = "ringway_site_unannounced_prefixes{site=\"idc\",org=\"org1\"} 1";
    assert!(metrics.contains(series), "{metrics}");
    let report = &scene.status(GATEWAY)["announce"][0];
    assert_eq!(report["missing"][0], PREFIXES[0], "{report}");
    assert_eq!(report["announced"][0], PREFIXES[1], "{report}");
}

fn says_once(scene: &Scene, verb: &str, what: &str) {
    let output = scene.ringway(GATEWAY, &[verb]).output().expect("it runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(printed.matches(what).count(), 1, "{verb}: {printed}");
}

/// What was never announced has not to be withdrawn.
fn restart_without(scene: &mut Scene, what: &str) {
    scene.kill(GATEWAY).expect("it runs");
    scene.start(GATEWAY).expect("it starts");
    scene.wait_until_joined().expect("the tunnels come up");

    wait_until_said(scene, &[what]);
    assert!(
        PREFIXES
            .iter()
            .all(|prefix| through(scene, prefix).is_null())
    );
}

#[test]
fn a_route_that_bird_learns_by_bgp_is_announced_until_bgp_or_bfd_takes_it_away() {
    let scene = Scene::new("announce-bird", RINGWAY);
    let behind = connect(&scene);
    scene.sh(GATEWAY, NO_ROUTES);
    wait_until_claimed(&scene, None, "no BGP yet");
    let (_gateway, socket) = start_bird(&scene, GATEWAY, GATEWAY_BIRD);

    goes_and_comes(&scene, &behind, || bird_sees_bfd(&scene, &socket));
    drop(behind);
    scene.close();
}

fn bird_sees_bfd(scene: &Scene, socket: &Path) -> bool {
    let control = socket.display().to_string();
    let sessions = ["-s", &control, "show", "bfd", "sessions"];
    let shown = scene.output_of_any_exit(GATEWAY, "/usr/sbin/birdc", &sessions);

    let mut lines = shown.lines();
    lines.any(|line| line.starts_with("10.10.1.11 ") && line.contains("Up"))
}

#[test]
fn a_route_that_frr_learns_by_bgp_is_announced_until_bgp_or_bfd_takes_it_away() {
    let scene = Scene::new("announce-frr", RINGWAY);
    let behind = connect(&scene);
    scene.sh(GATEWAY, NO_ROUTES);
    wait_until_claimed(&scene, None, "no BGP yet");
    let frr = Frr::start(&scene, GATEWAY, GATEWAY_FRR);

    goes_and_comes(&scene, &behind, || {
        let shown = frr.vtysh(&scene, &["-c", "show bfd peer 10.10.1.11"]);
        shown.contains("Status: up")
    });
    drop(behind);
    scene.close();
}

/// The router starts, loses its networks, and dies.
fn goes_and_comes(scene: &Scene, behind: &DataCentre, sees_bfd: impl Fn() -> bool) {
    let (router, _) = start_bird(scene, ROUTER, ROUTER_BIRD);
    wait_until_claimed(scene, Some(GATEWAY), "BGP is up");
    ping(scene, IDC, &Outcome::Reply);
    assert!(behind.pings(IDC, ADDRESS));

    // The router withdraws what it cannot reach.
    scene.sh(ROUTER, "ip link set idc0 down");
    wait_until_claimed(scene, None, "BGP has withdrawn the routes");
    ping(scene, IDC, &Outcome::Unreachable);
    scene.sh(ROUTER, "ip link set idc0 up");
    wait_until_claimed(scene, Some(GATEWAY), "BGP has announced the routes");
    ping(scene, IDC, &Outcome::Reply);

    // It falls silent: BGP by itself would wait for minutes.
    eventually("BFD", 20, &sees_bfd);
    router.signal(Signal::SIGSTOP);
    wait_until_claimed(scene, None, "the router is silent");
    wait_until_said(
        scene,
        &["idc is not announced: no route to 10.20.1.0/24, 10.20.2.0/24"],
    );
    router.signal(Signal::SIGCONT);
    wait_until_claimed(scene, Some(GATEWAY), "the router speaks again");
    ping(scene, IDC, &Outcome::Reply);
    scene.assert_no_leaks();
}

#[test]
fn another_gateway_of_the_site_that_has_the_route_takes_over() {
    let scene = Scene::beside_others("announce-two", RINGWAY);
    let behind = connect(&scene);
    // Its file is made of that of the first one.
    let second = SecondGateway::add(&scene, RINGWAY);
    let config = std::fs::read_to_string(second.config()).expect("it has one");
    assert!(config.contains("[[announce]]"), "{config}");
    wait_until_claimed(&scene, Some(GATEWAY), "only the first has routes");

    let add = PREFIXES.map(|prefix| format!("ip route add {prefix} via 10.10.1.11"));
    second.sh(&add.join("; "));
    eventually("the second's announcement", 10, || {
        let report = &second.status()["announce"][0];
        report["missing"].as_array().is_some_and(Vec::is_empty)
    });
    scene.sh(GATEWAY, NO_ROUTES);
    wait_until_claimed(&scene, Some(NAME), "the first has lost its routes");
    ping(&scene, IDC, &Outcome::Reply);

    // And back, when that one loses them.
    scene.sh(GATEWAY, &add.join("; "));
    second.sh(NO_ROUTES);
    wait_until_claimed(&scene, Some(GATEWAY), "the second has lost its routes");
    ping(&scene, IDC, &Outcome::Reply);

    drop((second, behind));
    scene.close();
}
