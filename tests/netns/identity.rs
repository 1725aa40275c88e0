//! A site with two gateways, and a host that uses their virtual addresses: the identity of the
//! active gateway is used a second time, and is revoked.
//!
//! ```text
//!                            ┌─ gw.org0 ───┐
//!   orderer0.org0 ── vpc ────┼─ gw2.org0 ──┼── wan ── gw.org1 ── peer0.org1
//!                            └─ a copy ────┘
//! ```

use std::time::Duration;

use ringway_lab::ping::{Family, Outcome};
use ringway_tests::copied_gateway::CopiedGateway;
use ringway_tests::scene::{eventually, replace};
use ringway_tests::siblings::{active, other, wait_until_it_holds};
use ringway_tests::{Pushed, Scene};

use crate::RINGWAY;

const HOST: &str = "orderer0.org0";

/// Server, its address, and the client: connections out of the site and into it, which only the
/// server sends on.
const STREAMS: [(&str, &str, &str); 2] = [
    ("peer0.org1", "10.10.1.11:7051", HOST),
    (HOST, "10.10.0.11:7050", "peer0.org1"),
];

/// The laboratory, its active gateway, and streams through it.
fn ready(test: &str) -> (Scene, &'static str, Vec<Pushed>) {
    let scene = Scene::siblings_beside_others(test, RINGWAY);
    eventually("one to be active", 20, || active(&scene).is_some());
    let gateway = active(&scene).expect("one is active");
    wait_until_it_holds(&scene, gateway);

    let streams = STREAMS.map(|(server, address, client)| {
        let address = address.parse().expect("an address");
        Pushed::start(&scene, server, address, client)
    });
    (scene, gateway, streams.into())
}

/// The site's hosts reach others, and no stream has broken.
fn assert_hosts_go_on(scene: &Scene, streams: &[Pushed]) {
    for (family, to) in [(Family::V4, "10.10.1.11"), (Family::V6, "fd00:10:1::11")] {
        scene.ping_until(HOST, to, family, &Outcome::Reply, Duration::from_secs(10));
    }
    Pushed::wait_for_each(streams, 5, 20);
    for stream in streams {
        let seen = stream.seen();
        assert_eq!((seen.connections, seen.resets), (1, 0), "{seen:?}");
        println!("longest gap: {:.2?}", seen.longest_gap);
    }
}

/// Waits until `gateway` is standby for this reason.
fn wait_for_cause(scene: &Scene, gateway: &str, cause: &str) {
    eventually(&format!("{gateway} to be {cause}"), 10, || {
        let role = &scene.status(gateway)["role"];
        role["role"] == "standby" && role["cause"] == cause
    });
}

fn wait_for_attention(scene: &Scene, gateway: &str, text: &str) {
    eventually(&format!("{gateway} to say: {text}"), 10, || {
        let status = scene.status(gateway);
        status["attention"].to_string().contains(text)
    });
}

#[test]
fn a_copy_of_the_active_gateway_gets_no_role_and_the_sibling_takes_over() {
    let (scene, first, streams) = ready("copied");
    let second = other(first);

    let copy = CopiedGateway::start(&scene, first, RINGWAY);
    wait_until_it_holds(&scene, second);
    wait_for_cause(&scene, first, "replaced");
    let ours = "another daemon uses the identity of this gateway";
    wait_for_attention(&scene, first, ours);
    let theirs = format!("two daemons use the identity {first}");
    wait_for_attention(&scene, second, &theirs);
    let role = &copy.status()["role"];
    assert_eq!(role["cause"], "outranked", "{role}");
    assert_hosts_go_on(&scene, &streams);

    assert_eq!(scene.status(second)["role"]["epoch"], 2, "one takeover");
    drop(streams);
    drop(copy);
    scene.close();
}

#[test]
fn an_active_gateway_that_its_organization_revokes_is_replaced_and_says_why() {
    let (scene, first, streams) = ready("revoked-active");
    let second = other(first);
    let label = first.split('.').next().expect("it has a label");

    for (gateway, record) in [
        (second, "org0.member.toml"),
        ("gw.org1", "members/org0.member.toml"),
        ("gw.org2", "members/org0.member.toml"),
    ] {
        let record = scene.beside(gateway, record);
        replace(&record, "serial = 2 ", "serial = 3 ");
        replace(
            &record,
            "gateways = []",
            &format!("gateways = [\"{label}\"]"),
        );
        scene.reload(gateway);
    }
    wait_until_it_holds(&scene, second);
    wait_for_cause(&scene, first, "refused");
    wait_for_attention(&scene, first, "revokes this gateway or its key");
    assert_hosts_go_on(&scene, &streams);
    drop(streams);
    scene.close();
}
