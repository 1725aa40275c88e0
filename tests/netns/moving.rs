//! A gateway whose address changes on the way, and one that only seems to: data goes where a challenge was
//! answered, and nowhere else.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`), with the link emulator between gw.org0
//! and the WAN; it translates gw.org0's address, or forges the source of its packets.

use std::time::Duration;

use ringway_lab::ping::{self, Family, Outcome};
use ringway_lab::status;
use ringway_tests::scene::eventually;
use ringway_tests::{Capture, Emulator, Flow, Scene};
use serde_json::Value;

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");
const EMULATOR: &str = env!("CARGO_BIN_EXE_ringway-emulator");

/// Traffic goes on within this after an address has changed.
const CONTRACT: Duration = Duration::from_secs(2);
/// Where gw.org0 is seen when it is translated.
const OUTSIDE: &str = "198.51.100.1";
const ELSEWHERE: &str = "198.51.100.2";
const FORGED: &str = "198.51.100.66";
/// gw.org1's address.
const PEER: &str = "203.0.113.6";
/// The first byte of a data packet's header: an IP packet, a probe or echo.
const DATA: &str = "udp[8] = 1";
const PROBE: &str = "udp[8] = 2";

#[test]
fn data_follows_a_gateway_that_has_answered_our_challenge() {
    let mut scene = Scene::new("moving", RINGWAY);
    let mut emulator = Emulator::before(&scene, "org0", EMULATOR, 11);
    // A gateway behind a translator is the one that dials.
    scene.kill("gw.org0").expect("it runs");
    emulator.tell(&[&format!("nat {OUTSIDE} 2001:db8:64::1")]);
    scene.start("gw.org0").expect("it starts");
    for gateway in ["gw.org0", "gw.org1"] {
        status::wait_for_tunnels(&scene, gateway, Duration::from_secs(15)).expect("it dials out");
    }
    let session = since(&scene);
    let flow = Flow::start(&scene, "peer0.org1", "orderer0.org0");

    moves(&scene, &flow, OUTSIDE, || emulator.tell(&["rebind"]));
    moves(&scene, &flow, ELSEWHERE, || {
        emulator.tell(&[&format!("nat {ELSEWHERE} 2001:db8:64::2")])
    });
    moves_twice_at_once(&scene, &flow, || emulator.tell(&["rebind"]));
    assert_eq!(since(&scene), session, "the tunnel was never down");
    let tally = flow.stop();
    println!("{} pings were lost in four moves", tally.lost);
    drop(emulator);
    scene.close();
}

/// `change` gives gw.org0 another port, or the address `outside`: the flow goes on, and gw.org1 has sent a
/// challenge there before any data, and has heard from there in between.
fn moves(scene: &Scene, flow: &Flow, outside: &str, change: impl FnOnce()) {
    let capture = Capture::headers(scene, "wan", "org1");
    change();
    for (from, to) in [
        ("peer0.org1", "10.10.0.11"),
        ("orderer0.org0", "10.10.1.11"),
    ] {
        ping::until(scene, from, to, Family::V4, &Outcome::Reply, CONTRACT)
            .expect("traffic goes on");
    }
    let replies = flow.replies();
    eventually("the flow to go on", 10, || flow.replies() > replies);
    let capture = capture.stop();
    let port = newest_port(
        &capture.matching(&format!("src host {outside} and dst host {PEER} and udp")),
        outside,
    );
    let (out, back) = (
        format!("src host {PEER} and dst host {outside} and dst port {port}"),
        format!("src host {outside} and src port {port} and dst host {PEER}"),
    );
    let first = |filter: String| {
        capture
            .first(&filter)
            .unwrap_or_else(|| panic!("nothing: {filter}"))
    };
    let challenge = first(format!("{out} and {PROBE}"));
    let (echo, data) = (
        first(format!("{back} and {PROBE}")),
        first(format!("{out} and {DATA}")),
    );
    assert!(
        challenge < data && echo < data,
        "challenge {challenge}, echo {echo}, data {data}"
    );
}

/// gw.org0's address changes again in the moment in which the first change is known: each is found within a probe's
/// time.
fn moves_twice_at_once(scene: &Scene, flow: &Flow, mut change: impl FnMut()) {
    let moves = || scene.logged("gw.org1").matches("Peer has moved").count();
    for _ in 1..=2 {
        let before = moves();
        change();
        eventually("gw.org1 to notice", 10, || moves() > before);
    }
    let replies = flow.replies();
    eventually("the flow to go on", 10, || flow.replies() > replies);
}

/// The translator gives out ports in turn, and tcpdump's lines tell sources as `address.port`.
fn newest_port(lines: &[String], outside: &str) -> u16 {
    let source = format!("IP {outside}.");
    let ports = lines
        .iter()
        .filter_map(|line| line.split_once(&source)?.1.split(' ').next()?.parse().ok());
    ports
        .max()
        .unwrap_or_else(|| panic!("nothing came from {outside}: {lines:#?}"))
}

#[test]
fn a_forged_source_attracts_challenges_and_no_data() {
    let scene = Scene::new("forged", RINGWAY);
    let mut emulator = Emulator::before(&scene, "org0", EMULATOR, 13);
    // Nobody is there, and nobody says so.
    scene.output("wan", "ip", &["route", "add", "blackhole", FORGED]);
    let session = since(&scene);
    let capture = Capture::headers(&scene, "wan", "org1");
    let flow = Flow::start(&scene, "peer0.org1", "orderer0.org0");
    emulator.tell(&[&format!("out forge 20% {FORGED}")]);
    let replies = flow.replies();
    eventually("a hundred pings", 15, || flow.replies() > replies + 100);
    let capture = capture.stop();
    let tally = flow.stop();

    assert!(
        capture
            .first(&format!("src host {FORGED} and {DATA}"))
            .is_some(),
        "gw.org1 got forged packets"
    );
    assert!(
        capture
            .first(&format!("dst host {FORGED} and {PROBE}"))
            .is_some(),
        "it has asked who is there"
    );
    // QUIC asks in its own way (RFC 9000, 8.2); what counts is that no packet of the tunnel's goes there.
    assert_eq!(
        capture.matching(&format!("dst host {FORGED} and {DATA}")),
        [""; 0]
    );
    assert_eq!(
        tally.lost, 0,
        "a forged source does not even disturb: {tally:?}"
    );
    assert_eq!(since(&scene), session);
    drop(emulator);
    scene.close();
}

/// When the session between gw.org0 and gw.org1 came up.
fn since(scene: &Scene) -> Value {
    scene.tunnel("gw.org1", "gw.org0").expect("a tunnel")["since"].clone()
}
