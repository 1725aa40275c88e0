//! Members are removed, added and revoked while the mesh runs.

use std::path::Path;
use std::time::{Duration, Instant};

use ringway_config::Digest;
use ringway_lab::ping::{Family, Outcome};
use ringway_lab::program;
use ringway_tests::scene::{eventually, replace};
use ringway_tests::{Flow, Scene};
use serde_json::{Value, json};

use crate::RINGWAY;

/// Limit for a removed member and a revoked gateway to lose their sessions.
const CONTRACT: Duration = Duration::from_secs(1);

#[test]
fn an_organization_is_removed_and_added_without_touching_other_tunnels() {
    let scene = Scene::new("members", RINGWAY);
    let bystander = Flow::start(&scene, "orderer0.org0", "peer0.org1");
    let before = sessions_of_the_others(&scene);

    remove_org2(&scene);
    assert_eq!(sessions_of_the_others(&scene), before);

    add_org2(&scene);
    assert_eq!(sessions_of_the_others(&scene), before);
    bystander.assert_none_lost("the tunnel between the others");
    scene.assert_no_leaks();
    scene.close();
}

fn remove_org2(scene: &Scene) {
    for gateway in ["gw.org0", "gw.org1"] {
        program::output(&mut scene.ringway(gateway, &["member", "remove", "org2"]))
            .expect("org2 is a member");
        scene.reload(gateway);
        within_the_contract("the removed member's tunnel to disappear", || {
            scene.tunnel(gateway, "gw.org2").is_none()
        });
        assert_eq!(scene.verdict(gateway, "10.10.2.0/24"), None);
    }

    for (from, to) in [
        ("orderer0.org0", "10.10.2.11"),
        ("peer0.org2", "10.10.1.11"),
    ] {
        let outcome = scene.ping(from, to, Family::V4);
        assert_ne!(outcome, Outcome::Reply, "{from} to {to}");
    }
    eventually("gw.org2 to lose its tunnels", 10, || {
        !scene.is_up("gw.org2", "gw.org0") && !scene.is_up("gw.org2", "gw.org1")
    });
    eventually("gw.org2 to report the reason", 10, || {
        scene
            .tunnel("gw.org2", "gw.org0")
            .is_some_and(|tunnel| tunnel["last_error"].is_string())
    });
}

fn add_org2(scene: &Scene) {
    let record = scene.beside("gw.org2", "org2.member.toml");
    for gateway in ["gw.org0", "gw.org1"] {
        program::output(
            scene
                .ringway(gateway, &["member", "add"])
                .arg(&record)
                .args(["--fingerprint", &fingerprint(&record)]),
        )
        .expect("nothing overlaps");
        // Its prefix has no route before the reload, and nothing is in its way.
        let checked =
            program::output(&mut scene.ringway(gateway, &["check"])).expect("sound files");
        assert!(!checked.contains("instead of"), "{checked}");
        scene.reload(gateway);
    }
    scene.wait_until_joined().expect("all tunnels come back");
    scene.assert_all_reachable(Family::V4);
}

#[test]
fn a_revoked_gateway_loses_its_sessions_within_a_second() {
    let scene = Scene::new("revoked", RINGWAY);
    let bystander = Flow::start(&scene, "orderer0.org0", "peer0.org1");
    let before = sessions_of_the_others(&scene);

    for gateway in ["gw.org0", "gw.org1"] {
        let record = scene.beside(gateway, "members/org2.member.toml");
        revise(
            &record,
            "[revoked]\ngateways = []",
            "[revoked]\ngateways = [\"gw\"]",
        );
        scene.reload(gateway);
        within_the_contract("the revoked gateway's session to end", || {
            !scene.is_up(gateway, "gw.org2")
        });
    }

    // Its organization is still a member, so its prefixes are routed, to nowhere.
    let outcome = scene.ping("peer0.org1", "10.10.2.11", Family::V4);
    assert_eq!(outcome, Outcome::Unreachable);
    assert_eq!(sessions_of_the_others(&scene), before);
    bystander.assert_none_lost("the tunnel between the others");
    scene.assert_no_leaks();
    scene.close();
}

#[test]
fn a_gateway_without_endpoints_in_its_record_dials_the_others() {
    let mut scene = Scene::new("dials", RINGWAY);
    for gateway in ["gw.org0", "gw.org2"] {
        let record = scene.beside(gateway, "members/org1.member.toml");
        revise(
            &record,
            "endpoints = [\"203.0.113.6:4600\", \"[2001:db8:0:1::2]:4600\"]",
            "endpoints = []",
        );
        scene.reload(gateway);
    }
    scene.kill("gw.org1").expect("gw.org1 runs");
    eventually("the others to notice", 5, || {
        !scene.is_up("gw.org0", "gw.org1") && !scene.is_up("gw.org2", "gw.org1")
    });

    scene.start("gw.org1").expect("gw.org1 starts");
    scene.wait_until_joined().expect("gw.org1 dials both");
    let tunnel = scene
        .tunnel("gw.org0", "gw.org1")
        .expect("there is a tunnel");
    assert_eq!(
        tunnel["records_differ"],
        json!(["org1"]),
        "org1's own copy of its record still has the endpoints"
    );
    let drift = &tunnel["record_drift"][0];
    assert_eq!(drift["kind"], "peer-is-older");
    assert_eq!(
        [&drift["ours"]["serial"], &drift["theirs"]["serial"]],
        [&json!(2), &json!(1)]
    );
    let other = scene
        .tunnel("gw.org1", "gw.org0")
        .expect("there is a tunnel");
    assert_eq!(other["record_drift"][0]["kind"], "we-are-older");
    scene.close();
}

/// The next version of a record, which was of serial 1: `old` gives way to `new`.
fn revise(record: &Path, old: &str, new: &str) {
    replace(record, old, new);
    replace(record, "serial = 1 ", "serial = 2 ");
}

fn fingerprint(record: &Path) -> String {
    let bytes = std::fs::read(record).expect("the record is there");
    Digest::of(&bytes).to_string()
}

/// State and start of the tunnel between org0 and org1, at both ends. A replaced session changes
/// it.
fn sessions_of_the_others(scene: &Scene) -> [[Value; 2]; 2] {
    [("gw.org0", "gw.org1"), ("gw.org1", "gw.org0")].map(|(gateway, peer)| {
        let tunnel = scene.tunnel(gateway, peer).expect("there is a tunnel");
        [tunnel["state"].clone(), tunnel["since"].clone()]
    })
}

fn within_the_contract(what: &str, condition: impl FnMut() -> bool) {
    let start = Instant::now();
    eventually(what, 10, condition);
    assert!(start.elapsed() < CONTRACT, "{what}: {:?}", start.elapsed());
}
