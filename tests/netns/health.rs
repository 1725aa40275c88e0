//! Addresses that accept no connection are left out of their names at every gateway, and come back.

use nix::sys::signal::Signal;
use ringway_tests::scene::{append, eventually, replace};
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
    let scene = Scene::beside_others("health", RINGWAY);
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

/// So many names that a new zone takes a while to make: what is answered meanwhile is seen.
const MANY: &str = "$GENERATE 0-9999 many$ TXT name\n";

#[test]
fn a_reload_does_not_bring_back_what_has_failed() {
    let scene = Scene::new("health-reload", RINGWAY);
    let config = scene.config("gw.org1");
    let _first = listener(&scene, "peer0.org1");
    std::fs::write(scene.beside("gw.org1", "many.zone"), MANY).expect("a file");
    replace(&config, "[dns]\n", "[dns]\nzone-files = [\"many.zone\"]\n");
    append(&config, SERVICE);
    scene.reload("gw.org1");
    wait_until_answered(&scene, &["10.10.1.11"]);

    let askers = ASKERS.map(|(host, server)| ask_again_and_again(&scene, host, server));
    for number in 0..4 {
        let host = format!("\n[[dns.host]]\nname = \"new{number}\"\naddresses = \"10.10.1.13\"\n");
        append(&config, &host);
        scene.reload("gw.org1");
        eventually("the new host to be known", 20, || {
            ASKERS.iter().all(|(host, server)| {
                let name = format!("new{number}.org1.consortium.example");
                let printed = scene.output_of_any_exit(host, "dig", &["+short", server, &name]);
                printed.trim() == "10.10.1.13"
            })
        });
    }

    assert_never_answered(askers);
    scene.close();
}

#[test]
fn a_restart_does_not_bring_back_what_has_failed() {
    let mut scene = Scene::new("health-restart", RINGWAY);
    let gateway = "gw.org1";
    let _first = listener(&scene, "peer0.org1");
    append(&scene.config(gateway), SERVICE);
    scene.reload(gateway);
    wait_until_answered(&scene, &["10.10.1.11"]);

    let askers = ASKERS.map(|(host, server)| ask_again_and_again(&scene, host, server));
    for restart in 0..3 {
        if restart % 2 == 0 {
            scene.kill(gateway).expect("it runs");
        } else {
            scene.stop(gateway);
        }
        scene.start(gateway).expect("it starts");
        scene.wait_until_joined().expect("the tunnels come up");
        assert_eq!(states(&scene), ["good", "failed"], "restart {restart}");
        wait_until_answered(&scene, &["10.10.1.11"]);
    }
    assert_never_answered(askers);

    let _second = listener(&scene, "peer1.org1");
    wait_until_answered(&scene, &["10.10.1.11", "10.10.1.12"]);
    scene.close();
}

fn listener(scene: &Scene, node: &str) -> Background {
    Background::server(scene, node, 7051, "iperf3", &["-s", "-p", "7051"])
}

fn ask_again_and_again(scene: &Scene, host: &str, server: &str) -> Background {
    let script = format!("while :; do dig +short +tries=1 +timeout=1 {server} {NAME}; done");
    let name = format!("{host}-asks");

    Background::start(scene, host, &name, "sh", &["-c", &script])
}

/// Ends the askers, none of which must have seen the address that has failed.
fn assert_never_answered(askers: [Background; 2]) {
    for asker in askers {
        asker.wait_for("10.10.1.11");
        let answers = asker.stop(Signal::SIGTERM);
        assert!(!answers.contains("10.10.1.12"), "it had failed: {answers}");
    }
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
