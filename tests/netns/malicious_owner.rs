//! A malicious owner of a zone, over real sessions. Whatever it sends, the copies of its zone and
//! of others' zones stay as they are, the status reports the reason, and no other tunnel is
//! affected.
//!
//! ```text
//!   gw.org1: the daemon is killed, and ═══ gw.org0 ═══ gw.org2
//!            ringway-malicious-owner       (watched)
//!            uses its certificate
//! ```

use std::time::Duration;

use nix::sys::signal::Signal;
use ringway_lab::ping::{Family, Outcome};
use ringway_tests::malicious_owner::PROOF;
use ringway_tests::scene::eventually;
use ringway_tests::{Background, Scene};
use serde_json::Value;

use crate::{MALICIOUS_OWNER, RINGWAY};

/// The attacker's zone.
const APEX: &str = "org1.consortium.example";
/// A zone of another organization.
const FOREIGN: &str = "org2.consortium.example";

/// Limit in seconds. On a busy machine a session may be lost, and a slow transfer starts over.
const LIMIT: u64 = 60;

/// Each attack, and a part of what the status says about it.
const ATTACKS: [(&str, &str); 7] = [
    ("foreign-zone", "it offers org2.consortium.example"),
    ("outside-label", "the bytes are not a zone of this format"),
    ("wrong-digest", "digest is not the one offered"),
    ("truncated", "does not fit a zone of"),
    (
        "million-records",
        "1000000 records; a zone may have at most 100000",
    ),
    ("huge-offer", "4294967295 octets offered"),
    // Last, because it takes some 11 s until the transfer is given up.
    ("slow", "octets came in time"),
];

#[test]
fn no_attack_of_an_owner_changes_a_zone_and_the_status_reports_each() {
    let scene = Scene::new("malicious", RINGWAY);
    let before = serials(&scene);
    scene.kill("gw.org1").expect("gw.org1 runs");

    for (attack, reason) in ATTACKS {
        let owner = start(&scene, attack);
        eventually(&format!("{reason:?} in the status"), LIMIT, || {
            refusal(&scene).contains(reason)
        });
        assert_eq!(serials(&scene), before, "{attack}");
        assert_eq!(resolve(&scene, "peer0"), "10.10.1.11", "{attack}");
        eventually("the session to be up in spite of it", LIMIT, || {
            scene.is_up("gw.org0", "gw.org1")
        });
        owner.stop(Signal::SIGKILL);
    }

    assert_the_other_tunnel_was_not_affected(&scene);
    scene.close();
}

/// The control: the same program's valid zone is accepted.
#[test]
fn a_valid_zone_of_the_same_sender_is_accepted() {
    let scene = Scene::new("valid-zone", RINGWAY);
    scene.kill("gw.org1").expect("gw.org1 runs");

    let _owner = start(&scene, "none");
    eventually("the sender's new host", LIMIT, || {
        resolve(&scene, "proof") == PROOF
    });
    assert_eq!(zone(&scene, APEX)["refused"], Value::Null);
    scene.close();
}

fn assert_the_other_tunnel_was_not_affected(scene: &Scene) {
    assert!(scene.is_up("gw.org0", "gw.org2"));
    scene.ping_until(
        "orderer0.org0",
        "peer0.org2",
        Family::V4,
        &Outcome::Reply,
        Duration::from_secs(5),
    );

    let log = scene.logged("gw.org0");
    let was_down = |peer: &str| {
        log.lines()
            .any(|line| line.contains("Tunnel down") && line.contains(peer))
    };
    assert!(was_down("gw.org1"), "{log}");
    assert!(!was_down("gw.org2"), "{log}");
}

fn start(scene: &Scene, attack: &str) -> Background {
    let config = scene.config("gw.org1");
    let config = config.to_str().expect("the path is UTF-8");
    let label = format!("owner-{attack}");
    let arguments = [config, "gw.org0", attack];
    Background::start(scene, "gw.org1", &label, MALICIOUS_OWNER, &arguments)
}

/// The address that gw.org0 answers for a host of the attacker's zone.
fn resolve(scene: &Scene, host: &str) -> String {
    let name = format!("{host}.{APEX}");
    let dig = ["+short", "+tries=2", "+timeout=5", "@10.10.0.1", &name];
    scene.output("orderer0.org0", "dig", &dig).trim().to_owned()
}

/// The zone `apex` in the status of gw.org0.
fn zone(scene: &Scene, apex: &str) -> Value {
    let status = scene.status("gw.org0");
    let zones = status["zones"].as_array().expect("the status has zones");
    zones
        .iter()
        .find(|zone| zone["apex"] == apex)
        .expect("each member has a zone")
        .clone()
}

fn serials(scene: &Scene) -> [Value; 2] {
    [APEX, FOREIGN].map(|apex| zone(scene, apex)["serial"].clone())
}

fn refusal(scene: &Scene) -> String {
    let zone = zone(scene, APEX);
    zone["refused"].as_str().unwrap_or_default().to_owned()
}
