//! Members come, go and are revoked while the mesh runs.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`).

use std::time::{Duration, Instant};

use ringway_lab::ping::{self, Family, Outcome};
use ringway_lab::{program, wan};
use ringway_tests::scene::{eventually, replace};
use ringway_tests::{Flow, Scene};
use serde_json::Value;

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");

/// Removed members, revoked keys and expired certificates lose their sessions within this.
const CONTRACT: Duration = Duration::from_secs(1);

#[test]
fn members_come_go_and_are_revoked_without_touching_other_tunnels() {
    let scene = Scene::new("members", RINGWAY);
    let bystander = Flow::start(&scene, "orderer0.org0", "peer0.org1");
    let untouched = || ["gw.org0", "gw.org1"].map(|gateway| session(&scene, gateway));
    let before = untouched();

    an_organization_leaves(&scene);
    assert_eq!(untouched(), before);
    an_organization_joins(&scene);
    assert_eq!(untouched(), before);
    a_revoked_gateway_loses_its_session(&scene);
    assert_eq!(untouched(), before);

    let tally = bystander.stop();
    assert!(tally.replies > 20 && tally.lost == 0, "{tally:?}");
    assert_eq!(
        wan::leaks(scene.node("wan").expect("the WAN")).expect("counters"),
        wan::Leaks::default()
    );
    scene.close();
}

#[test]
fn a_gateway_that_nobody_can_dial_dials_the_others() {
    let mut scene = Scene::new("dials", RINGWAY);
    for gateway in ["gw.org0", "gw.org2"] {
        let record = scene.beside(gateway, "members/org1.member.toml");
        replace(
            &record,
            "endpoints = [\"203.0.113.6:4600\", \"[2001:db8:0:1::2]:4600\"]",
            "endpoints = []",
        );
        scene.reload(gateway);
    }
    scene.kill("gw.org1").expect("it runs");
    eventually("the others to notice", 5, || {
        !scene.is_up("gw.org0", "gw.org1") && !scene.is_up("gw.org2", "gw.org1")
    });
    scene.start("gw.org1").expect("it starts");
    scene.wait_until_joined().expect("it dials both");
    let differ = scene.tunnel("gw.org0", "gw.org1").expect("a tunnel")["records_differ"].clone();
    assert_eq!(
        differ,
        serde_json::json!(["org1"]),
        "its own record still has the endpoints"
    );
    scene.close();
}

/// What would change in `gateway`'s tunnel to the other of org0 and org1 if its session were replaced.
fn session(scene: &Scene, gateway: &str) -> [Value; 2] {
    let peer = if gateway == "gw.org0" {
        "gw.org1"
    } else {
        "gw.org0"
    };
    let tunnel = scene.tunnel(gateway, peer).expect("a tunnel");
    [tunnel["state"].clone(), tunnel["since"].clone()]
}

fn an_organization_leaves(scene: &Scene) {
    for gateway in ["gw.org0", "gw.org1"] {
        program::output(&mut scene.ringway(gateway, &["member", "remove", "org2"]))
            .expect("org2 is a member");
        scene.reload(gateway);
        within_the_contract("the removed member's tunnel to go", || {
            scene.tunnel(gateway, "gw.org2").is_none()
        });
        assert_eq!(scene.verdict(gateway, "10.10.2.0/24"), None);
    }
    for (from, to) in [
        ("orderer0.org0", "10.10.2.11"),
        ("peer0.org2", "10.10.1.11"),
    ] {
        let outcome = ping::once(scene, from, to, Family::V4).expect("ping runs");
        assert_ne!(outcome, Outcome::Reply, "{from} to {to}");
    }
    eventually("gw.org2 to know", 10, || {
        !scene.is_up("gw.org2", "gw.org0") && !scene.is_up("gw.org2", "gw.org1")
    });
    eventually("gw.org2 to say why", 10, || {
        let error = scene
            .tunnel("gw.org2", "gw.org0")
            .map(|tunnel| tunnel["last_error"].clone());
        error.is_some_and(|error| error.is_string())
    });
}

fn an_organization_joins(scene: &Scene) {
    let record = scene.beside("gw.org2", "org2.member.toml");
    for gateway in ["gw.org0", "gw.org1"] {
        program::output(scene.ringway(gateway, &["member", "add"]).arg(&record))
            .expect("nothing overlaps");
        scene.reload(gateway);
    }
    scene.wait_until_joined().expect("everyone is back");
    let failed = ping::all_pairs(scene, Family::V4)
        .expect("ping runs")
        .failed;
    assert!(failed.is_empty(), "{failed:#?}");
}

/// org2's record, as org0 and org1 hold it, no longer stands for its gateway.
fn a_revoked_gateway_loses_its_session(scene: &Scene) {
    for gateway in ["gw.org0", "gw.org1"] {
        let record = scene.beside(gateway, "members/org2.member.toml");
        replace(
            &record,
            "[revoked]\ngateways = []",
            "[revoked]\ngateways = [\"gw\"]",
        );
        scene.reload(gateway);
        within_the_contract("the revoked gateway's session to end", || {
            !scene.is_up(gateway, "gw.org2")
        });
    }
    let outcome = ping::once(scene, "peer0.org1", "10.10.2.11", Family::V4).expect("ping runs");
    assert_eq!(
        outcome,
        Outcome::Unreachable,
        "it is a member still, and fails fast"
    );
}

fn within_the_contract(what: &str, condition: impl FnMut() -> bool) {
    let asked = Instant::now();
    eventually(what, 10, condition);
    assert!(asked.elapsed() < CONTRACT, "{what}: {:?}", asked.elapsed());
}
