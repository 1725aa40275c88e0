//! The networks and addresses of a gateway's host change while the gateway runs.

use std::time::Duration;

use ringway_lab::ping::{Family, Outcome};
use ringway_tests::Scene;
use ringway_tests::scene::eventually;

use crate::RINGWAY;

/// A network inside org1's 10.10.1.0/24.
const OVERLAPPING: &str = "10.10.1.193/26";

#[test]
fn a_network_of_the_host_takes_its_range_from_a_member_while_it_exists() {
    let scene = Scene::new("overlapping", RINGWAY);
    let since = scene.up_since("gw.org0", "gw.org1");
    let verdict = || scene.verdict("gw.org0", "10.10.1.0/24");

    change_address(&scene, "add", OVERLAPPING);
    eventually("the member's prefix to be conflicted", 10, || {
        verdict().as_deref() == Some("conflicted")
    });
    eventually("its route to be removed", 10, || {
        !routes(&scene).contains("10.10.1.0/24")
    });
    let log = scene.logged("gw.org0");
    for part in [
        "overlaps a member's prefix",
        "10.10.1.192/26",
        "org1.member.toml:",
    ] {
        assert!(log.contains(part), "{part} is not in the log");
    }
    let other = scene.ping("orderer0.org0", "10.10.2.11", Family::V4);
    assert_eq!(other, Outcome::Reply, "org2 is not affected");

    change_address(&scene, "del", OVERLAPPING);
    eventually("the member's prefix to be available", 10, || {
        verdict().as_deref() == Some("available")
    });
    scene.ping_until(
        "orderer0.org0",
        "10.10.1.11",
        Family::V4,
        &Outcome::Reply,
        Duration::from_secs(10),
    );
    assert_eq!(scene.up_since("gw.org0", "gw.org1"), since);
    scene.close();
}

#[test]
fn kernel_routes_name_the_hosts_current_address_as_their_source() {
    let scene = Scene::new("source", RINGWAY);
    let since = scene.up_since("gw.org0", "gw.org1");
    assert!(routes(&scene).contains("src 10.10.0.1 "));

    change_address(&scene, "del", "10.10.0.1/24");
    change_address(&scene, "add", "10.10.0.7/24");
    eventually("the new address in the routes", 10, || {
        routes(&scene).contains("src 10.10.0.7 ")
    });

    change_address(&scene, "del", "10.10.0.7/24");
    change_address(&scene, "add", "10.10.0.1/24");
    eventually("the old address in the routes", 10, || {
        routes(&scene).contains("src 10.10.0.1 ")
    });
    assert_eq!(scene.up_since("gw.org0", "gw.org1"), since);
    scene.close();
}

fn change_address(scene: &Scene, verb: &str, address: &str) {
    scene.output("gw.org0", "ip", &["address", verb, address, "dev", "lan0"]);
}

fn routes(scene: &Scene) -> String {
    scene.output("gw.org0", "ip", &["-4", "route", "show", "table", "4600"])
}
