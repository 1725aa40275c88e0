//! A gateway whose address changes at a NAT, and packets with a forged source address. Data goes
//! only to an address from which a challenge was answered.
//!
//! The link emulator is installed between gw.org0 and the WAN. It translates gw.org0's address, or
//! forges the source of its packets.

use std::time::Duration;

use ringway_lab::ping::{Family, Outcome};
use ringway_lab::status;
use ringway_tests::scene::eventually;
use ringway_tests::{Capture, Emulator, Flow, Scene};

use crate::{EMULATOR, RINGWAY};

/// Limit for traffic to go on after an address has changed.
const CONTRACT: Duration = Duration::from_secs(2);

/// The first and the second external address of gw.org0 when it is translated.
const EXTERNAL: &str = "198.51.100.1";
const OTHER_EXTERNAL: &str = "198.51.100.2";

/// An address that no machine has.
const FORGED: &str = "198.51.100.66";

/// The address of gw.org1.
const PEER: &str = "203.0.113.6";

/// Filters on the first byte of the data plane's header: data, and probes with their echoes.
const DATA: &str = "udp[8] = 1";
const PROBE: &str = "udp[8] = 2";

#[test]
fn data_follows_a_gateway_that_has_answered_a_challenge() {
    let mut scene = Scene::new("moving", RINGWAY);
    let mut emulator = Emulator::install(&scene, "org0", EMULATOR, 11);
    translate_before_the_first_dial(&mut scene, &mut emulator);
    let since = scene.up_since("gw.org1", "gw.org0");
    let flow = Flow::start(&scene, "peer0.org1", "orderer0.org0");

    assert_traffic_follows(&scene, &flow, EXTERNAL, || emulator.apply(&["rebind"]));
    assert_traffic_follows(&scene, &flow, OTHER_EXTERNAL, || {
        emulator.apply(&[&format!("nat {OTHER_EXTERNAL} 2001:db8:64::2")]);
    });
    assert_two_moves_at_once_are_followed(&scene, &flow, &mut emulator);

    assert_eq!(
        scene.up_since("gw.org1", "gw.org0"),
        since,
        "the tunnel was down"
    );
    println!("{} pings were lost in four moves", flow.stop().lost);
    drop(emulator);
    scene.close();
}

/// Starts gw.org0 again behind the translation. It has to dial then, because the translation lets
/// nothing in that was not asked for.
fn translate_before_the_first_dial(scene: &mut Scene, emulator: &mut Emulator) {
    scene.kill("gw.org0").expect("gw.org0 runs");
    emulator.apply(&[&format!("nat {EXTERNAL} 2001:db8:64::1")]);
    scene.start("gw.org0").expect("gw.org0 starts");

    for gateway in ["gw.org0", "gw.org1"] {
        status::wait_for_tunnels(scene, gateway, Duration::from_secs(15))
            .expect("gw.org0 dials out");
    }
}

/// `change` gives gw.org0 another external port, or the external address `external`. The flow goes
/// on, and gw.org1 sends data there only after a challenge and its echo.
fn assert_traffic_follows(scene: &Scene, flow: &Flow, external: &str, change: impl FnOnce()) {
    let capture = Capture::headers(scene, "wan", "org1");
    change();
    for (from, to) in [
        ("peer0.org1", "10.10.0.11"),
        ("orderer0.org0", "10.10.1.11"),
    ] {
        scene.ping_until(from, to, Family::V4, &Outcome::Reply, CONTRACT);
    }
    let replies = flow.replies();
    eventually("the flow to go on", 10, || flow.replies() > replies);
    let capture = capture.stop();

    let inbound = format!("src host {external} and dst host {PEER} and udp");
    let port = newest_port(&capture.matching(&inbound), external);
    let to_peer = format!("src host {external} and src port {port} and dst host {PEER}");
    let from_peer = format!("src host {PEER} and dst host {external} and dst port {port}");
    let first = |filter: String| {
        capture
            .first(&filter)
            .unwrap_or_else(|| panic!("no packet matches {filter}"))
    };
    let challenge = first(format!("{from_peer} and {PROBE}"));
    let echo = first(format!("{to_peer} and {PROBE}"));
    let data = first(format!("{from_peer} and {DATA}"));
    assert!(
        challenge < data && echo < data,
        "challenge {challenge}, echo {echo}, data {data}"
    );
}

/// The address changes again as soon as the first change is noticed.
fn assert_two_moves_at_once_are_followed(scene: &Scene, flow: &Flow, emulator: &mut Emulator) {
    let noticed = || scene.logged("gw.org1").matches("Peer has moved").count();
    for _ in 1..=2 {
        let before = noticed();
        emulator.apply(&["rebind"]);
        eventually("gw.org1 to notice", 10, || noticed() > before);
    }

    let replies = flow.replies();
    eventually("the flow to go on", 10, || flow.replies() > replies);
}

/// The highest source port of `external` in the lines of tcpdump, which write it as `address.port`.
/// The emulator gives out ports in ascending order.
fn newest_port(lines: &[String], external: &str) -> u16 {
    let source = format!("IP {external}.");
    lines
        .iter()
        .filter_map(|line| line.split_once(&source)?.1.split(' ').next()?.parse().ok())
        .max()
        .unwrap_or_else(|| panic!("nothing came from {external}: {lines:#?}"))
}

#[test]
fn a_forged_source_gets_challenges_and_no_data() {
    let scene = Scene::new("forged", RINGWAY);
    let mut emulator = Emulator::install(&scene, "org0", EMULATOR, 13);
    // Without an ICMP error, gw.org1 does not learn that the address does not exist.
    scene.output("wan", "ip", &["route", "add", "blackhole", FORGED]);
    let since = scene.up_since("gw.org1", "gw.org0");
    let capture = Capture::headers(&scene, "wan", "org1");
    let flow = Flow::start(&scene, "peer0.org1", "orderer0.org0");

    emulator.apply(&[&format!("out forge 20% {FORGED}")]);
    let replies = flow.replies();
    eventually("a hundred pings", 15, || flow.replies() > replies + 100);
    let capture = capture.stop();
    let tally = flow.stop();

    let forged_data = format!("src host {FORGED} and {DATA}");
    assert!(capture.first(&forged_data).is_some(), "nothing was forged");
    let challenge = format!("dst host {FORGED} and {PROBE}");
    assert!(capture.first(&challenge).is_some(), "no challenge was sent");

    // QUIC's own path validation (RFC 9000, 8.2) may send there too; the tunnel's packets may not.
    let data = format!("dst host {FORGED} and {DATA}");
    assert_eq!(capture.matching(&data), [""; 0]);
    assert_eq!(tally.lost, 0, "forged packets disturb the flow: {tally:?}");
    assert_eq!(scene.up_since("gw.org1", "gw.org0"), since);
    drop(emulator);
    scene.close();
}
