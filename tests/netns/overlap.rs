//! The overlap rule in its three forms: a newcomer's record is refused when it is added, refused whole when it
//! is read at run time, and only at a cold start without history are both sides conflicted.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`); the newcomer exists on paper only,
//! with a range inside org1's.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use ringway_lab::ping::{self, Family, Outcome};
use ringway_lab::{program, status};
use ringway_tests::scene::{append, eventually};
use ringway_tests::{Flow, Scene};

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");

const JOIN: Duration = Duration::from_secs(15);
/// Inside org1's 10.10.1.0/24.
const TAKEN: &str = "10.10.1.128/25";

#[test]
fn an_overlapping_newcomer_never_knocks_out_an_incumbent() {
    let mut scene = Scene::new("overlap", RINGWAY);
    let record = newcomer(&scene);
    member_add_refuses_it(&scene, &record);
    std::fs::copy(
        &record,
        scene.beside("gw.org0", "members/newcomer.member.toml"),
    )
    .expect("a copy by hand");
    check_names_both_places(&scene);
    a_reload_refuses_it_whole(&scene);
    a_restart_decides_the_same(&mut scene);
    a_cold_start_without_history_shows_both_conflicted(&mut scene);
    scene.close();
}

fn newcomer(scene: &Scene) -> PathBuf {
    let dir = scene.topology().dir().join("newcomer");
    let mut init = scene.ringway_alone(
        "gw.org0",
        &["org", "init", "newcomer", "--domain", "consortium.example"],
    );
    init.arg("--site")
        .arg(format!("vpc={TAKEN}"))
        .arg("--dir")
        .arg(&dir);
    program::output(&mut init).expect("an organization of its own");
    dir.join("newcomer.member.toml")
}

fn member_add_refuses_it(scene: &Scene, record: &PathBuf) {
    let refused = scene
        .ringway("gw.org0", &["member", "add"])
        .arg(record)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    for part in [
        TAKEN,
        "10.10.1.0/24",
        "newcomer.member.toml:",
        "org1.member.toml:",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(
        !scene
            .beside("gw.org0", "members/newcomer.member.toml")
            .exists()
    );
}

fn check_names_both_places(scene: &Scene) {
    let check = scene
        .ringway("gw.org0", &["check"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&check.stdout) + String::from_utf8_lossy(&check.stderr);
    assert_eq!(check.status.code(), Some(64), "{said}");
    assert!(
        said.contains(TAKEN) && said.contains("10.10.1.0/24"),
        "{said}"
    );
}

/// Nothing of the new files takes effect, not even what is right in them.
fn a_reload_refuses_it_whole(scene: &Scene) {
    let since = |peer| scene.tunnel("gw.org0", peer).expect("a tunnel")["since"].clone();
    let before = [since("gw.org1"), since("gw.org2")];
    let flow = Flow::start(scene, "orderer0.org0", "peer0.org1");
    append(
        &scene.config("gw.org0"),
        "\n[[dns.record]]\nname = \"late\"\ntype = \"A\"\ndata = \"10.10.0.99\"\n",
    );
    let logged = scene.logged("gw.org0").len();
    scene.reload("gw.org0");
    eventually("the refusal in the log", 5, || {
        scene.logged("gw.org0")[logged..].contains(TAKEN)
    });
    let late = scene.output(
        "orderer0.org0",
        "dig",
        &["+short", "@10.10.0.1", "late.org0.consortium.example"],
    );
    assert_eq!(late, "", "a record from the refused files");
    assert_eq!([since("gw.org1"), since("gw.org2")], before);
    assert_eq!(
        scene.verdict("gw.org0", "10.10.1.0/24").as_deref(),
        Some("available")
    );
    let tally = flow.stop();
    assert!(tally.lost == 0 && tally.replies > 0, "{tally:?}");
}

/// The accepted set is remembered: a restart does not turn an incumbent into one of two equals.
fn a_restart_decides_the_same(scene: &mut Scene) {
    stop(scene);
    scene.start("gw.org0").expect("it starts");
    status::wait_for_tunnels(scene, "gw.org0", JOIN).expect("both tunnels");
    assert_eq!(
        scene.verdict("gw.org0", "10.10.1.0/24").as_deref(),
        Some("available")
    );
    ping::until(
        scene,
        "orderer0.org0",
        "10.10.1.11",
        Family::V4,
        &Outcome::Reply,
        JOIN,
    )
    .expect("the incumbent");
}

fn a_cold_start_without_history_shows_both_conflicted(scene: &mut Scene) {
    stop(scene);
    std::fs::remove_dir_all(scene.beside("gw.org0", "state")).expect("the gateway's memory");
    scene.start("gw.org0").expect("it starts");
    status::wait_for_tunnels(scene, "gw.org0", JOIN).expect("both tunnels");
    for prefix in ["10.10.1.0/24", TAKEN] {
        assert_eq!(
            scene.verdict("gw.org0", prefix).as_deref(),
            Some("conflicted"),
            "{prefix}"
        );
    }
    let to = |target| {
        ping::once(
            scene,
            "orderer0.org0",
            target,
            if str::contains(target, ':') {
                Family::V6
            } else {
                Family::V4
            },
        )
    };
    for target in ["10.10.1.11", "10.10.1.129"] {
        assert_eq!(
            to(target).expect("ping runs"),
            Outcome::Unreachable,
            "{target}"
        );
    }
    for target in ["10.10.2.11", "fd00:10:1::11", "fd00:10:2::11"] {
        assert_eq!(
            to(target).expect("ping runs"),
            Outcome::Reply,
            "everything else works: {target}"
        );
    }
}

fn stop(scene: &Scene) {
    scene.signal("gw.org0", Signal::SIGTERM).expect("it runs");
    scene
        .process("gw.org0")
        .expect("it ran")
        .wait(JOIN)
        .expect("it ends");
}
