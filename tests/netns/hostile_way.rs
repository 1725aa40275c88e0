//! A WAN that repeats, reorders and damages packets: nothing is delivered twice, and nothing damaged. One that loses
//! many is no black hole.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`), with the link emulator between gw.org0
//! and the WAN.

use std::net::SocketAddr;

use ringway_tests::scene::{append, eventually};
use ringway_tests::{Emulator, Flow, Scene, Sequence, sequence};
use serde_json::Value;

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");
const EMULATOR: &str = env!("CARGO_BIN_EXE_ringway-emulator");

const SENT: u32 = 3000;
const PER_SECOND: u32 = 1500;

#[test]
fn what_the_way_repeats_or_damages_is_delivered_once_or_never() {
    let scene = Scene::new("hostile", RINGWAY);
    let mut emulator = Emulator::before(&scene, "org0", EMULATOR, 7);
    for gateway in ["gw.org0", "gw.org1"] {
        let policy = "\n[[policy.allow]]\nfrom = \"all\"\nproto = \"udp\"\nports = 7100\n";
        let to = if gateway == "gw.org0" {
            "10.10.0.0/24\", \"fd00:10::/64"
        } else {
            "10.10.1.0/24\", \"fd00:10:1::/64"
        };
        append(
            &scene.config(gateway),
            &format!("{policy}to = [\"{to}\"]\n"),
        );
        scene.reload(gateway);
    }
    let (there, back) = (
        ("orderer0.org0", "peer0.org1", "gw.org1"),
        ("peer0.org1", "orderer0.org0", "gw.org0"),
    );
    nothing_is_changed_by_a_good_way(&scene, there, "10.10.1.11:7100");
    emulator.tell(&[
        "both duplicate 20% 40ms",
        "both reorder 10% 5ms",
        "both corrupt 3%",
    ]);
    repeats_and_damage_stop_at_the_gateway(&scene, there, "10.10.1.11:7100");
    repeats_and_damage_stop_at_the_gateway(&scene, back, "[fd00:10::11]:7100");
    let counts = emulator.counts();
    for direction in ["out", "back"] {
        let count = |what: &str| counts[direction][what].as_u64().expect("a count");
        assert!(
            count("duplicated") > 400 && count("reordered") > 200 && count("corrupted") > 50,
            "{counts}"
        );
        assert_eq!(count("overflow"), 0, "{counts}");
    }
    drop(emulator);
    scene.close();
}

#[test]
fn fifteen_percent_loss_ends_no_session_and_shrinks_no_path() {
    let scene = Scene::new("lossy", RINGWAY);
    let mut emulator = Emulator::before(&scene, "org0", EMULATOR, 17);
    let path = || {
        let tunnel = scene.tunnel("gw.org1", "gw.org0").expect("a tunnel");
        (tunnel["path_mtu"].clone(), tunnel["since"].clone())
    };
    eventually("the whole path", 10, || path().0 == 1500);
    let before = path();
    emulator.tell(&["both loss 15%"]);
    let flow = Flow::start(&scene, "peer0.org1", "orderer0.org0");
    let mut seen = vec![before.clone()];
    eventually("two hundred replies", 40, || {
        seen.push(path());
        flow.replies() > 200
    });
    seen.dedup();
    assert_eq!(seen, [before]);
    let tally = flow.stop();
    assert!(tally.lost > 20, "the way loses: {tally:?}");
    drop(emulator);
    scene.close();
}

/// The positive control: on a good way all arrives, so that what is missing later is the way's doing.
fn nothing_is_changed_by_a_good_way(
    scene: &Scene,
    (from, to, _): (&str, &str, &str),
    socket: &str,
) {
    let socket: SocketAddr = socket.parse().expect("an address");
    eventually("the policy to let datagrams through", 15, || {
        let receiver = Sequence::expect_at(scene, to);
        sequence::send(scene, from, socket, 1, 1);
        receiver.stop().arrived == 1
    });
    let receiver = Sequence::expect_at(scene, to);
    sequence::send(scene, from, socket, 300, PER_SECOND);
    let expected = sequence::Tally {
        arrived: 300,
        ..sequence::Tally::default()
    };
    assert_eq!(receiver.stop(), expected);
}

fn repeats_and_damage_stop_at_the_gateway(
    scene: &Scene,
    (from, to, gateway): (&str, &str, &str),
    socket: &str,
) {
    let before = drops(scene, gateway);
    let receiver = Sequence::expect_at(scene, to);
    sequence::send(
        scene,
        from,
        socket.parse().expect("an address"),
        SENT,
        PER_SECOND,
    );
    let tally = receiver.stop();
    let after = drops(scene, gateway);
    println!("{from} → {to}: {tally:?}");
    assert_eq!((tally.repeated, tally.damaged), (0, 0), "{tally:?}");
    assert!(
        tally.arrived > SENT as usize * 9 / 10,
        "damage loses three in a hundred: {tally:?}"
    );
    assert!(
        tally.overtaken > 100,
        "the way reorders, and the tunnel holds nothing back: {tally:?}"
    );
    for reason in ["replay", "auth"] {
        assert!(
            after(reason) > before(reason) + 20,
            "{gateway} has dropped no more by {reason}"
        );
    }
}

/// What `gateway` has dropped on all tunnels, by reason.
fn drops(scene: &Scene, gateway: &str) -> impl Fn(&str) -> u64 + use<> {
    let status = scene.status(gateway);
    move |reason| {
        let tunnels = status["tunnels"].as_array().into_iter().flatten();
        tunnels
            .filter_map(|tunnel: &Value| tunnel["drops"][reason].as_u64())
            .sum()
    }
}
