//! An organization's zone at every gateway: changes reach all copies at once, copies are served
//! without their owner, and the owner is right about its names whatever it had before.

use std::fs;
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
fn names_stay_correct_after_a_restored_snapshot_and_with_a_wrong_clock() {
    let mut scene = Scene::new("restored", RINGWAY);
    append(&scene.config("gw.org1"), &record("early", "10.10.1.91"));
    scene.reload("gw.org1");
    wait_until_answered(&scene, "early", "10.10.1.91", &ASKERS);
    let snapshot = fs::read_to_string(scene.config("gw.org1")).expect("it is readable");

    // Serials from a clock that is years ahead.
    scene.kill("gw.org1").expect("gw.org1 runs");
    set_serial(&scene, seconds_since_1970() + 1_000_000_000);
    append(&scene.config("gw.org1"), &record("late", "10.10.1.93"));
    scene.start("gw.org1").expect("gw.org1 starts");
    wait_until_answered(&scene, "late", "10.10.1.93", &ASKERS);

    // Everything of that gateway is as it was before.
    scene.kill("gw.org1").expect("gw.org1 runs");
    set_serial(&scene, 7);
    fs::write(scene.config("gw.org1"), snapshot).expect("it is writable");
    scene.start("gw.org1").expect("gw.org1 starts");
    for asker in ASKERS {
        eventually("the name to be gone", 20, || {
            status(&scene, asker, "late") == "NXDOMAIN"
        });
    }
    wait_until_answered(&scene, "early", "10.10.1.91", &ASKERS);
    for gateway in HOLDERS {
        assert_eq!(zone(&scene, gateway)["refused"], Value::Null, "{gateway}");
    }
    scene.close();
}

#[test]
fn names_of_no_organization_do_not_exist_and_foreign_addresses_are_not_answered() {
    let scene = Scene::new("closed", RINGWAY);
    for name in ["www.consortium.example", "peer0.org9.consortium.example"] {
        for asker in ASKERS {
            let unknown = scene.output(asker.host, "dig", &[asker.server, name]);
            assert!(unknown.contains("status: NXDOMAIN"), "{unknown}");
        }
    }

    let config = scene.config("gw.org1");
    let dns = fs::read_to_string(&config).expect("it is readable");
    fs::write(
        &config,
        dns.replacen("[dns]\n", "[dns]\nforeign-addresses = true\n", 1),
    )
    .expect("it is writable");
    append(&config, &record("metadata", "169.254.169.254"));
    append(&config, &record("good", "10.10.1.94"));
    scene.reload("gw.org1");
    wait_until_answered(&scene, "good", "10.10.1.94", &ASKERS);
    for asker in COPY_ASKERS {
        assert_eq!(status(&scene, asker, "metadata"), "NXDOMAIN");
    }
    eventually("the owner to learn it", 10, || {
        let refused_by = zone(&scene, "gw.org1")["refused_by"].to_string();
        HOLDERS
            .iter()
            .all(|holder| refused_by.contains(&format!("{holder}: not answered: metadata.")))
    });
    scene.close();
}

/// Gives gw.org1 another last serial.
fn set_serial(scene: &Scene, serial: u64) {
    let path = scene.beside("gw.org1", "state/serial");
    let line = fs::read_to_string(&path).expect("it is readable");
    let (_, digest) = line.split_once(' ').expect("serial and digest");
    fs::write(&path, format!("{} {digest}", serial as u32)).expect("it is writable");
}

/// The response code of a question for a host of org1; nothing if the gateway does not answer.
fn status(scene: &Scene, asker: Asker, host: &str) -> String {
    let name = format!("{host}.{APEX}");
    let dig = ["+tries=1", "+timeout=2", asker.server, &name];
    let output = scene.output_of_any_exit(asker.host, "dig", &dig);
    let status = output.split("status: ").nth(1);
    let code = status.and_then(|rest| rest.split(',').next());
    code.unwrap_or_default().to_owned()
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
