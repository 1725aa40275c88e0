//! The host under a running gateway changes: a network that overlaps a member's prefix comes and goes, the
//! gateway's own address becomes another.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`).

use std::time::Duration;

use ringway_lab::ping::{self, Family, Outcome};
use ringway_tests::Scene;
use ringway_tests::scene::eventually;

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");

const SOON: Duration = Duration::from_secs(10);
/// Inside org1's 10.10.1.0/24.
const INTRUDER: &str = "10.10.1.193/26";

#[test]
fn routes_and_verdicts_follow_the_hosts_networks_and_addresses() {
    let scene = Scene::new("host", RINGWAY);
    let before = scene.tunnel("gw.org0", "gw.org1").expect("a tunnel")["since"].clone();
    a_network_of_the_host_takes_its_range_while_it_is_there(&scene);
    kernel_routes_name_the_hosts_own_address(&scene);
    let after = scene.tunnel("gw.org0", "gw.org1").expect("a tunnel")["since"].clone();
    assert_eq!(before, after, "the session is the same");
    scene.close();
}

fn a_network_of_the_host_takes_its_range_while_it_is_there(scene: &Scene) {
    let verdict = || scene.verdict("gw.org0", "10.10.1.0/24");
    address(scene, "add", INTRUDER);
    eventually("the verdict", 10, || {
        verdict().as_deref() == Some("conflicted")
    });
    eventually("the routes to follow", 10, || {
        !routes(scene).contains("10.10.1.0/24")
    });
    let logged = scene.logged("gw.org0");
    for part in [
        "overlaps a member's prefix",
        "10.10.1.192/26",
        "org1.member.toml:",
    ] {
        assert!(logged.contains(part), "{part} is not in the log");
    }
    assert_eq!(
        ping::once(scene, "orderer0.org0", "10.10.2.11", Family::V4).expect("ping runs"),
        Outcome::Reply
    );
    address(scene, "del", INTRUDER);
    eventually("the verdict", 10, || {
        verdict().as_deref() == Some("available")
    });
    ping::until(
        scene,
        "orderer0.org0",
        "10.10.1.11",
        Family::V4,
        &Outcome::Reply,
        SOON,
    )
    .expect("as before");
}

fn kernel_routes_name_the_hosts_own_address(scene: &Scene) {
    assert!(routes(scene).contains("src 10.10.0.1 "));
    address(scene, "del", "10.10.0.1/24");
    address(scene, "add", "10.10.0.7/24");
    eventually("the new address", 10, || {
        routes(scene).contains("src 10.10.0.7 ")
    });
    address(scene, "del", "10.10.0.7/24");
    address(scene, "add", "10.10.0.1/24");
    eventually("the old address", 10, || {
        routes(scene).contains("src 10.10.0.1 ")
    });
}

fn address(scene: &Scene, verb: &str, address: &str) {
    scene.output("gw.org0", "ip", &["address", verb, address, "dev", "lan0"]);
}

fn routes(scene: &Scene) -> String {
    scene.output("gw.org0", "ip", &["-4", "route", "show", "table", "4600"])
}
