//! A gateway's sudden death under traffic: fail fast, leak nothing, come back.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`), with a WAN that lets private
//! addresses through, so that a leak would arrive.

use std::time::{Duration, Instant};

use ringway_lab::ping::{self, Family, Outcome};
use ringway_lab::wan;
use ringway_tests::scene::eventually;
use ringway_tests::{Background, Capture, Flow, Scene};

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");

/// A dead peer's routes go unreachable, and its session is back, within this.
const CONTRACT: Duration = Duration::from_secs(2);
const PRIVATE: &str =
    "net 10.0.0.0/8 or net 172.16.0.0/12 or net 192.168.0.0/16 or ip6 net fc00::/7";

#[test]
fn a_killed_gateway_leaks_nothing_is_unreachable_at_once_and_comes_back() {
    let mut scene = Scene::without_wan_filter("death", RINGWAY);
    let _server = Background::server(&scene, "peer0.org1", 5201, "iperf3", &["-s"]);
    let outside = Capture::headers(&scene, "wan", "any");
    let tcp = Background::start(
        &scene,
        "peer1.org2",
        "bulk",
        "iperf3",
        &["-c", "peer0.org1", "-t", "60", "-b", "20M", "--forceflush"],
    );
    tcp.wait_for("connected to");
    let bystander = Flow::start(&scene, "orderer0.org0", "peer0.org2");
    let (into, out_of) = (
        Flow::start(&scene, "peer0.org2", "peer0.org1"),
        Flow::start(&scene, "peer1.org1", "peer1.org2"),
    );

    scene.kill("gw.org1").expect("it runs");
    let killed = Instant::now();
    // Behind the dead gateway the kernel alone answers, and it knows at once.
    for (family, to) in [(Family::V4, "10.10.2.11"), (Family::V6, "fd00:10:2::11")] {
        assert_eq!(
            ping::once(&scene, "peer0.org1", to, family).expect("ping runs"),
            Outcome::Unreachable,
            "{to}"
        );
    }
    // The others must notice first.
    for (family, to) in [(Family::V4, "10.10.1.11"), (Family::V6, "fd00:10:1::11")] {
        ping::until(
            &scene,
            "peer0.org2",
            to,
            family,
            &Outcome::Unreachable,
            CONTRACT,
        )
        .expect("ICMP says so");
    }
    let noticed = killed.elapsed();
    assert!(
        noticed < CONTRACT + Duration::from_millis(500),
        "noticed after {noticed:?}"
    );

    let (into_before, out_before) = (into.replies(), out_of.replies());
    scene.start("gw.org1").expect("it starts");
    let started = Instant::now();
    for (from, family, to) in [
        ("peer0.org2", Family::V4, "10.10.1.11"),
        ("peer0.org1", Family::V6, "fd00:10:2::11"),
        ("peer0.org1", Family::V4, "10.10.0.11"),
    ] {
        ping::until(&scene, from, to, family, &Outcome::Reply, CONTRACT).expect("it is back");
    }
    println!(
        "noticed after {noticed:.1?}, back after {:.1?}",
        started.elapsed()
    );
    eventually("the flows to go on", 5, || {
        into.replies() > into_before && out_of.replies() > out_before
    });

    drop(tcp);
    let bystander = bystander.stop();
    assert!(
        bystander.replies > 0 && bystander.lost == 0,
        "the others' tunnel: {bystander:?}"
    );
    assert_eq!(outside.stop().matching(PRIVATE), [""; 0]);
    assert_eq!(
        wan::leaks(scene.node("wan").expect("the WAN")).expect("counters"),
        wan::Leaks::default()
    );
    scene.close();
}
