//! The devices under a running gateway are taken away: the daemon goes on, its sessions live on, and packets flow
//! again soon.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway::lab`).

use std::time::Duration;

use ringway::lab::ping::{self, Family, Outcome};
use ringway_tests::scene::eventually;
use ringway_tests::{Flow, Scene};
use serde_json::Value;

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");

/// From the fault to the first reply.
const CONTRACT: Duration = Duration::from_secs(2);

/// What happens to the TUN device of gw.org1, by `ip`, and what its log calls it.
const FAULTS: [(&str, &str); 5] = [
    ("link set ringway0 down", "set down"),
    ("link delete ringway0", "deleted"),
    ("link set ringway0 carrier off", "set down"),
    ("link set ringway0 name stolen0", "renamed"),
    ("link set ringway0 netns AWAY", "moved to another network namespace"),
];

#[test]
fn a_tun_device_that_is_taken_away_is_back_within_two_seconds() {
    let scene = Scene::new("tun", RINGWAY);
    let (daemon, since) = (scene.process("gw.org1").expect("it was started"), since(&scene));
    let flow = Flow::start(&scene, "peer0.org2", "peer0.org1");
    eventually("all routes", 10, || are_installed(&scene));
    let routes = routes(&scene);
    for (mended, (fault, reason)) in (1..).zip(FAULTS) {
        let logged = scene.logged("gw.org1").len();
        assert!(ip(&scene, fault), "{fault}");
        reaches_both_ways(&scene, fault);
        eventually("the routes as before", 10, || self::routes(&scene) == routes);
        assert_eq!(scene.status("gw.org1")["tun_mended"], mended, "{fault:?}");
        let said = scene.logged("gw.org1").split_off(logged);
        assert!(said.contains(&format!("reason=\"{reason}\"")), "{fault}: {said}");
    }
    let denied = || scene.status("gw.org1")["filtered"]["denied"].as_u64().unwrap_or(0);
    let before = denied();
    scene.output("peer0.org2", "bash", &["-c", "echo >/dev/udp/10.10.1.11/9"]);
    eventually("the policy to drop what it does not allow", 5, || denied() > before);
    assert!(daemon.is_alive(), "the daemon goes on");
    assert_eq!(self::since(&scene), since, "the session was never lost");
    assert_eq!(scene.logged("gw.org1").matches("it is up again").count(), FAULTS.len());
    assert_eq!(scene.output("wan", "ip", &["link", "show", "type", "tun"]), "", "nothing is left behind");
    println!("{:?}", flow.stop());
    scene.close();
}

#[test]
fn another_device_in_the_place_of_the_tun_device_is_told_and_outlived() {
    let scene = Scene::new("stolen", RINGWAY);
    let (daemon, since) = (scene.process("gw.org1").expect("it was started"), since(&scene));
    // The daemon may be quicker; it pauses then.
    eventually("another device to bear the name", 10, || {
        ip(&scene, "link set ringway0 netns AWAY") && ip(&scene, "link add ringway0 type veth")
    });
    eventually("the daemon to say so", 5, || {
        let log = scene.logged("gw.org1");
        log.contains("no packet moves") && log.contains("device ringway0 exists")
    });
    assert!(ip(&scene, "link delete ringway0"), "it goes");
    reaches_both_ways(&scene, "another device");
    assert!(daemon.is_alive(), "the daemon goes on");
    assert_eq!(self::since(&scene), since, "the session was never lost");
    scene.close();
}

/// `ip` at gw.org1; AWAY is a network namespace in which nobody misses a device. True if it succeeded.
fn ip(scene: &Scene, arguments: &str) -> bool {
    let away = &scene.node("wan").expect("the WAN").netns;
    let mut ip = scene.command("gw.org1", "ip").expect("a gateway");
    ip.args(arguments.replace("AWAY", away).split(' ')).status().is_ok_and(|status| status.success())
}

/// The address of gw.org1 on the WAN, before and after.
const OLD: &str = "203.0.113.6/30";
const NEW: &str = "203.0.113.130/32";
/// Longer than QUIC holds out without hearing anything, s.
const IDLE: u64 = 12;
/// Pings of a flow in a second.
const RATE: usize = 20;

