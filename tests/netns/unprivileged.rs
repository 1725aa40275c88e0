//! The gateways run as their systemd unit has it: an unprivileged user with two capabilities, on a
//! read-only root, under the unit's filter of system calls.

use std::time::Duration;

use ringway_lab::ping::{Family, Outcome};
use ringway_lab::program;
use ringway_tests::attention::attention;
use ringway_tests::scene::{append, eventually, replace};
use ringway_tests::{Confined, Scene};

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";

/// What other programs do to rules and routes.
const REMOVE: &str = "nft flush ruleset; ip rule del priority 4600; ip -6 rule del priority 4600; \
     ip route flush table 4600; echo 0 >/proc/sys/net/ipv4/conf/lan0/forwarding";

#[test]
fn an_unprivileged_gateway_sets_up_the_kernel_and_holds_it() {
    let program = Confined::new("kernel", RINGWAY);
    let scene = confined(&program, "confined-kernel");
    for family in [Family::V4, Family::V6] {
        scene.assert_all_reachable(family);
    }
    assert_eq!(attention(&scene, GATEWAY), "[]");

    scene.sh(GATEWAY, REMOVE);
    let reply = Outcome::Reply;
    let limit = Duration::from_secs(5);
    scene.ping_until("peer0.org1", "10.10.2.11", Family::V4, &reply, limit);
    scene.sh(GATEWAY, "ip link delete ringway0");
    scene.ping_until("peer0.org1", "10.10.2.11", Family::V4, &reply, limit);
    eventually("nothing to need attention", 20, || {
        attention(&scene, GATEWAY) == "[]"
    });
    scene.assert_no_leaks();
    scene.close();
}

#[test]
fn an_unprivileged_gateway_reloads_what_root_has_changed() {
    let program = Confined::new("reload", RINGWAY);
    let scene = confined(&program, "confined-reload");
    let config = scene.config(GATEWAY);
    replace(&config, "\n[policy]\n", "\n[policy]\ndenied = \"reject\"\n");
    append(
        &config,
        "\n[[dns.host]]\nname = \"new\"\naddresses = \"10.10.1.99\"\n",
    );
    let said = program::output(&mut scene.ringway(GATEWAY, &["reload"])).expect("all is right");
    assert!(said.contains("policy"), "{said}");
    // Root's commands leave a key that the gateway's user can read.
    let mut renew = scene.ringway(GATEWAY, &["cert", "renew", "--new-key"]);
    program::output(&mut renew).expect("the CA is here");
    let said = program::output(&mut scene.ringway(GATEWAY, &["reload"])).expect("all is right");
    assert!(!said.is_empty());
    eventually("the tunnels with the new key", 20, || {
        ["gw.org0", "gw.org2"]
            .iter()
            .all(|peer| scene.is_up(GATEWAY, peer))
    });
    scene.close();
}

#[test]
fn an_unprivileged_gateway_is_killed_and_starts_again() {
    let program = Confined::new("restart", RINGWAY);
    let mut scene = confined(&program, "confined-restart");
    scene.kill(GATEWAY).expect("it runs");
    scene.start(GATEWAY).expect("it starts again");

    let limit = Duration::from_secs(20);
    let reply = Outcome::Reply;
    scene.ping_until("peer0.org1", "10.10.2.11", Family::V4, &reply, limit);
    scene.ping_until("peer0.org2", "fd00:10:1::11", Family::V6, &reply, limit);
    assert_eq!(attention(&scene, GATEWAY), "[]");
    scene.stop(GATEWAY);
    scene.close();
}

/// A laboratory whose gateways are confined.
fn confined(program: &Confined, test: &str) -> Scene {
    let scene = Scene::new(test, program.path());
    for gateway in ["gw.org0", "gw.org1", "gw.org2"] {
        let process = scene.process(gateway).expect("it was started");
        Confined::assert_confines(process.pid);
    }
    scene
}
