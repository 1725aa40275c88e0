//! Gateways of one, two and three lanes in one consortium: all lanes that a pair has in common carry packets, both
//! families pass, a flow stays in order, and a TUN device that was taken away comes back with all its queues.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`).

use std::net::SocketAddr;
use std::time::Duration;

use ringway_lab::ping::{self, Family, Outcome};
use ringway_lab::status;
use ringway_tests::scene::{append, eventually, replace};
use ringway_tests::sequence::{self, PORT, Sequence};
use ringway_tests::{Capture, Scene};

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");

/// gw.org0 has one.
const LANES: [(&str, u32); 2] = [("gw.org1", 3), ("gw.org2", 2)];

/// What the flows below need: a number of the organization is to be filled in.
const POLICY: &str = r#"
[[policy.allow]]
from = "all"
to = "10.10.N.0/24"
proto = "udp"
ports = 7100

[[policy.allow]]
from = "all"
to = "10.10.N.0/24"
proto = "tcp"
ports = "7200-7263"
"#;

/// Nobody listens: each is refused, a flow of its own: enough that no lane is left out by chance.
const CONNECTIONS: &str =
    "for port in {7200..7263}; do (exec 3<>/dev/tcp/10.10.2.11/$port) 2>/dev/null; done; true";

#[test]
fn gateways_of_different_numbers_of_lanes_use_what_they_have_in_common() {
    let mut scene = Scene::new("lanes", RINGWAY);
    for (gateway, lanes) in LANES {
        append(
            &scene.config(gateway),
            &POLICY.replace('N', &gateway["gw.org".len()..]),
        );
        replace(
            &scene.config(gateway),
            "[tun]\n",
            &format!("[tun]\nlanes = {lanes}\n"),
        );
        scene.reload(gateway);
        eventually("the reload to be refused", 10, || {
            scene
                .logged(gateway)
                .contains("tun.lanes cannot change at a reload")
        });
        scene.kill(gateway).expect("it runs");
        scene.start(gateway).expect("it starts");
    }
    for gateway in ["gw.org0", "gw.org1", "gw.org2"] {
        status::wait_for_tunnels(&scene, gateway, Duration::from_secs(15))
            .expect("they meet again");
    }
    eventually("every pair to be reachable", 10, || {
        Family::BOTH.iter().all(|family| {
            ping::all_pairs(&scene, *family)
                .expect("ping runs")
                .failed
                .is_empty()
        })
    });
    carries_in_all_common_lanes(&scene);
    keeps_a_flow_in_order(&scene);

    scene.output("gw.org1", "ip", &["link", "delete", "ringway0"]);
    ping::until(
        &scene,
        "peer0.org2",
        "10.10.1.11",
        Family::V4,
        &Outcome::Reply,
        Duration::from_secs(2),
    )
    .unwrap_or_else(|error| panic!("{error:#}"));
    carries_in_all_common_lanes(&scene);
    scene.close();
}

/// The index of a data packet (bytes 4 to 7 of its header) tells the lane of its receiver.
fn carries_in_all_common_lanes(scene: &Scene) {
    let capture = Capture::headers(scene, "wan", "org1");
    scene.output("peer0.org1", "bash", &["-c", CONNECTIONS]);
    let capture = capture.stop();
    let used = |filter: &str| {
        !capture
            .matching(&format!("udp[8] = 1 and {filter}"))
            .is_empty()
    };
    let (org1, org2) = ("203.0.113.6", "203.0.113.10");
    for lane in 0..2 {
        assert!(
            used(&format!("dst host {org2} and udp[12:4] % 2 = {lane}")),
            "lane {lane} of gw.org2"
        );
        assert!(
            used(&format!("dst host {org1} and udp[12:4] % 3 = {lane}")),
            "lane {lane} of gw.org1"
        );
    }
    assert!(
        !used(&format!("dst host {org1} and udp[12:4] % 3 = 2")),
        "gw.org2 has no third lane to seal for"
    );
}

fn keeps_a_flow_in_order(scene: &Scene) {
    let to: SocketAddr = format!("10.10.1.11:{PORT}")
        .parse()
        .expect("an address and a port");
    let receiver = Sequence::expect_at(scene, "peer0.org1");
    sequence::send(scene, "peer0.org2", to, 2000, 4000);
    let tally = receiver.stop();
    assert!(
        tally.arrived > 1500 && tally.overtaken == 0 && tally.damaged == 0,
        "{tally:?}"
    );
}
