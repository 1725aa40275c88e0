//! The virtual addresses of `[ha]`: the site's hosts use them as their router and resolver, while a
//! gateway is active, and lose them with it, however it ends.
//!
//! ```text
//!   peer0.org1 ── vpc ── lan0 gw.org1, 10.10.1.250 and fd00:10:1::250 while it is active
//! ```

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use ringway_lab::ping::{Family, Outcome};
use ringway_tests::Scene;
use ringway_tests::attention::wait_until_over;
use ringway_tests::scene::{append, eventually, replace};
use serde_json::Value;

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";
const HOST: &str = "peer0.org1";
const ADDRESSES: [&str; 2] = ["10.10.1.250", "fd00:10:1::250"];

const HA: &str = "
[ha]
addresses = [\"10.10.1.250/24\", \"fd00:10:1::250/64\"]
interface = \"lan0\"
";

/// A laboratory whose gateway of org1 has the virtual addresses, which its hosts use.
fn scene(test: &str) -> Scene {
    let scene = Scene::new(test, RINGWAY);
    append(&scene.config(GATEWAY), HA);
    replace(
        &scene.config(GATEWAY),
        "[policy]\n",
        "[policy]\ngrace = 0\n",
    );
    scene.reload(GATEWAY);
    eventually("the addresses", 5, || held(&scene) == 2);

    for address in ADDRESSES {
        let replace = ["route", "replace", "default", "via", address];
        scene.output(HOST, "ip", &replace);
    }
    scene
}

/// How many of the addresses the gateway's host has.
fn held(scene: &Scene) -> usize {
    let shown = scene.output(
        GATEWAY,
        "ip",
        &["-oneline", "address", "show", "dev", "lan0"],
    );
    ADDRESSES
        .iter()
        .filter(|address| shown.contains(&format!(" {address}/")))
        .count()
}

fn role(scene: &Scene) -> Value {
    scene.status(GATEWAY)["role"].clone()
}

fn reaches_others(scene: &Scene) {
    let limit = Duration::from_secs(5);
    for (family, to) in [(Family::V4, "10.10.0.11"), (Family::V6, "fd00:10::11")] {
        scene.ping_until(HOST, to, family, &Outcome::Reply, limit);
    }
}

/// The exit code of `ringway role`.
fn role_code(scene: &Scene) -> Option<i32> {
    let mut role = scene.ringway(GATEWAY, &["role", "--quiet"]);
    role.status().expect("it starts").code()
}

#[test]
fn hosts_use_the_virtual_addresses_and_nothing_else_depends_on_them() {
    let scene = scene("virtual");
    reaches_others(&scene);
    assert_eq!(role(&scene)["role"], "active");
    assert_eq!(role(&scene)["addresses"][0]["state"], "held");
    assert_eq!(role_code(&scene), Some(0));

    // The resolver of the site's hosts, and of others at the far end.
    replace(
        &scene.config(GATEWAY),
        "listen = [\"10.10.1.1\", ",
        "listen = [\"10.10.1.1\", \"10.10.1.250\", ",
    );
    scene.stop(GATEWAY);
    assert_eq!((held(&scene), role_code(&scene)), (0, Some(2)));
    let mut scene = scene;
    scene.start(GATEWAY).expect("it starts");
    scene.wait_until_joined().expect("the tunnels come up");
    eventually("the addresses", 5, || held(&scene) == 2);
    for host in [HOST, "peer0.org2"] {
        let dig = ["@10.10.1.250", "+short", "peer1.org1.consortium.example"];
        eventually("an answer", 5, || {
            scene.output_of_any_exit(host, "dig", &dig).trim() == "10.10.1.12"
        });
    }

    // Without them in the file, they go at once; nothing else has noticed their coming and going.
    let since_restart = scene.up_since("gw.org0", GATEWAY);
    replace(&scene.config(GATEWAY), HA, "");
    scene.reload(GATEWAY);
    eventually("their end", 2, || held(&scene) == 0);
    assert_eq!(scene.up_since("gw.org0", GATEWAY), since_restart);
    let log = scene.logged(GATEWAY);
    assert!(!log.contains("The host's networks changed"), "{log}");
    scene.close();
}

#[test]
fn a_stopped_or_killed_daemon_loses_the_addresses_by_itself() {
    let mut scene = scene("lifetime");
    let process = scene.process(GATEWAY).expect("it runs");

    process.signal(Signal::SIGSTOP);
    let stopped = Instant::now();
    eventually("the end of the addresses", 6, || held(&scene) == 0);
    assert!(
        stopped.elapsed() > Duration::from_secs(1),
        "nobody else removes them"
    );
    process.signal(Signal::SIGCONT);
    eventually("the addresses", 5, || held(&scene) == 2);
    reaches_others(&scene);

    scene.kill(GATEWAY).expect("it runs");
    eventually("the end of the addresses", 6, || held(&scene) == 0);
    scene.start(GATEWAY).expect("it starts");
    eventually("the addresses", 5, || held(&scene) == 2);
    reaches_others(&scene);

    // Right after a kill they are still there.
    scene.kill(GATEWAY).expect("it runs");
    let purge = &mut scene.ringway(GATEWAY, &["purge"]);
    ringway_lab::program::output(purge).expect("nothing runs");
    assert_eq!(held(&scene), 0);
    scene.close();
}

#[test]
fn virtual_addresses_that_another_program_removes_are_restored_and_reported() {
    let scene = scene("flushed");
    for address in ["10.10.1.250/32", "fd00:10:1::250/128"] {
        scene.output(GATEWAY, "ip", &["address", "del", address, "dev", "lan0"]);
        eventually("it to be back", 1, || held(&scene) == 2);
    }

    let log = scene.logged(GATEWAY);
    assert!(
        log.contains("Another program removed virtual addresses"),
        "{log}"
    );
    reaches_others(&scene);
    scene.close();
}

#[test]
fn an_address_that_another_host_has_is_not_taken_before_it_is_free() {
    let scene = Scene::new("duplicate", RINGWAY);
    let other = "peer1.org1";
    scene.sh(
        other,
        "ip address add 10.10.1.250/24 dev eth0 && ip address add fd00:10:1::250/64 dev eth0 nodad",
    );
    append(&scene.config(GATEWAY), HA);
    scene.reload(GATEWAY);
    eventually("it to be said", 5, || {
        let list = scene.status(GATEWAY)["attention"].to_string();
        list.contains("ha duplicate") && list.contains("10.10.1.250 is also at ")
    });
    assert_eq!(held(&scene), 0);

    scene.sh(
        other,
        "ip address del 10.10.1.250/24 dev eth0 && ip address del fd00:10:1::250/64 dev eth0",
    );
    eventually("the addresses", 5, || held(&scene) == 2);
    wait_until_over(&scene, GATEWAY, "ha duplicate");
    scene.close();
}

#[test]
fn without_cap_net_raw_virtual_addresses_are_set_and_a_warning_is_shown() {
    let mut scene = scene("unannounced");
    scene.stop(GATEWAY);
    let gateway = scene.config(GATEWAY);
    let run = format!(
        "exec setpriv --bounding-set -net_raw --inh-caps -net_raw {RINGWAY} run -c {}",
        gateway.display()
    );
    let mut command = scene.command(GATEWAY, "bash").expect("a machine");
    command.args(["-c", &run]);
    let daemon = ringway_tests::Background::spawn(&scene, "unprivileged", command);

    eventually("the addresses", 15, || held(&scene) == 2);
    eventually("it to be said", 5, || {
        scene.status(GATEWAY)["attention"]
            .to_string()
            .contains("CAP_NET_RAW")
    });
    // Of the gateway that runs: root has the right in any case.
    for command in ["check", "doctor"] {
        let output = scene.ringway(GATEWAY, &[command]).output();
        let printed = String::from_utf8_lossy(&output.expect("it runs").stdout).into_owned();
        assert!(
            printed.contains("cannot be announced by this user"),
            "{command}: {printed}"
        );
    }
    daemon.stop(Signal::SIGTERM);
    assert_eq!(held(&scene), 0);
    scene.start(GATEWAY).expect("it starts");
    scene.close();
}
