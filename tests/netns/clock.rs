//! A gateway starts while its certificate is not valid by the clock, as after a boot with a wrong
//! one: it waits, and meanwhile nothing private leaves, the site's hosts fail fast, and `status`
//! says what it waits for.

use std::time::SystemTime;

use ringway_lab::ping::{Family, Outcome};
use ringway_lab::program;
use ringway_tests::attention::attention;
use ringway_tests::certificate::{self, seconds_since_1970};
use ringway_tests::scene::eventually;
use ringway_tests::{Capture, Scene};
use serde_json::Value;

use crate::{PRIVATE, RINGWAY};

const GATEWAY: &str = "gw.org1";

/// Hosts of a member.
const HOSTS: [(Family, &str); 2] = [(Family::V4, "10.10.2.11"), (Family::V6, "fd00:10:2::11")];

/// What other programs do to rules, routes and nftables.
const REMOVE: &str = "nft flush ruleset; ip rule del priority 4600; ip -6 rule del priority 4600; \
     ip route flush table 4600; ip -6 route flush table 4600";

#[test]
fn a_gateway_that_waits_for_the_right_time_leaks_nothing_and_says_so() {
    let mut scene = Scene::without_wan_filter("clock", RINGWAY);
    scene.stop(GATEWAY);
    program::output(&mut scene.ringway(GATEWAY, &["purge"])).expect("no gateway runs");
    // A host that forwards anyway, just booted, and answers each packet.
    scene.sh(
        GATEWAY,
        "echo 1 >/proc/sys/net/ipv4/ip_forward; \
         echo 1 >/proc/sys/net/ipv6/conf/all/forwarding; \
         sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0",
    );
    let outside = Capture::headers(&scene, GATEWAY, "wan0");
    ping_all(&scene);
    assert!(!outside.stop().matching(PRIVATE).is_empty(), "the control");

    let now = seconds_since_1970(SystemTime::now());
    certificate::replace(&scene, GATEWAY, now + 3000..now + 3600);
    scene.start(GATEWAY).expect("gw.org1 starts");
    eventually("the site's hosts to be refused", 5, || are_refused(&scene));
    let outside = Capture::headers(&scene, GATEWAY, "wan0");
    let list = attention(&scene, GATEWAY);
    assert!(list.contains("waiting for the right time"), "{list}");
    every_command_says_that_it_waits(&scene);

    // It is held while the daemon waits, and stays at its end.
    for _ in 0..2 {
        scene.sh(GATEWAY, REMOVE);
        eventually("guard, rules and routes", 3, || is_in_place(&scene));
        eventually("refusals", 5, || are_refused(&scene));
    }
    scene.stop(GATEWAY);
    assert!(is_in_place(&scene));
    eventually("refusals", 5, || are_refused(&scene));
    scene.start(GATEWAY).expect("gw.org1 starts");
    eventually("the wait", 5, || {
        attention_of_a_start(&scene).contains("waiting for the right time")
    });

    let now = seconds_since_1970(SystemTime::now());
    certificate::replace(&scene, GATEWAY, now - 60..now + 3600);
    scene
        .wait_until_joined()
        .expect("the certificate is valid now");
    for (family, to) in HOSTS {
        assert_eq!(scene.ping("peer0.org1", to, family), Outcome::Reply, "{to}");
    }
    assert_eq!(attention(&scene, GATEWAY), "[]");
    assert_eq!(outside.stop().matching(PRIVATE), [""; 0]);
    scene.close();
}

fn every_command_says_that_it_waits(scene: &Scene) {
    let explain = [
        "explain",
        "10.10.1.11",
        "10.10.2.11",
        "--port",
        "8080",
        "--json",
    ];
    let output = scene.ringway(GATEWAY, &explain).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let answer: Value = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!(answer["works"], false);
    assert_eq!(answer["steps"][0]["verdict"], "gateway-waits");
    let remedy = answer["steps"][0]["remedy"].as_str().expect("a text");
    assert!(remedy.starts_with("timedatectl set-ntp true"), "{remedy}");

    for command in [["policy", "denied"].as_slice(), &["metrics"], &["drain"]] {
        let output = scene.ringway(GATEWAY, command).output().expect("it runs");
        assert!(!output.status.success(), "{command:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("the right time"), "{command:?}: {said}");
    }
}

/// The list, or nothing while the daemon does not answer yet.
fn attention_of_a_start(scene: &Scene) -> String {
    let status = scene.ringway(GATEWAY, &["status", "--json"]).output();
    let output = status.expect("the program under test starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn ping_all(scene: &Scene) {
    for (family, to) in HOSTS {
        scene.ping("peer0.org1", to, family);
    }
}

fn are_refused(scene: &Scene) -> bool {
    HOSTS
        .iter()
        .all(|(family, to)| scene.ping("peer0.org1", to, *family) == Outcome::Unreachable)
}

/// Guard, rules and routes.
fn is_in_place(scene: &Scene) -> bool {
    let show = "nft list table inet ringway0; ip rule; ip -6 rule; ip route show table 4600; \
                ip -6 route show table 4600";
    let shown = scene.output_of_any_exit(GATEWAY, "bash", &["-c", show]);
    shown.contains("chain forward")
        && shown.matches("lookup 4600").count() >= 2
        && shown.matches("unreachable").count() >= 4
}
