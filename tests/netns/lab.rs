//! `ringway lab` from outside: the command line as a user or a script meets it.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`), twice at the same time.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use ringway_lab::process::Process;
use ringway_tests::scene::eventually;
use serde_json::Value;

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");
const LAB: &str = env!("CARGO_BIN_EXE_ringway-lab-under-test");

/// A laboratory by its name, removed at the end.
struct Named(String);

impl Named {
    fn new(suffix: &str) -> Named {
        Named(format!("t{}-{suffix}", std::process::id()))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(LAB);
        command
            .args(["--ringway", RINGWAY, "--name", &self.0])
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .output()
            .expect("the program under test runs")
    }

    /// What a successful run prints.
    fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn status(&self) -> Vec<Value> {
        let status: Value = serde_json::from_str(&self.says(&["status", "--json"])).expect("JSON");
        status["nodes"].as_array().expect("nodes").clone()
    }

    fn gateway_pids(&self) -> Vec<u64> {
        self.status()
            .iter()
            .filter_map(|node| node["pid"].as_u64())
            .collect()
    }

    /// This laboratory's namespaces.
    fn namespaces(&self) -> usize {
        let all = ringway_lab::network::namespaces().expect("ip runs");
        all.iter()
            .filter(|name| name.starts_with(&format!("{}-", self.0)))
            .count()
    }

    /// Nothing of it may be left.
    fn assert_gone(&self) {
        assert_eq!(self.namespaces(), 0);
        for directory in ["/run/ringway-lab", "/etc/netns"] {
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            let left: Vec<_> = entries
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect();
            assert!(
                !left.iter().any(|entry| entry.starts_with(&self.0)),
                "left in {directory}: {left:?}"
            );
        }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = self.run(&["down"]);
    }
}

#[test]
fn two_laboratories_live_side_by_side_and_go_without_a_trace() {
    let (one, two) = (Named::new("one"), Named::new("two"));
    std::thread::scope(|scope| {
        scope.spawn(|| one.says(&["up"]));
        scope.spawn(|| two.says(&["up"]));
    });
    assert_eq!((one.namespaces(), two.namespaces()), (13, 13));

    let nodes = one.status();
    let names: Vec<_> = nodes
        .iter()
        .filter_map(|node| node["name"].as_str())
        .collect();
    assert_eq!(
        names.join(" "),
        "orderer0.org0 orderer1.org0 peer0.org1 peer1.org1 peer0.org2 peer1.org2 gw.org0 gw.org1 gw.org2 wan"
    );
    for node in nodes.iter().filter(|node| node["kind"] == "gateway") {
        let config = node["config"]
            .as_str()
            .expect("a gateway has a configuration");
        assert!(
            std::path::Path::new(config).is_file() && node["pid"].is_u64(),
            "{node}"
        );
    }
    assert_eq!(nodes[2]["fqdn"], "peer0.org1.consortium.example");
    assert_eq!(nodes[2]["netns"], format!("{}-peer0.org1", one.0));

    let mut ping = one.command(&[
        "exec",
        "peer0.org1",
        "--",
        "ping",
        "-c",
        "1",
        "-W",
        "2",
        "peer0.org2",
    ]);
    assert!(
        ping.output().expect("exec runs").status.success(),
        "short names of other organizations resolve"
    );
    assert_eq!(
        fed(
            &mut one.command(&["exec", "peer0.org1", "--", "tr", "a-z", "A-Z"]),
            "through"
        ),
        "THROUGH"
    );
    assert_eq!(
        one.run(&["exec", "peer0.org1", "--", "sh", "-c", "exit 7"])
            .status
            .code(),
        Some(7)
    );
    assert_eq!(
        one.run(&["exec", "peer9.org1", "--", "true"]).status.code(),
        Some(64)
    );
    assert_eq!(
        one.run(&["exec", "peer0.org1"]).status.code(),
        Some(64),
        "a command is required"
    );

    let (pids_one, pids_two) = (one.gateway_pids(), two.gateway_pids());
    assert!(one.says(&["up"]).contains("already"));
    assert!(wan_filter(&one).contains("drop"));
    assert!(one.says(&["up", "--no-wan-filter"]).contains("already"));
    assert!(
        !wan_filter(&one).contains("drop"),
        "an option given later counts too"
    );
    assert_eq!(
        one.gateway_pids(),
        pids_one,
        "a second `up` leaves running gateways alone"
    );
    one.says(&["down"]);
    one.assert_gone();
    assert_eq!(
        two.gateway_pids(),
        pids_two,
        "removing one laboratory leaves the other alone"
    );
    two.says(&["down"]);
    two.says(&["down"]);
    two.assert_gone();
}

#[test]
fn a_laboratory_whose_making_or_gateway_was_killed_is_recovered() {
    let lab = Named::new("killed");
    let mut up = lab
        .command(&["up"])
        .spawn()
        .expect("the program under test runs");
    eventually("some namespaces", 10, || lab.namespaces() > 3);
    up.kill().expect("it still runs");
    up.wait().expect("it was killed");
    lab.says(&["up"]);
    assert_eq!(lab.gateway_pids().len(), 3);

    let victim =
        Process::of(u32::try_from(lab.gateway_pids()[1]).expect("a pid")).expect("it runs");
    victim.signal(Signal::SIGKILL);
    eventually("the gateway's end", 5, || !victim.is_alive());
    assert_eq!(
        lab.gateway_pids().len(),
        2,
        "`status` shows no process that has ended"
    );
    assert!(lab.says(&["up"]).contains("started again: gw.org1"));
    assert_eq!(lab.gateway_pids().len(), 3);
    lab.says(&["down"]);
    lab.assert_gone();
    assert_eq!(
        lab.run(&["status"]).status.code(),
        Some(1),
        "there is nothing to show"
    );
}

#[test]
fn the_demonstration_passes_and_leaves_nothing() {
    let lab = Named::new("demo");
    let summary = lab.says(&["demo"]);
    assert!(summary.contains("9 of 9 steps passed"), "{summary}");
    assert!(!summary.contains('✗'), "{summary}");
    lab.assert_gone();
}

#[test]
fn an_interrupted_demonstration_fails_and_leaves_nothing() {
    let lab = Named::new("ctrl-c");
    let demo = lab
        .command(&["demo"])
        .stdout(Stdio::null())
        .spawn()
        .expect("the program under test runs");
    eventually("some namespaces", 10, || lab.namespaces() > 3);
    Process::of(demo.id())
        .expect("it runs")
        .signal(Signal::SIGINT);
    let output = demo.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    lab.assert_gone();
}

fn wan_filter(lab: &Named) -> String {
    lab.says(&["exec", "wan", "--", "nft", "list", "table", "inet", "wan"])
}

/// What `command` prints when `input` is on its stdin.
fn fed(command: &mut Command, input: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(input.as_bytes())
        .expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
