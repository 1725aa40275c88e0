//! A newcomer's prefix overlaps that of a member. Its record is refused when it is added and when
//! it is read at run time. Only at a start without history are both prefixes conflicted.
//!
//! The newcomer exists on paper only. Its prefix lies inside org1's.

use std::path::PathBuf;
use std::time::Duration;

use ringway_lab::ping::{Family, Outcome};
use ringway_lab::{program, status};
use ringway_tests::scene::{append, eventually};
use ringway_tests::{Flow, Scene};

use crate::RINGWAY;

/// Limit for a gateway's tunnels to come up.
const JOIN: Duration = Duration::from_secs(15);

/// Org1's prefix, and the newcomer's inside it.
const INCUMBENT: &str = "10.10.1.0/24";
const NEWCOMER: &str = "10.10.1.128/25";

#[test]
fn member_add_refuses_an_overlapping_record_and_names_both_places() {
    let scene = Scene::new("overlap-add", RINGWAY);
    let record = create_newcomer(&scene);

    let refused = scene
        .ringway("gw.org0", &["member", "add"])
        .arg(&record)
        .output()
        .expect("the program under test starts");
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    for part in [
        NEWCOMER,
        INCUMBENT,
        "newcomer.member.toml:",
        "org1.member.toml:",
    ] {
        assert!(stderr.contains(part), "{part} is not in {stderr}");
    }
    assert!(!members_copy(&scene).exists());
    scene.close();
}

#[test]
fn check_refuses_an_overlapping_record_among_the_members() {
    let scene = Scene::new("overlap-check", RINGWAY);
    copy_newcomer_to_the_members(&scene);

    let check = scene
        .ringway("gw.org0", &["check"])
        .output()
        .expect("the program under test starts");
    let printed = String::from_utf8_lossy(&check.stdout) + String::from_utf8_lossy(&check.stderr);
    assert_eq!(check.status.code(), Some(64), "{printed}");
    assert!(printed.contains(NEWCOMER), "{printed}");
    assert!(printed.contains(INCUMBENT), "{printed}");
    scene.close();
}

#[test]
fn a_reload_with_an_overlapping_record_changes_nothing() {
    let scene = Scene::new("overlap-reload", RINGWAY);
    let since = || ["gw.org1", "gw.org2"].map(|peer| scene.up_since("gw.org0", peer));
    let before = since();
    let flow = Flow::start(&scene, "orderer0.org0", "peer0.org1");

    copy_newcomer_to_the_members(&scene);
    // A valid change, which must not be applied either.
    append(
        &scene.config("gw.org0"),
        "\n[[dns.record]]\nname = \"late\"\ntype = \"A\"\ndata = \"10.10.0.99\"\n",
    );
    let logged = scene.logged("gw.org0").len();
    scene.reload("gw.org0");
    eventually("the refusal in the log", 5, || {
        scene.logged("gw.org0")[logged..].contains(NEWCOMER)
    });

    let dig = ["+short", "@10.10.0.1", "late.org0.consortium.example"];
    assert_eq!(scene.output("orderer0.org0", "dig", &dig), "");
    assert_eq!(since(), before);
    assert_eq!(incumbents_verdict(&scene).as_deref(), Some("available"));
    flow.assert_none_lost("during the reload");
    scene.close();
}

/// The accepted set is stored, so after a restart the incumbent is still known as such.
#[test]
fn a_restart_with_an_overlapping_record_keeps_the_incumbent() {
    let mut scene = Scene::new("overlap-restart", RINGWAY);
    copy_newcomer_to_the_members(&scene);

    scene.stop("gw.org0");
    scene.start("gw.org0").expect("gw.org0 starts");
    status::wait_for_tunnels(&scene, "gw.org0", JOIN).expect("both tunnels come up");
    assert_eq!(incumbents_verdict(&scene).as_deref(), Some("available"));
    scene.ping_until(
        "orderer0.org0",
        "10.10.1.11",
        Family::V4,
        &Outcome::Reply,
        JOIN,
    );
    scene.close();
}

#[test]
fn a_start_without_history_treats_both_prefixes_as_conflicted() {
    let mut scene = Scene::new("overlap-cold", RINGWAY);
    copy_newcomer_to_the_members(&scene);

    scene.stop("gw.org0");
    std::fs::remove_dir_all(scene.beside("gw.org0", "state")).expect("there is a state directory");
    scene.start("gw.org0").expect("gw.org0 starts");
    status::wait_for_tunnels(&scene, "gw.org0", JOIN).expect("both tunnels come up");
    for prefix in [INCUMBENT, NEWCOMER] {
        let verdict = scene.verdict("gw.org0", prefix);
        assert_eq!(verdict.as_deref(), Some("conflicted"), "{prefix}");
    }

    for target in ["10.10.1.11", "10.10.1.129"] {
        let outcome = scene.ping("orderer0.org0", target, Family::V4);
        assert_eq!(outcome, Outcome::Unreachable, "{target}");
    }
    for (family, target) in [
        (Family::V4, "10.10.2.11"),
        (Family::V6, "fd00:10:1::11"),
        (Family::V6, "fd00:10:2::11"),
    ] {
        let outcome = scene.ping("orderer0.org0", target, family);
        assert_eq!(outcome, Outcome::Reply, "{target} is not affected");
    }
    scene.close();
}

/// Sets up the organization `newcomer`; returns the path of its record.
fn create_newcomer(scene: &Scene) -> PathBuf {
    let dir = scene.topology().dir().join("newcomer");
    let init = ["org", "init", "newcomer", "--domain", "consortium.example"];
    let mut init = scene.ringway_without_config("gw.org0", &init);
    init.arg("--site")
        .arg(format!("vpc={NEWCOMER}"))
        .arg("--dir")
        .arg(&dir);
    program::output(&mut init).expect("the newcomer's own files are valid");
    dir.join("newcomer.member.toml")
}

/// Puts the newcomer's record among gw.org0's members by hand, past `member add`.
fn copy_newcomer_to_the_members(scene: &Scene) {
    let record = create_newcomer(scene);
    std::fs::copy(record, members_copy(scene)).expect("the record can be copied");
}

fn members_copy(scene: &Scene) -> PathBuf {
    scene.beside("gw.org0", "members/newcomer.member.toml")
}

fn incumbents_verdict(scene: &Scene) -> Option<String> {
    scene.verdict("gw.org0", INCUMBENT)
}
