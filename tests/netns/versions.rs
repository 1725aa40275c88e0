//! Two versions side by side: one gateway runs an earlier program, and the others today's, with
//! records of version 2. One of 0.1 has them in version 1.
//!
//! `RINGWAY_OLD_BINARY` names the earlier program; `tests/campaign versions` builds the last ones
//! of 0.1 and 0.2 for it. Without it today's program stands in for one of 0.1: what is tried then
//! is that records of both versions work side by side, and nothing about the wire, whose earlier
//! messages `gateway/core/tests/codec.rs` holds byte by byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;
use ringway_lab::ping::Family;
use ringway_lab::{program, status};
use ringway_tests::scene::{append, eventually, eventually_ok, replace};
use ringway_tests::second_gateway::{self, SecondGateway};
use ringway_tests::{Pushed, Scene};
use serde_json::Value;

use crate::RINGWAY;

/// The gateway that runs the earlier program, and its peers.
const EARLIER: &str = "gw.org2";
const PEERS: [&str; 3] = ["gw.org0", "gw.org1", second_gateway::NAME];

/// The rule of `org init` in words that every version knows.
const NAMED_SERVICES: &str = "service = [\"fabric-orderer\", \"fabric-peer\", \"fabric-ca\"]";
const PORTS: &str = "proto = \"tcp\"\nports = [7050, 7051, 7054]";

/// Server, its address, and the client: through both tunnels of the earlier program's site, in both
/// directions.
const STREAMS: [(&str, &str, &str); 4] = [
    ("orderer0.org0", "10.10.0.11:7050", "peer0.org2"),
    ("peer0.org2", "10.10.2.11:7051", "orderer0.org0"),
    ("peer0.org1", "[fd00:10:1::11]:7051", "peer1.org2"),
    ("peer1.org2", "[fd00:10:2::12]:7051", "peer0.org1"),
];

#[test]
fn an_earlier_program_has_tunnels_names_and_the_zone_of_two_gateways() {
    let old = Program::of_the_environment();
    let mut scene = Scene::new("versions", RINGWAY);
    let mut second = SecondGateway::add(&scene, RINGWAY);
    append(&scene.config("gw.org1"), &record("first", "10.10.1.81"));
    append(&second.config(), &record("second", "10.10.1.82"));
    scene.reload("gw.org1");
    second.kill();
    second.start();

    scene.stop(EARLIER);
    old.own(&scene.beside(EARLIER, ""), "org2", ["org0", "org1"]);
    start(&mut scene, &old);
    wait_until_answered(&scene, "first", "10.10.1.81");
    wait_until_answered(&scene, "second", "10.10.1.82");
    status::wait_for_names(&scene, Duration::from_secs(20)).expect("every name at every host");
    let streams = streams(&scene);
    for family in [Family::V4, Family::V6] {
        scene.assert_all_reachable(family);
    }

    // A change of each of the two gateways reaches the zone that it is offered.
    replace(&scene.config("gw.org1"), "10.10.1.81", "10.10.1.83");
    scene.reload("gw.org1");
    wait_until_answered(&scene, "first", "10.10.1.83");
    replace(&second.config(), "10.10.1.82", "10.10.1.84");
    second.reload();
    wait_until_answered(&scene, "second", "10.10.1.84");

    // One of the two is away, and the earlier program is started again meanwhile.
    for stream in &streams {
        stream.wait_for(5, 20);
    }
    drop(streams);
    second.kill();
    scene.kill(EARLIER).expect("it runs");
    scene.start_program(EARLIER, &old.path).expect("it starts");
    wait_until_answered(&scene, "second", "10.10.1.84");
    wait_until_answered(&scene, "first", "10.10.1.83");
    second.start();
    wait_for_tunnels(&scene, &old);
    upgrade(&mut scene);
    assert_no_message_was_malformed(&scene);
    println!(
        "result: {} beside {}",
        old.version,
        version(Path::new(RINGWAY))
    );
    drop(second);
    scene.close();
}