/// gw.org0, whose identity is the lower, has dialled gw.org1: QUIC does not follow the one who was dialled.
#[test]
fn the_wan_address_of_a_dialled_gateway_changes_under_traffic() {
    let scene = Scene::new("wan", RINGWAY);
    let (daemon, since) = (scene.process("gw.org1").expect("it was started"), since(&scene));
    let flows = ["peer0.org2", "orderer0.org0"].map(|node| Flow::start(&scene, node, "peer0.org1"));
    scene.output("wan", "ip", &["route", "add", NEW, "dev", "org1"]);
    scene.output("gw.org1", "ip", &["address", "add", NEW, "dev", "wan0"]);
    leaves_from(&scene, NEW);
    scene.output("gw.org1", "ip", &["address", "delete", OLD, "dev", "wan0"]);
    leaves_from(&scene, NEW);
    for node in ["peer0.org2", "orderer0.org0"] {
        ping::until(&scene, (node, "10.10.1.11"), Family::V4, &Outcome::Reply, CONTRACT)
            .unwrap_or_else(|error| panic!("{node}: {error:#}"));
    }
    let replies = flows.each_ref().map(|flow| flow.replies());
    eventually("the old connections to be over", 3 * IDLE, || {
        let went_on = |(flow, before): (&Flow, usize)| flow.replies() > before + IDLE as usize * RATE;
        flows.iter().zip(replies).all(went_on)
    });
    assert!(daemon.is_alive(), "the daemon goes on");
    assert_eq!(self::since(&scene), since, "the tunnel was never down");
    for flow in flows {
        let tally = flow.stop();
        println!("{tally:?}");
        assert!(tally.lost <= CONTRACT.as_secs() as usize * RATE, "{tally:?}");
    }
    scene.close();
}

fn leaves_from(scene: &Scene, address: &str) {
    let (address, _) = address.split_once('/').expect("an address with its prefix length");
    let route =
        ["route", "replace", "default", "via", "203.0.113.5", "dev", "wan0", "onlink", "src", address];
    scene.output("gw.org1", "ip", &route);
}

#[test]
fn an_interface_that_comes_back_is_used_again() {
    let scene = Scene::new("down", RINGWAY);
    let daemon = scene.process("gw.org1").expect("it was started");
    scene.output("gw.org1", "ip", &["link", "set", "wan0", "down"]);
    eventually("the tunnel to be lost", 5, || !scene.is_up("gw.org0", "gw.org1"));
    scene.output("gw.org1", "ip", &["link", "set", "wan0", "up"]);
    leaves_from(&scene, OLD);
    ping::until(&scene, ("peer0.org1", "10.10.0.11"), Family::V4, &Outcome::Reply, Duration::from_secs(5))
        .unwrap_or_else(|error| panic!("{error:#}"));
    assert!(daemon.is_alive(), "the daemon goes on");
    scene.close();
}

/// In both families.
fn reaches_both_ways(scene: &Scene, fault: &str) {
    for (from, family, to) in [
        ("peer0.org2", Family::V4, "10.10.1.11"),
        ("peer0.org1", Family::V4, "10.10.0.11"),
        ("peer0.org1", Family::V6, "fd00:10:2::11"),
    ] {
        ping::until(scene, (from, to), family, &Outcome::Reply, CONTRACT)
            .unwrap_or_else(|error| panic!("{fault}: {error:#}"));
    }
}

/// True once the kernel of gw.org1 has every route to the others.
fn are_installed(scene: &Scene) -> bool {
    let status = scene.status("gw.org1");
    let mut routes =
        status["routes"].as_array().expect("routes").iter().filter(|route| route["org"] != "org1");
    routes.all(|route| route["installed"] == true)
}

/// Those of gw.org1, without the device's number.
fn routes(scene: &Scene) -> [String; 2] {
    ["-4", "-6"].map(|family| scene.output("gw.org1", "ip", &[family, "route", "show", "table", "4600"]))
}

/// When the session between gw.org1 and gw.org2 came up.
fn since(scene: &Scene) -> Value {
    scene.tunnel("gw.org1", "gw.org2").expect("a tunnel")["since"].clone()
}
