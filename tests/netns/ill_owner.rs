//! An owner that means ill, over real sessions: whatever it gives as its zone changes nothing at who holds a
//! copy, is said in the status, and disturbs nobody else.
//!
//! ```text
//!   gw.org1: the daemon killed, and in its place, ═══ gw.org0 ═══ gw.org2
//!            with its certificate, the ill owner      (watched)
//! ```
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`).

use std::time::Duration;

use nix::sys::signal::Signal;
use ringway_lab::ping::{self, Family, Outcome};
use ringway_tests::ill_owner::PROOF;
use ringway_tests::scene::eventually;
use ringway_tests::{Background, Scene};
use serde_json::Value;

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");
const ILL_OWNER: &str = env!("CARGO_BIN_EXE_ringway-ill-owner");

const APEX: &str = "org1.consortium.example";
const OTHERS: &str = "org2.consortium.example";

/// Seconds; a machine that is busy may lose a session, and a drip then begins anew.
const PATIENCE: u64 = 60;

/// What it does, and what the status says of it.
const ILLS: [(&str, &str); 7] = [
    (
        "another",
        "it offers org2.consortium.example, which is not its own",
    ),
    ("outside", "the bytes are not a zone of this format"),
    ("hash", "digest is not the one offered"),
    ("truncated", "does not fit a zone of"),
    ("million", "1000000 records; a zone may have at most 100000"),
    ("huge", "4294967295 octets offered"),
    // The last: it takes some 11 s to be given up.
    ("drip", "octets came in time"),
];

#[test]
fn whatever_an_owner_that_means_ill_gives_changes_nothing_and_the_status_says_so() {
    let scene = Scene::new("ill", RINGWAY);
    let before = [APEX, OTHERS].map(|apex| zone(&scene, apex)["serial"].clone());
    scene.kill("gw.org1").expect("it runs");
    for (what, said) in ILLS {
        let owner = start(&scene, what);
        eventually(&format!("{said:?} in the status"), PATIENCE, || {
            zone(&scene, APEX)["refused"]
                .as_str()
                .is_some_and(|text| text.contains(said))
        });
        assert_eq!(
            [APEX, OTHERS].map(|apex| zone(&scene, apex)["serial"].clone()),
            before,
            "{what}"
        );
        assert_eq!(ask(&scene, "peer0"), "10.10.1.11", "{what}");
        eventually("its session, which does not end for that", PATIENCE, || {
            scene.is_up("gw.org0", "gw.org1")
        });
        owner.stop(Signal::SIGKILL);
    }
    others_are_not_disturbed(&scene);

    // It is heard: what is not ill is taken from it.
    let _owner = start(&scene, "good");
    eventually("the owner's new host", PATIENCE, || {
        ask(&scene, "proof") == PROOF
    });
    assert_eq!(zone(&scene, APEX)["refused"], Value::Null);
    scene.close();
}

fn others_are_not_disturbed(scene: &Scene) {
    assert!(scene.is_up("gw.org0", "gw.org2"));
    ping::until(
        scene,
        "orderer0.org0",
        "peer0.org2",
        Family::V4,
        &Outcome::Reply,
        Duration::from_secs(5),
    )
    .expect("packets pass");
    let log = scene.logged("gw.org0");
    let down = |peer: &str| {
        log.lines()
            .any(|line| line.contains("Tunnel down") && line.contains(peer))
    };
    assert!(down("gw.org1") && !down("gw.org2"), "{log}");
}

fn start(scene: &Scene, what: &str) -> Background {
    let config = scene.config("gw.org1");
    let arguments = [
        config.to_str().expect("a path of the laboratory"),
        "gw.org0",
        what,
    ];
    Background::start(
        scene,
        "gw.org1",
        &format!("ill-{what}"),
        ILL_OWNER,
        &arguments,
    )
}

/// What `dig` gets of org1's names from gw.org0.
fn ask(scene: &Scene, name: &str) -> String {
    let question = [
        "+short",
        "+tries=2",
        "+timeout=5",
        "@10.10.0.1",
        &format!("{name}.{APEX}"),
    ];
    scene
        .output("orderer0.org0", "dig", &question)
        .trim()
        .to_owned()
}

/// What the status of gw.org0 says of `apex`.
fn zone(scene: &Scene, apex: &str) -> Value {
    let status = scene.status("gw.org0");
    let zones = status["zones"].as_array().expect("zones");
    zones
        .iter()
        .find(|zone| zone["apex"] == apex)
        .expect("a member's")
        .clone()
}
