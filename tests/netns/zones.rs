//! An organization's zone at every gateway: changes reach all copies at once, copies are served
//! without their owner, and a zone that is refused changes nothing.

use std::time::UNIX_EPOCH;

use ringway_tests::Scene;
use ringway_tests::scene::{append, eventually, replace};
use serde_json::Value;

use crate::RINGWAY;

/// A host of each organization, and the argument of `dig` for its gateway.
#[derive(Clone, Copy)]
struct Asker {
    host: &'static str,
    server: &'static str,
}

/// In the order of the organizations.
const ASKERS: [Asker; 3] = [
    Asker {
        host: "orderer0.org0",
        server: "@10.10.0.1",
    },
    Asker {
        host: "peer0.org1",
        server: "@10.10.1.1",
    },
    Asker {
        host: "peer0.org2",
        server: "@10.10.2.1",
    },
];
/// The askers behind gateways that hold a copy of org1's zone.
const COPY_ASKERS: [Asker; 2] = [ASKERS[0], ASKERS[2]];
/// The gateways that hold a copy of org1's zone.
const HOLDERS: [&str; 2] = ["gw.org0", "gw.org2"];
const APEX: &str = "org1.consortium.example";

#[test]
fn a_change_of_a_zone_is_visible_at_every_gateway() {
    let scene = Scene::new("zones", RINGWAY);
    append(&scene.config("gw.org1"), &record("early", "10.10.1.91"));
    scene.reload("gw.org1");
    wait_until_answered(&scene, "early", "10.10.1.91", &ASKERS);

    replace(&scene.config("gw.org1"), "10.10.1.91", "10.10.1.92");
    append(&scene.config("gw.org1"), &record("late", "10.10.1.93"));
    scene.reload("gw.org1");
    wait_until_answered(&scene, "early", "10.10.1.92", &ASKERS);
    wait_until_answered(&scene, "late", "10.10.1.93", &ASKERS);
    scene.close();
}

#[test]
fn copies_are_served_without_the_owner_also_after_a_restart() {
    let mut scene = Scene::new("copies", RINGWAY);
    append(&scene.config("gw.org1"), &record("late", "10.10.1.93"));
    scene.reload("gw.org1");
    wait_until_answered(&scene, "late", "10.10.1.93", &ASKERS);

    scene.kill("gw.org1").expect("gw.org1 runs");
    for asker in COPY_ASKERS {
        assert_eq!(resolve(&scene, asker, "late"), "10.10.1.93");
    }

    for gateway in HOLDERS {
        scene.kill(gateway).expect("the gateway runs");
    }
    for gateway in HOLDERS {
        scene.start(gateway).expect("the gateway starts");
    }
    wait_until_answered(&scene, "late", "10.10.1.93", &COPY_ASKERS);
    for gateway in HOLDERS {
        let zone = zone(&scene, gateway);
        assert!(zone["serial"].is_u64(), "{gateway}: {zone}");
        assert_eq!(zone["origin"], "replica", "{gateway}: {zone}");
        assert!(!scene.is_up(gateway, "gw.org1"), "the owner is away");
    }
    for asker in COPY_ASKERS {
        let name = format!("nobody.{APEX}");
        let unknown = scene.output(asker.host, "dig", &[asker.server, &name]);
        assert!(unknown.contains("status: NXDOMAIN"), "{unknown}");
    }

    scene.start("gw.org1").expect("gw.org1 starts");
    wait_until_answered(&scene, "late", "10.10.1.93", &ASKERS);
    scene.close();
}

#[test]
fn a_zone_with_an_old_serial_is_refused_until_its_serial_is_newer() {
    let mut scene = Scene::new("old-serial", RINGWAY);
    let before = zone(&scene, "gw.org0")["serial"].clone();
    forget_serials(&mut scene, &before);

    for gateway in HOLDERS {
        eventually("the refusal in the status", 10, || {
            !refusal(&scene, gateway).is_empty()
        });
        let reason = refusal(&scene, gateway);
        assert!(
            reason.starts_with(&format!("gw.org1: serial 7 is not newer than {before}")),
            "{reason}"
        );
        assert_eq!(zone(&scene, gateway)["serial"], before);

        let status = scene.ringway(gateway, &["status"]).output();
        let status = status.expect("the program under test starts").stdout;
        let text = String::from_utf8_lossy(&status);
        assert!(text.contains(&reason), "{text}");
    }
    for asker in COPY_ASKERS {
        assert_eq!(resolve(&scene, asker, "peer0"), "10.10.1.11");
    }

    // Serials follow the clock in seconds, so the next change after that has a newer one.
    eventually("the clock to pass the old serial", 10, || {
        Some(seconds_since_1970()) > before.as_u64()
    });
    append(&scene.config("gw.org1"), &record("newer", "10.10.1.94"));
    scene.reload("gw.org1");
    wait_until_answered(&scene, "newer", "10.10.1.94", &ASKERS);
    assert_eq!(zone(&scene, "gw.org0")["refused"], Value::Null);
    scene.close();
}

/// Restarts gw.org1 with an old serial in its state, as after a restored backup.
fn forget_serials(scene: &mut Scene, current: &Value) {
    scene.kill("gw.org1").expect("gw.org1 runs");
    let state = scene.beside("gw.org1", "state/serial");
    replace(&state, &format!("{current} "), "7 ");
    scene.start("gw.org1").expect("gw.org1 starts");
}

fn record(name: &str, address: &str) -> String {
    format!("\n[[dns.record]]\nname = \"{name}\"\ntype = \"A\"\ndata = \"{address}\"\n")
}

fn seconds_since_1970() -> u64 {
    let elapsed = UNIX_EPOCH.elapsed().expect("the clock is past 1970");
    elapsed.as_secs()
}

/// What `dig +short` prints for a host of org1; nothing if the gateway does not answer.
fn resolve(scene: &Scene, asker: Asker, host: &str) -> String {
    let name = format!("{host}.{APEX}");
    let dig = ["+short", "+tries=1", "+timeout=2", asker.server, &name];
    let output = scene
        .command(asker.host, "dig")
        .expect("a node of the laboratory")
        .args(dig)
        .output()
        .expect("dig runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn wait_until_answered(scene: &Scene, host: &str, address: &str, askers: &[Asker]) {
    for asker in askers {
        let what = format!("{address} for {host} at {}", asker.host);
        eventually(&what, 10, || resolve(scene, *asker, host) == address);
    }
}

/// org1's zone in the status of `gateway`.
fn zone(scene: &Scene, gateway: &str) -> Value {
    let status = scene.status(gateway);
    let zones = status["zones"].as_array().expect("the status has zones");
    zones
        .iter()
        .find(|zone| zone["apex"] == APEX)
        .expect("each member has a zone")
        .clone()
}

fn refusal(scene: &Scene, gateway: &str) -> String {
    let zone = zone(scene, gateway);
    zone["refused"].as_str().unwrap_or_default().to_owned()
}
