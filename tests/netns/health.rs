//! Addresses that accept no connection are left out of their names at every gateway, and come back.

use ringway_tests::scene::{append, eventually};
use ringway_tests::{Background, Scene};

use crate::RINGWAY;

/// A service of org1 at two hosts.
const SERVICE: &str = r#"
[[dns.host]]
name = "service"
addresses = ["10.10.1.11", "10.10.1.12"]
check = "tcp:7051"
"#;
const NAME: &str = "service.org1.consortium.example";
/// Each with its own gateway's DNS server.
const ASKERS: [(&str, &str); 2] = [
    ("peer0.org1", "@10.10.1.1"),
    ("orderer0.org0", "@10.10.0.1"),
];

#[test]
fn addresses_at_which_nothing_listens_are_left_out_until_something_does() {
    let scene = Scene::new("health", RINGWAY);
    let first = listener(&scene, "peer0.org1");
    let second = listener(&scene, "peer1.org1");
    append(&scene.config("gw.org1"), SERVICE);
    scene.reload("gw.org1");
    wait_until_answered(&scene, &["10.10.1.11", "10.10.1.12"]);

    drop(second);
    wait_until_answered(&scene, &["10.10.1.11"]);
    assert_eq!(states(&scene), ["good", "failed"]);
    let attention = scene.status("gw.org1")["attention"].to_string();
    assert!(attention.contains("10.10.1.12:7051"), "{attention}");

    // With no living address, the client may as well try.
    drop(first);
    eventually("both to fail", 20, || {
        states(&scene) == ["failed", "failed"]
    });
    wait_until_answered(&scene, &["10.10.1.11", "10.10.1.12"]);

    let _second = listener(&scene, "peer1.org1");
    wait_until_answered(&scene, &["10.10.1.12"]);
    scene.close();
}

fn listener(scene: &Scene, node: &str) -> Background {
    Background::server(scene, node, 7051, "iperf3", &["-s", "-p", "7051"])
}

fn wait_until_answered(scene: &Scene, expected: &[&str]) {
    for (host, server) in ASKERS {
        eventually(&format!("{expected:?} at {host}"), 20, || {
            let printed = scene.output_of_any_exit(host, "dig", &["+short", server, NAME]);
            let mut answered: Vec<&str> = printed.lines().collect();
            answered.sort_unstable();
            answered == expected
        });
    }
}

/// The states of the service's addresses, in their order.
fn states(scene: &Scene) -> Vec<String> {
    let status = scene.status("gw.org1");
    let checks = status["checks"].as_array().expect("a list of checks");

    checks
        .iter()
        .filter_map(|check| check["state"].as_str())
        .map(String::from)
        .collect()
}
