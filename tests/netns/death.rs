//! A gateway is killed under traffic: hosts get errors at once, nothing leaks, and the tunnels come
//! back.
//!
//! The WAN forwards private addresses here, so that a leaked packet would arrive.

use std::time::{Duration, Instant};

use ringway_lab::ping::{Family, Outcome};
use ringway_tests::scene::eventually;
use ringway_tests::{Background, Capture, Flow, Scene};

use crate::{PRIVATE, RINGWAY};

/// Limit for a dead peer's routes to become unreachable, and for its session to come back.
const CONTRACT: Duration = Duration::from_secs(2);

#[test]
fn a_killed_gateway_leaks_nothing_is_unreachable_at_once_and_comes_back() {
    let mut scene = Scene::without_wan_filter("death", RINGWAY);
    let _server = Background::server(&scene, "peer0.org1", 5201, "iperf3", &["-s"]);
    let outside = Capture::headers(&scene, "wan", "any");
    let stream = start_stream(&scene);
    let bystander = Flow::start(&scene, "orderer0.org0", "peer0.org2");
    let inbound = Flow::start(&scene, "peer0.org2", "peer0.org1");
    let outbound = Flow::start(&scene, "peer1.org1", "peer1.org2");

    scene.kill("gw.org1").expect("gw.org1 runs");
    assert_unreachable_on_both_sides(&scene, Instant::now());

    let inbound_before = inbound.replies();
    let outbound_before = outbound.replies();
    scene.start("gw.org1").expect("gw.org1 starts");
    for (from, family, to) in [
        ("peer0.org2", Family::V4, "10.10.1.11"),
        ("peer0.org1", Family::V6, "fd00:10:2::11"),
        ("peer0.org1", Family::V4, "10.10.0.11"),
    ] {
        scene.ping_until(from, to, family, &Outcome::Reply, CONTRACT);
    }
    eventually("the flows to go on", 5, || {
        inbound.replies() > inbound_before && outbound.replies() > outbound_before
    });

    drop(stream);
    bystander.assert_none_lost("the tunnel between the others");
    assert_eq!(outside.stop().matching(PRIVATE), [""; 0]);
    scene.assert_no_leaks();
    scene.close();
}

/// A TCP stream through gw.org1, at 20 Mbit/s.
fn start_stream(scene: &Scene) -> Background {
    let arguments = ["-c", "peer0.org1", "-t", "60", "-b", "20M", "--forceflush"];
    let stream = Background::start(scene, "peer1.org2", "stream", "iperf3", &arguments);
    stream.wait_for("connected to");
    stream
}

fn assert_unreachable_on_both_sides(scene: &Scene, killed: Instant) {
    // Behind the dead gateway, the routes that the kernel still has say so at once.
    for (family, to) in [(Family::V4, "10.10.2.11"), (Family::V6, "fd00:10:2::11")] {
        let outcome = scene.ping("peer0.org1", to, family);
        assert_eq!(outcome, Outcome::Unreachable, "{to}");
    }

    // The other gateways have to notice first.
    for (family, to) in [(Family::V4, "10.10.1.11"), (Family::V6, "fd00:10:1::11")] {
        scene.ping_until("peer0.org2", to, family, &Outcome::Unreachable, CONTRACT);
    }
    let noticed = killed.elapsed();
    println!("noticed after {noticed:.1?}");
    assert!(
        noticed < CONTRACT + Duration::from_millis(500),
        "noticed after {noticed:?}"
    );
}
