//! One host is the gateway of its site in two consortia, with a daemon for each. They start and end
//! in any order; neither cuts the other off, and forwarding stays as long as one needs it.
//!
//! ```text
//!               ┌ ringway0 ═══ gw.org0 ── orderer0.org0      consortium.example
//!   peer0.org1 ─┤ gw.org1
//!               └ ringway1 ═══ gw.org2 ── 10.20.2.11         other.example
//! ```

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use ringway_config::Digest;
use ringway_lab::ping::{Family, Outcome};
use ringway_lab::program;
use ringway_tests::scene::replace;
use ringway_tests::{Background, Scene};

use crate::RINGWAY;

/// The host with two daemons.
const HOST: &str = "gw.org1";
/// The gateway of the other member of the second consortium.
const OTHER: &str = "gw.org2";

/// The numbers of the second daemon's routes, and those of the first.
const NUMBERS: [(&str, &str); 3] = [
    ("table = 4700", "table = 4600"),
    ("protocol = 147", "protocol = 146"),
    ("mark = 0x00002057", "mark = 0x00001057"),
];

#[test]
fn two_gateways_on_one_host_start_and_stop_without_affecting_each_other() {
    let mut scene = Scene::new("two-consortia", RINGWAY);
    leave_the_first_consortium(&scene);
    let other = join_the_second(&scene);

    let second = start(&scene, HOST, "alpha", "second");
    assert_second(&scene);
    assert_first(&scene);

    scene.stop(HOST);
    assert_second(&scene);
    scene.start(HOST).expect("the first daemon starts");
    assert_first(&scene);
    assert_second(&scene);

    second.stop(Signal::SIGTERM);
    assert_first(&scene);
    purge(&scene, "alpha");
    assert_first(&scene);
    a_second_one_with_the_same_numbers_does_not_start(&scene);

    // The second one first, and ended as a power cut does.
    scene.stop(HOST);
    let second = start(&scene, HOST, "alpha", "second-first");
    scene.start(HOST).expect("the first daemon starts");
    assert_first(&scene);
    assert_second(&scene);
    second.stop(Signal::SIGKILL);
    assert_first(&scene);

    let _second = start(&scene, HOST, "alpha", "second-again");
    assert_second(&scene);
    scene.kill(HOST).expect("the first daemon runs");
    assert_second(&scene);
    program::output(&mut scene.ringway(HOST, &["purge"])).expect("it has ended");
    assert_second(&scene);
    drop(other);
    scene.close();
}

/// Each would remove the other's routes.
fn a_second_one_with_the_same_numbers_does_not_start(scene: &Scene) {
    let config = config(scene, "alpha");
    for (of_its_own, same) in NUMBERS {
        replace(&config, of_its_own, same);
    }
    let path = config.to_string_lossy().into_owned();
    let wrong = "another ringway on this host, with the device ringway0, has routes in table 4600";
    let check = scene
        .ringway_without_config(HOST, &["check", "-c", &path])
        .output();
    let printed = check.expect("it runs");
    let printed =
        [printed.stdout, printed.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    assert!(printed.concat().contains(wrong), "{printed:?}");

    let daemon = Background::start(scene, HOST, "same-numbers", RINGWAY, &["run", "-c", &path]);
    daemon.wait_for(wrong);
    drop(daemon);
    assert_first(scene);
    for (of_its_own, same) in NUMBERS {
        replace(&config, same, of_its_own);
    }
}

/// gw.org2 is not in the first consortium any more, so that no address is in both.
fn leave_the_first_consortium(scene: &Scene) {
    scene.stop(OTHER);
    program::output(&mut scene.ringway(OTHER, &["purge"])).expect("it has ended");

    scene.sh(OTHER, "ip address add 10.20.2.1/24 dev lan0");
    scene.sh(
        "peer0.org2",
        "ip address add 10.20.2.11/24 dev eth0; \
         ip route add 10.10.1.0/24 via 10.20.2.1 src 10.20.2.11",
    );
}

/// Creates the second consortium of alpha, on `HOST`, and beta, on `OTHER`, and starts beta.
fn join_the_second(scene: &Scene) -> Background {
    init(scene, HOST, "alpha", "10.10.1.0/24", "203.0.113.6:4700");
    init(scene, OTHER, "beta", "10.20.2.0/24", "203.0.113.10:4700");
    for (node, org, member) in [(HOST, "alpha", "beta"), (OTHER, "beta", "alpha")] {
        let path = directory(scene, member).join(format!("{member}.member.toml"));
        let bytes = fs::read(&path).expect("org init has written it");
        let fingerprint = Digest::of(&bytes).to_string();
        let record = path.to_string_lossy().into_owned();
        let add = ["member", "add", &record, "--fingerprint", &fingerprint];
        ringway(scene, node, org, &add);
    }

    let config = config(scene, "alpha");
    replace(&config, "name = \"ringway0\"", "name = \"ringway1\"");
    for (of_its_own, same) in NUMBERS {
        replace(&config, same, of_its_own);
    }
    start(scene, OTHER, "beta", "beta")
}

fn init(scene: &Scene, node: &str, org: &str, prefix: &str, endpoint: &str) {
    let dir = directory(scene, org);
    fs::create_dir_all(&dir).expect("the laboratory's directory is writable");
    let site = format!("site={prefix}");
    let mut init = scene.ringway_without_config(node, &["org", "init", org]);
    init.args(["--domain", "other.example", "--site", &site])
        .args(["--endpoint", endpoint, "--listen", "0.0.0.0:4700", "--dir"])
        .arg(&dir);
    program::output(&mut init).expect("the directory is empty");
}

fn directory(scene: &Scene, org: &str) -> PathBuf {
    scene.topology().dir().join(org)
}

fn config(scene: &Scene, org: &str) -> PathBuf {
    directory(scene, org).join("gateway.toml")
}

fn ringway(scene: &Scene, node: &str, org: &str, arguments: &[&str]) {
    let mut command = scene.ringway_without_config(node, arguments);
    command.arg("-c").arg(config(scene, org));
    program::output(&mut command).unwrap_or_else(|error| panic!("{error:#}"));
}

fn purge(scene: &Scene, org: &str) {
    ringway(scene, HOST, org, &["purge"]);
}

fn start(scene: &Scene, node: &str, org: &str, label: &str) -> Background {
    let config = config(scene, org);
    let arguments = ["run", "-c", &config.to_string_lossy()];
    let daemon = Background::start(scene, node, label, RINGWAY, &arguments);
    daemon.wait_for("Gateway running");
    daemon
}

fn assert_first(scene: &Scene) {
    assert_reachable(scene, "peer0.org1", "10.10.0.11");
    assert_reachable(scene, "orderer0.org0", "10.10.1.11");
}

fn assert_second(scene: &Scene) {
    assert_reachable(scene, "peer0.org1", "10.20.2.11");
    assert_reachable(scene, "peer0.org2", "10.10.1.11");
}

fn assert_reachable(scene: &Scene, from: &str, to: &str) {
    let limit = Duration::from_secs(15);
    scene.ping_until(from, to, Family::V4, &Outcome::Reply, limit);
}
