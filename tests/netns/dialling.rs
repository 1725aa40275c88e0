//! Dialling when most endpoints are dead, or the round trip is long.

use std::time::{Duration, Instant};

use ringway_lab::status;
use ringway_tests::scene::{eventually, replace};
use ringway_tests::{Emulator, Scene};

use crate::{EMULATOR, RINGWAY};

/// The dialling gateway and the one that is dialled, which does not dial itself.
const DIALS: &str = "gw.org0";
const DIALLED: &str = "gw.org1";

/// The endpoints in the dialled gateway's record.
const LIVE: [&str; 2] = ["203.0.113.6:4600", "[2001:db8:0:1::2]:4600"];

/// How much later than a peer with one endpoint a peer with eight may be up.
const CONTRACT: Duration = Duration::from_secs(2);

/// Addresses that answer nothing, on the WAN.
const BLACK_HOLES: [&str; 2] = ["198.51.100.0/24", "2001:db8:71::/48"];

/// Endpoints at which nothing answers.
const SILENT: [&str; 7] = [
    "198.51.100.71:4600",
    "198.51.100.72:4600",
    "198.51.100.73:4600",
    "198.51.100.74:4600",
    "198.51.100.75:4600",
    "198.51.100.76:4600",
    "198.51.100.77:4600",
];

/// Endpoints at which an ICMP error says that no port is open, or no network there.
const REFUSED: [&str; 7] = [
    "203.0.113.5:4600",
    "203.0.113.5:4601",
    "203.0.113.6:4601",
    "203.0.113.6:4602",
    "192.0.2.1:4600",
    "192.0.2.2:4600",
    "203.0.113.5:4602",
];

/// Both kinds in both families.
const MIXED: [&str; 7] = [
    "[2001:db8:71::1]:4600",
    "198.51.100.71:4600",
    "[2001:db8:0:1::1]:4600",
    "203.0.113.5:4600",
    "[2001:db8:71::2]:4600",
    "[2001:db8:0:1::2]:4601",
    "198.51.100.72:4600",
];

#[test]
fn one_live_endpoint_behind_seven_dead_ones_is_found_within_two_seconds() {
    let mut scene = Scene::new("race", RINGWAY);
    for prefix in BLACK_HOLES {
        scene.output("wan", "ip", &["route", "add", "blackhole", prefix]);
    }
    let theirs = scene.beside(DIALLED, "members/org0.member.toml");
    let own = r#"endpoints = ["203.0.113.2:4600", "[2001:db8::2]:4600"]"#;
    replace(&theirs, own, "endpoints = []");
    replace(&theirs, "serial = 1 ", "serial = 2 ");
    scene.reload(DIALLED);

    let record = scene.beside(DIALS, "members/org1.member.toml");
    let mut known = endpoints(&LIVE);
    let cases = [(SILENT, LIVE[0]), (REFUSED, LIVE[0]), (MIXED, LIVE[1])];
    for (serial, (dead, live)) in (1..).zip(cases) {
        let listed = endpoints(&[&dead[..], &[live]].concat());
        replace(&record, &known, &listed);
        replace(
            &record,
            &format!("serial = {serial} "),
            &format!("serial = {} ", serial + 1),
        );
        known = listed;

        scene.kill(DIALS).expect("it runs");
        eventually("the other end to notice", 10, || {
            !scene.is_up(DIALLED, DIALS)
        });
        scene.start(DIALS).expect("it starts");
        let later = later_than_another(&scene);
        println!("{live} behind {dead:?}: {later:.1?} later");
        assert!(later < CONTRACT, "{dead:?}: {later:?}");
    }
    scene.close();
}

fn endpoints(endpoints: &[&str]) -> String {
    format!("endpoints = [\"{}\"]", endpoints.join("\", \""))
}

/// How much later than its tunnel to gw.org2 the one to the dialled gateway is up.
fn later_than_another(scene: &Scene) -> Duration {
    let mut other = None;
    let mut ours = None;
    eventually("both tunnels", 40, || {
        let Ok(status) = status::ask(scene, DIALS) else {
            return false;
        };
        let is_up = |peer: &str| {
            let mut tunnels = status["tunnels"].as_array().into_iter().flatten();
            tunnels.any(|tunnel| tunnel["peer"] == peer && tunnel["state"] == "up")
        };
        if is_up("gw.org2") {
            other.get_or_insert_with(Instant::now);
        }
        if is_up(DIALLED) {
            ours.get_or_insert_with(Instant::now);
        }
        other.is_some() && ours.is_some()
    });
    ours.zip(other)
        .map(|(ours, other)| ours.saturating_duration_since(other))
        .expect("both are up")
}

#[test]
fn a_tunnel_with_a_round_trip_of_three_seconds_comes_up_and_stays() {
    let mut scene = Scene::beside_others("far", RINGWAY);
    let mut emulator = Emulator::install(&scene, "org0", EMULATOR, 17);
    scene.kill(DIALS).expect("it runs");
    emulator.apply(&["both delay 1500ms"]);
    scene.start(DIALS).expect("it starts");
    eventually("a reply through the tunnel", 60, || {
        ping(&scene, "1").contains("1 received")
    });

    // Longer than a session without echoes lives.
    let since = [(DIALS, DIALLED), (DIALLED, DIALS)].map(|(at, to)| scene.up_since(at, to));
    let printed = ping(&scene, "10");
    assert!(printed.contains("10 received"), "{printed}");
    let after = [(DIALS, DIALLED), (DIALLED, DIALS)].map(|(at, to)| scene.up_since(at, to));
    assert_eq!(since, after, "the tunnel was lost");

    let tunnel = scene
        .tunnel(DIALS, DIALLED)
        .expect("the peer is configured");
    let rtt = tunnel["rtt_us"].as_u64().unwrap_or(0);
    assert!(rtt >= 3_000_000, "the emulator delays nothing: {tunnel}");
    drop(emulator);
    scene.close();
}

/// The output of so many pings through the tunnel, each with time for two long round trips.
fn ping(scene: &Scene, count: &str) -> String {
    let arguments = ["-n", "-c", count, "-i", "1", "-W", "8", "10.10.1.11"];
    scene.output_of_any_exit("orderer0.org0", "ping", &arguments)
}
