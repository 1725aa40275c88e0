//! An organization's zone at every gateway: what changes is seen at once everywhere, what its owner gave is
//! served without it, and what it may not give changes nothing.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`). Names of org1 are asked for at
//! every gateway, by a host behind it.

use ringway_tests::Scene;
use ringway_tests::scene::{append, eventually, replace};
use serde_json::Value;
use std::time::UNIX_EPOCH;

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");

/// A host behind each gateway, and the gateway's address there.
const ASKERS: [(&str, &str); 3] = [
    ("orderer0.org0", "@10.10.0.1"),
    ("peer0.org1", "@10.10.1.1"),
    ("peer0.org2", "@10.10.2.1"),
];
/// Those of the organizations that hold copies of org1's zone.
const HOLDERS: [&str; 2] = ["gw.org0", "gw.org2"];
const APEX: &str = "org1.consortium.example";

#[test]
fn a_change_is_seen_everywhere_and_outlives_its_owner_and_restarts() {
    let mut scene = Scene::new("zones", RINGWAY);
    append(&scene.config("gw.org1"), &record("early", "10.10.1.91"));
    scene.reload("gw.org1");
    seen_by(&scene, "early", "10.10.1.91", &ASKERS);
    replace(&scene.config("gw.org1"), "10.10.1.91", "10.10.1.92");
    append(&scene.config("gw.org1"), &record("late", "10.10.1.93"));
    scene.reload("gw.org1");
    seen_by(&scene, "early", "10.10.1.92", &ASKERS);
    seen_by(&scene, "late", "10.10.1.93", &ASKERS);

    scene.kill("gw.org1").expect("it runs");
    let holders = [ASKERS[0], ASKERS[2]];
    assert_eq!(
        holders.map(|asker| ask(&scene, asker, "late")),
        ["10.10.1.93", "10.10.1.93"]
    );
    for gateway in HOLDERS {
        scene.kill(gateway).expect("it runs");
    }
    for gateway in HOLDERS {
        scene.start(gateway).expect("it starts");
    }
    seen_by(&scene, "early", "10.10.1.92", &holders);
    for gateway in HOLDERS {
        let zone = zone(&scene, gateway);
        assert!(
            zone["serial"].is_u64() && zone["origin"] == "replica",
            "{gateway}: {zone}"
        );
        assert!(
            !scene.is_up(gateway, "gw.org1"),
            "the owner is gone all the while"
        );
    }
    for (host, gateway) in holders {
        let unknown = scene.output(host, "dig", &[gateway, &format!("nobody.{APEX}")]);
        assert!(
            unknown.contains("status: NXDOMAIN"),
            "copies deny, too: {unknown}"
        );
    }
    scene.start("gw.org1").expect("it starts");
    seen_by(&scene, "late", "10.10.1.93", &ASKERS);
    scene.close();
}

#[test]
fn a_zone_that_is_refused_changes_nothing_and_the_status_says_why() {
    let mut scene = Scene::new("refused", RINGWAY);
    let before = zone(&scene, "gw.org0")["serial"].clone();
    let state = scene.beside("gw.org1", "state/serial");
    scene.kill("gw.org1").expect("it runs");
    // The owner forgets what it has given out: its next zone has an older serial.
    replace(&state, &format!("{before} "), "7 ");
    scene.start("gw.org1").expect("it starts");
    for gateway in HOLDERS {
        let said = || {
            zone(&scene, gateway)["refused"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        eventually("the refusal in the status", 10, || !said().is_empty());
        assert_eq!(
            said(),
            format!("gw.org1: serial 7 is not newer than {before}, which we have")
        );
        assert_eq!(zone(&scene, gateway)["serial"], before);
        let text = scene
            .ringway(gateway, &["status"])
            .output()
            .expect("it runs");
        assert!(
            String::from_utf8_lossy(&text.stdout).contains(&said()),
            "for people, too"
        );
    }
    let host = format!("peer0.{APEX}");
    for (asker, gateway) in [ASKERS[0], ASKERS[2]] {
        assert_eq!(
            scene
                .output(asker, "dig", &["+short", gateway, &host])
                .trim(),
            "10.10.1.11"
        );
    }
    // Serials follow the clock (seconds): from now on, a change outgrows what the owner forgot.
    eventually("the clock past the forgotten serial", 10, || {
        Some(now()) > before.as_u64()
    });
    append(&scene.config("gw.org1"), &record("mended", "10.10.1.94"));
    scene.reload("gw.org1");
    seen_by(&scene, "mended", "10.10.1.94", &ASKERS);
    assert_eq!(zone(&scene, "gw.org0")["refused"], Value::Null);
    scene.close();
}

fn record(name: &str, address: &str) -> String {
    format!("\n[[dns.record]]\nname = \"{name}\"\ntype = \"A\"\ndata = \"{address}\"\n")
}

/// The time, in seconds since 1970.
fn now() -> u64 {
    UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs()
}

/// What `dig` gets; while nobody listens, that is nothing.
fn ask(scene: &Scene, (host, gateway): (&str, &str), name: &str) -> String {
    let mut dig = scene
        .command(host, "dig")
        .expect("a node of the laboratory");
    dig.args([
        "+short",
        "+tries=1",
        "+timeout=2",
        gateway,
        &format!("{name}.{APEX}"),
    ]);
    let output = dig.output().expect("dig runs; install bind9-dnsutils");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn seen_by(scene: &Scene, name: &str, address: &str, askers: &[(&str, &str)]) {
    for asker in askers {
        let what = format!("{address} of {name} at {}", asker.0);
        eventually(&what, 10, || ask(scene, *asker, name) == address);
    }
}

/// What the status of `gateway` says of org1's zone.
fn zone(scene: &Scene, gateway: &str) -> Value {
    let status = scene.status(gateway);
    let zones = status["zones"].as_array().expect("zones");
    zones
        .iter()
        .find(|zone| zone["apex"] == APEX)
        .expect("org1's")
        .clone()
}
