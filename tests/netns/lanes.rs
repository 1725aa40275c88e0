//! Gateways with one, two and three lanes in one consortium: each pair uses all lanes that both
//! have, and a flow stays in order.

use std::net::SocketAddr;
use std::time::Duration;

use ringway_lab::ping::{Family, Outcome};
use ringway_lab::status;
use ringway_tests::scene::{append, eventually, replace};
use ringway_tests::sequence::{self, PORT, Sequence};
use ringway_tests::{Capture, Scene};

use crate::RINGWAY;

/// Gateways with more than one lane; gw.org0 has one.
const LANES: [(&str, u32); 2] = [("gw.org1", 3), ("gw.org2", 2)];

/// What the flows below need; N stands for the number of the organization.
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

/// Connects to 64 ports on which nothing listens. Each attempt is a flow, so many that no lane is
/// left out by chance.
const CONNECTIONS: &str = "for port in {7200..7263}; do \
                           (exec 3<>/dev/tcp/10.10.2.11/$port) 2>/dev/null; done; true";

#[test]
fn a_pair_of_gateways_uses_exactly_the_lanes_that_both_have() {
    let scene = scene_with_lanes("lanes");
    for family in Family::BOTH {
        scene.assert_all_reachable(family);
    }
    assert_common_lanes_are_used(&scene);
    scene.close();
}

#[test]
fn a_flow_stays_in_order_on_several_lanes() {
    let scene = scene_with_lanes("order");
    let to = SocketAddr::new([10, 10, 1, 11].into(), PORT);
    let receiver = Sequence::expect_at(&scene, "peer0.org1");
    sequence::send(&scene, "peer0.org2", to, 2000, 4000);

    let tally = receiver.stop();
    assert!(tally.arrived > 1500, "{tally:?}");
    assert_eq!(tally.overtaken, 0, "{tally:?}");
    assert_eq!(tally.damaged, 0, "{tally:?}");
    scene.close();
}

#[test]
fn a_re_created_tun_device_has_all_its_queues() {
    let scene = scene_with_lanes("queues");
    scene.output("gw.org1", "ip", &["link", "delete", "ringway0"]);
    scene.ping_until(
        "peer0.org2",
        "10.10.1.11",
        Family::V4,
        &Outcome::Reply,
        Duration::from_secs(2),
    );
    assert_common_lanes_are_used(&scene);
    scene.close();
}

#[test]
fn a_reload_refuses_another_number_of_lanes() {
    let scene = Scene::new("lanes-reload", RINGWAY);
    set_lanes(&scene, "gw.org1", 3);
    scene.reload("gw.org1");
    eventually("the reload to be refused", 10, || {
        scene
            .logged("gw.org1")
            .contains("tun.lanes cannot change at a reload")
    });
    scene.close();
}

/// A laboratory whose gateways have one, three and two lanes.
fn scene_with_lanes(test: &str) -> Scene {
    let mut scene = Scene::new(test, RINGWAY);
    for (gateway, lanes) in LANES {
        let number = gateway.trim_start_matches("gw.org");
        append(&scene.config(gateway), &POLICY.replace('N', number));
        set_lanes(&scene, gateway, lanes);
        scene.kill(gateway).expect("the gateway runs");
        scene.start(gateway).expect("the gateway starts");
    }

    for gateway in ["gw.org0", "gw.org1", "gw.org2"] {
        status::wait_for_tunnels(&scene, gateway, Duration::from_secs(15))
            .expect("the tunnels come back");
    }
    scene
        .wait_until_joined()
        .expect("the names come back with the tunnels");
    scene
}

fn set_lanes(scene: &Scene, gateway: &str, lanes: u32) {
    let with_lanes = format!("[tun]\nlanes = {lanes}\n");
    replace(&scene.config(gateway), "[tun]\n", &with_lanes);
}

/// The session index of a data packet (bytes 4 to 7 of its header), modulo the number of lanes of
/// its receiver, is the lane.
fn assert_common_lanes_are_used(scene: &Scene) {
    let capture = Capture::headers(scene, "wan", "org1");
    scene.output("peer0.org1", "bash", &["-c", CONNECTIONS]);
    let capture = capture.stop();

    let is_used = |receiver: &str, lanes: u32, lane: u32| {
        let index = format!("udp[12:4] % {lanes} = {lane}");
        let filter = format!("udp[8] = 1 and dst host {receiver} and {index}");
        !capture.matching(&filter).is_empty()
    };
    for lane in [0, 1] {
        assert!(is_used("203.0.113.10", 2, lane), "lane {lane} of gw.org2");
        assert!(is_used("203.0.113.6", 3, lane), "lane {lane} of gw.org1");
    }
    assert!(
        !is_used("203.0.113.6", 3, 2),
        "gw.org2, with two lanes, uses the third of gw.org1"
    );
}
