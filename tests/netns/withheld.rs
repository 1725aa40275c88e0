//! A start with the record of one organization that must not be used.

use std::fs;

use ringway_lab::ping::{Family, Outcome};
use ringway_tests::Scene;
use ringway_tests::scene::{append, eventually, replace};

use crate::RINGWAY;

const GATEWAY: &str = "gw.org0";
const LEFT_OUT: &str = "gw.org2";
const OTHER: &str = "gw.org1";

#[test]
fn a_start_leaves_out_only_the_organization_whose_record_is_older() {
    let mut scene = Scene::new("withheld", RINGWAY);
    let record = scene.beside(GATEWAY, "members/org2.member.toml");
    let older = fs::read(&record).expect("a record");
    replace(&record, "serial = 1", "serial = 5");
    scene.reload(GATEWAY);
    eventually("the newer record", 10, || {
        scene.logged(GATEWAY).contains("Configuration reloaded")
    });
    let newest = fs::read(&record).expect("a record");

    // As a restored backup, beside a state that knows more.
    scene.kill(GATEWAY).expect("it runs");
    fs::write(&record, older).expect("a writable file");
    let logged = scene.logged(GATEWAY).len();
    scene.start(GATEWAY).expect("it starts");
    eventually("the start", 10, || {
        scene.logged(GATEWAY)[logged..].contains("Gateway running")
    });
    eventually("the other organization", 15, || scene.is_up(GATEWAY, OTHER));
    assert!(scene.tunnel(GATEWAY, LEFT_OUT).is_none());
    let attention = scene.status(GATEWAY)["attention"].to_string();
    for part in [
        "record-withheld",
        "no tunnels to org2: ",
        "serial 1, but serial 5",
    ] {
        assert!(attention.contains(part), "{part}: {attention}");
    }

    let ping = |from, to| scene.ping(from, to, Family::V4);
    assert_eq!(ping("orderer0.org0", "10.10.1.11"), Outcome::Reply);
    assert_ne!(ping("orderer0.org0", "10.10.2.11"), Outcome::Reply);
    assert_ne!(ping("peer0.org2", "10.10.0.11"), Outcome::Reply);

    fs::write(&record, newest).expect("a writable file");
    let rule = "from = \"gamma\"\nto = [\"10.10.0.0/24\"]\nproto = \"icmp\"";
    append(
        &scene.config(GATEWAY),
        &format!("\n[[policy.allow]]\n{rule}\n"),
    );
    scene.reload(GATEWAY);
    eventually("the organization to be back", 15, || {
        scene.is_up(GATEWAY, LEFT_OUT)
    });
    let attention = scene.status(GATEWAY)["attention"].to_string();
    assert!(!attention.contains("record-withheld"), "{attention}");
    // A rule about no member is no reason to refuse a reload, but it is named.
    for part in ["no-effect", "gateway.toml:", "org gamma is no member"] {
        assert!(attention.contains(part), "{part}: {attention}");
    }
    scene.close();
}