/// An organization upgrades one of its gateways after the other.
#[test]
fn an_organization_whose_gateways_run_two_versions_has_the_names_of_both() {
    let old = Program::of_the_environment();
    let mut scene = Scene::new("versions-org", RINGWAY);
    let mut second = SecondGateway::add(&scene, RINGWAY);
    append(&scene.config("gw.org1"), &record("first", "10.10.1.81"));
    append(&second.config(), &record("second", "10.10.1.82"));
    scene.reload("gw.org1");
    second.kill();
    let dir = second.config();
    let dir = dir.parent().expect("it lies in a directory");
    old.own(dir, "org1", ["org0", "org2"]);

    second.set_program(&old.path);
    second.start();
    second.wait_for_tunnels(&scene);
    wait_until_answered(&scene, "first", "10.10.1.81");
    wait_until_answered(&scene, "second", "10.10.1.82");
    assert_own_hosts_find(&scene, "10.10.1.82");

    // Each changes its own names, and the other's stay.
    replace(&scene.config("gw.org1"), "10.10.1.81", "10.10.1.83");
    scene.reload("gw.org1");
    wait_until_answered(&scene, "first", "10.10.1.83");
    replace(&second.config(), "10.10.1.82", "10.10.1.84");
    second.kill();
    second.start();
    wait_until_answered(&scene, "second", "10.10.1.84");
    wait_until_answered(&scene, "first", "10.10.1.83");
    assert_own_hosts_find(&scene, "10.10.1.84");

    // A name that is removed does not stay for the other one's sake.
    replace(&scene.config("gw.org1"), "\"first\"", "\"third\"");
    scene.reload("gw.org1");
    wait_until_answered(&scene, "third", "10.10.1.83");
    wait_until_answered(&scene, "first", "");

    // The newer one is away and comes back; then the earlier one is upgraded.
    scene.kill("gw.org1").expect("it runs");
    wait_until_answered(&scene, "third", "10.10.1.83");
    wait_until_answered(&scene, "second", "10.10.1.84");
    scene.start("gw.org1").expect("it starts");
    second.wait_for_tunnels(&scene);
    second.kill();
    second.set_program(Path::new(RINGWAY));
    second.start();
    second.wait_for_tunnels(&scene);
    wait_until_answered(&scene, "second", "10.10.1.84");
    wait_until_answered(&scene, "third", "10.10.1.83");
    wait_until_answered(&scene, "first", "");
    for peer in ["gw.org0", "gw.org1"] {
        let log = scene.logged(peer);
        assert!(!log.contains("malformed"), "{peer}: {log}");
    }
    println!("result: {} of one organization", old.version);
    drop(second);
    scene.close();
}

/// The earlier program gives way to today's, which takes its files and state: that costs a restart,
/// and no stream.
fn upgrade(scene: &mut Scene) {
    let streams = streams(scene);
    for stream in &streams {
        stream.wait_for(5, 20);
    }

    scene.stop(EARLIER);
    scene.start(EARLIER).expect("it starts");
    scene.wait_until_joined().expect("the tunnels come up");
    for stream in &streams {
        stream.wait_for(5, 20);
        assert_eq!(stream.seen().connections, 1, "{:?}", stream.seen());
    }
    wait_until_answered(scene, "first", "10.10.1.83");
    wait_until_answered(scene, "second", "10.10.1.84");
}

/// The site's first gateway, which runs today's program, has the name of the second one.
fn assert_own_hosts_find(scene: &Scene, address: &str) {
    let name = "second.org1.consortium.example";
    eventually("the other gateway's name", 20, || {
        let dig = ["+short", "+tries=1", "+timeout=2", "@10.10.1.1", name];
        scene.output_of_any_exit("peer0.org1", "dig", &dig).trim() == address
    });
}

/// The program that stands for an earlier version.
struct Program {
    path: PathBuf,
    version: String,
}

impl Program {
    fn of_the_environment() -> Program {
        let Some(path) = std::env::var_os("RINGWAY_OLD_BINARY") else {
            return Program {
                path: RINGWAY.into(),
                version: "records of version 1".into(),
            };
        };

        let path = PathBuf::from(path);
        let version = version(&path);
        let ours = self::version(Path::new(RINGWAY));
        assert_ne!(version, ours, "{} is no earlier program", path.display());
        Program { path, version }
    }

