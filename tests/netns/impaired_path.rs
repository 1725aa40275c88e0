//! A WAN that duplicates, reorders and damages packets: nothing is delivered twice, nothing damaged
//! is delivered. A WAN that loses many packets ends no session.
//!
//! The link emulator is installed between gw.org0 and the WAN.

use std::net::SocketAddr;

use ringway_tests::scene::{append, eventually};
use ringway_tests::{Emulator, Flow, Scene, Sequence, sequence};
use serde_json::Value;

use crate::{EMULATOR, RINGWAY};

/// Number of datagrams in one direction, and in a second.
const SENT: u32 = 3000;
const PER_SECOND: u32 = 1500;

/// Packets through the tunnel in one direction.
struct Direction {
    from: &'static str,
    to: &'static str,
    /// Address and port of `to`.
    socket: &'static str,
    /// The gateway that receives them.
    gateway: &'static str,
}

const TO_ORG1: Direction = Direction {
    from: "orderer0.org0",
    to: "peer0.org1",
    socket: "10.10.1.11:7100",
    gateway: "gw.org1",
};
const TO_ORG0: Direction = Direction {
    from: "peer0.org1",
    to: "orderer0.org0",
    socket: "[fd00:10::11]:7100",
    gateway: "gw.org0",
};

impl Direction {
    fn send(&self, scene: &Scene, count: u32) -> sequence::Tally {
        let socket: SocketAddr = self.socket.parse().expect("an address with a port");
        let receiver = Sequence::expect_at(scene, self.to);
        sequence::send(scene, self.from, socket, count, PER_SECOND);
        receiver.stop()
    }
}

#[test]
fn duplicated_and_damaged_packets_stop_at_the_gateway() {
    let scene = Scene::new("impaired", RINGWAY);
    let mut emulator = Emulator::install(&scene, "org0", EMULATOR, 7);
    allow_udp(&scene, "gw.org0", "[\"10.10.0.0/24\", \"fd00:10::/64\"]");
    allow_udp(&scene, "gw.org1", "[\"10.10.1.0/24\", \"fd00:10:1::/64\"]");
    for direction in [&TO_ORG1, &TO_ORG0] {
        eventually("the policy to let datagrams through", 15, || {
            direction.send(&scene, 1).arrived == 1
        });
    }

    // The control: what is missing later is the emulator's work.
    let unchanged = sequence::Tally {
        arrived: 300,
        ..sequence::Tally::default()
    };
    assert_eq!(TO_ORG1.send(&scene, 300), unchanged);

    emulator.apply(&[
        "both duplicate 20% 40ms",
        "both reorder 10% 5ms",
        "both corrupt 3%",
    ]);
    for direction in [&TO_ORG1, &TO_ORG0] {
        assert_only_true_packets_arrive_once(&scene, direction);
    }
    assert_emulator_was_busy(&emulator.counts());
    drop(emulator);
    scene.close();
}

fn allow_udp(scene: &Scene, gateway: &str, to: &str) {
    let rule =
        format!("\n[[policy.allow]]\nfrom = \"all\"\nproto = \"udp\"\nports = 7100\nto = {to}\n");
    append(&scene.config(gateway), &rule);
    scene.reload(gateway);
}

fn assert_only_true_packets_arrive_once(scene: &Scene, direction: &Direction) {
    let gateway = direction.gateway;
    let replays = scene.drops(gateway, "replay");
    let forgeries = scene.drops(gateway, "auth");

    let tally = direction.send(scene, SENT);
    println!("to {}: {tally:?}", direction.to);
    assert_eq!(tally.repeated, 0, "{tally:?}");
    assert_eq!(tally.damaged, 0, "{tally:?}");
    assert!(
        tally.arrived > SENT as usize * 9 / 10,
        "more was lost than the 3 % that were damaged: {tally:?}"
    );
    assert!(
        tally.overtaken > 100,
        "the tunnel delays packets to restore their order: {tally:?}"
    );
    assert!(scene.drops(gateway, "replay") > replays + 20);
    assert!(scene.drops(gateway, "auth") > forgeries + 20);
}

fn assert_emulator_was_busy(counts: &Value) {
    for direction in ["out", "back"] {
        let counts = &counts[direction];
        assert!(counts["duplicated"].as_u64() > Some(400), "{counts}");
        assert!(counts["reordered"].as_u64() > Some(200), "{counts}");
        assert!(counts["corrupted"].as_u64() > Some(50), "{counts}");
        assert_eq!(counts["overflow"], 0, "{counts}");
    }
}

#[test]
fn fifteen_percent_loss_ends_no_session_and_shrinks_no_path() {
    let scene = Scene::new("lossy", RINGWAY);
    let mut emulator = Emulator::install(&scene, "org0", EMULATOR, 17);
    let path = || {
        let tunnel = scene
            .tunnel("gw.org1", "gw.org0")
            .expect("there is a tunnel");
        [tunnel["path_mtu"].clone(), tunnel["since"].clone()]
    };
    eventually("the full path MTU", 10, || path()[0] == 1500);
    let before = path();

    emulator.apply(&["both loss 15%"]);
    let flow = Flow::start(&scene, "peer0.org1", "orderer0.org0");
    let mut seen = vec![before.clone()];
    eventually("two hundred replies", 40, || {
        seen.push(path());
        flow.replies() > 200
    });

    seen.dedup();
    assert_eq!(seen, [before]);
    let tally = flow.stop();
    assert!(tally.lost > 20, "the emulator lost too few: {tally:?}");
    drop(emulator);
    scene.close();
}