    /// Makes the files in `dir` its own: nothing is remembered, and one of 0.1 has what it knows.
    fn own(&self, dir: &Path, org: &str, members: [&str; 2]) {
        fs::remove_dir_all(dir.join("state")).expect("it has run");
        if !self.version.starts_with("0.2") {
            make_earlier(dir, org, members);
        }
    }
}

fn version(program: &Path) -> String {
    let mut command = std::process::Command::new(program);
    let printed = program::output(command.arg("--version")).expect("it says its version");
    // The first word is the name of the file.
    let (_, version) = printed
        .trim()
        .split_once(' ')
        .expect("a name and a version");
    version.to_owned()
}

/// The files in `dir` as 0.1 has them.
fn make_earlier(dir: &Path, org: &str, members: [&str; 2]) {
    replace(&dir.join("gateway.toml"), NAMED_SERVICES, PORTS);
    let [one, other] = members.map(|member| format!("members/{member}"));
    for record in [org, &one, &other].map(|name| dir.join(format!("{name}.member.toml"))) {
        let text = fs::read_to_string(&record).expect("a record");
        fs::write(&record, of_version_1(&text)).expect("a writable file");
    }
}

/// A record without serial and end.
fn of_version_1(record: &str) -> String {
    let mut text = String::new();
    for line in record.lines() {
        match line {
            "version = 2" => text += "version = 1\n",
            "[end]" => (),
            _ if line.starts_with("serial = ") => (),
            _ => text = text + line + "\n",
        }
    }
    assert!(text.contains("version = 1\n"), "{record}");
    text
}

fn start(scene: &mut Scene, old: &Program) {
    scene.start_program(EARLIER, &old.path).expect("it starts");
    wait_for_tunnels(scene, old);
}

/// Waits until both ends of each tunnel of the earlier program say that it is up.
fn wait_for_tunnels(scene: &Scene, old: &Program) {
    for peer in ["gw.org0", "gw.org1"] {
        eventually(&format!("the tunnel of {peer}"), 20, || {
            scene.is_up(peer, EARLIER)
        });
    }
    eventually_ok("the tunnels of the earlier program", 20, || {
        let tunnels = status_of(scene, old)?["tunnels"].take();
        let up = |peer: &&str| is_up(&tunnels, peer);
        ensure!(PEERS.iter().all(up), "{tunnels}");
        Ok(())
    });
}

fn is_up(tunnels: &Value, peer: &str) -> bool {
    let mut tunnels = tunnels.as_array().into_iter().flatten();
    tunnels.any(|tunnel| tunnel["peer"] == peer && tunnel["state"] == "up")
}

/// What the earlier program says about itself.
fn status_of(scene: &Scene, old: &Program) -> anyhow::Result<Value> {
    let mut status = scene.command(EARLIER, &old.path)?;
    status
        .args(["status", "--json", "-c"])
        .arg(scene.config(EARLIER));
    Ok(serde_json::from_str(&program::output(&mut status)?)?)
}

fn streams(scene: &Scene) -> Vec<Pushed> {
    let mut streams = Vec::new();
    for (server, address, client) in STREAMS {
        let address = address.parse().expect("an address");
        streams.push(Pushed::start(scene, server, address, client));
    }
    streams
}

fn record(name: &str, address: &str) -> String {
    format!("\n[[dns.record]]\nname = \"{name}\"\ntype = \"A\"\ndata = \"{address}\"\n")
}

/// Waits until the gateways of org2 and org0 answer with the address of a host of org1.
fn wait_until_answered(scene: &Scene, name: &str, address: &str) {
    let name = format!("{name}.org1.consortium.example");
    for (host, server) in [
        ("peer0.org2", "@10.10.2.1"),
        ("orderer0.org0", "@10.10.0.1"),
    ] {
        eventually(&format!("{address} for {name} at {server}"), 20, || {
            let dig = ["+short", "+tries=1", "+timeout=2", server, &name];
            scene.output_of_any_exit(host, "dig", &dig).trim() == address
        });
    }
}

fn assert_no_message_was_malformed(scene: &Scene) {
    let logs = ["gw.org0", "gw.org1", EARLIER].map(|gateway| (gateway, scene.logged(gateway)));
    for (gateway, log) in logs {
        assert!(
            !log.is_empty() && !log.contains("malformed"),
            "{gateway}: {log}"
        );
    }
}
