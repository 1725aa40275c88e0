//! The laboratory's command line as a user or a script meets it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::MutexGuard;
use std::thread;

use nix::sys::signal::Signal;
use ringway_lab::network;
use ringway_lab::process::Process;
use ringway_tests::scene::{eventually, take_turn};
use serde_json::Value;

use crate::{LAB, RINGWAY};

/// A laboratory's name, with the commands about it. The laboratory is removed at the end.
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
            .expect("the laboratory's program starts")
    }

    /// Stdout of a run that has to succeed.
    fn output(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn exit_code(&self, arguments: &[&str]) -> Option<i32> {
        self.run(arguments).status.code()
    }

    /// The machines in the output of `status --json`.
    fn machines(&self) -> Vec<Value> {
        let json = self.output(&["status", "--json"]);
        let status: Value = serde_json::from_str(&json).expect("the status is JSON");
        status["nodes"].as_array().expect("a list").clone()
    }

    /// Process numbers of the running gateways.
    fn gateway_pids(&self) -> Vec<u64> {
        self.machines()
            .iter()
            .filter_map(|node| node["pid"].as_u64())
            .collect()
    }

    /// Number of this laboratory's namespaces.
    fn namespaces(&self) -> usize {
        let prefix = format!("{}-", self.0);
        let all = network::namespaces().expect("ip lists the namespaces");
        all.iter().filter(|name| name.starts_with(&prefix)).count()
    }

    /// The rules of the WAN's packet filter.
    fn wan_filter(&self) -> String {
        self.output(&["exec", "wan", "--", "nft", "list", "table", "inet", "wan"])
    }

    /// Fails the test if a namespace, file or directory of this laboratory is left.
    fn assert_gone(&self) {
        assert_eq!(self.namespaces(), 0);
        for directory in ["/run/ringway-lab", "/etc/netns"] {
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            let left: Vec<_> = entries
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .filter(|name| name.starts_with(&self.0))
                .collect();
            assert!(left.is_empty(), "left in {directory}: {left:?}");
        }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // A test that has failed may have removed it already.
        _ = self.run(&["down"]);
    }
}

/// A laboratory that is up, and the turn that keeps other tests from having one.
struct Up {
    lab: Named,
    _turn: MutexGuard<'static, ()>,
}

impl Up {
    fn new(suffix: &str) -> Up {
        let turn = take_turn();
        let lab = Named::new(suffix);
        lab.output(&["up"]);
        Up { lab, _turn: turn }
    }
}

#[test]
fn two_laboratories_exist_side_by_side_and_leave_nothing_behind() {
    let _turn = take_turn();
    let one = Named::new("one");
    let two = Named::new("two");
    thread::scope(|scope| {
        scope.spawn(|| one.output(&["up"]));
        scope.spawn(|| two.output(&["up"]));
    });
    assert_eq!(one.namespaces(), 13);
    assert_eq!(two.namespaces(), 13);

    let pids = two.gateway_pids();
    one.output(&["down"]);
    one.assert_gone();
    assert_eq!(
        two.gateway_pids(),
        pids,
        "`down` has ended another's gateways"
    );

    two.output(&["down"]);
    assert_eq!(two.exit_code(&["down"]), Some(0), "there is nothing to do");
    two.assert_gone();
    assert_eq!(two.exit_code(&["status"]), Some(1), "there is none to show");
}

#[test]
fn the_status_lists_every_machine_and_where_to_find_it() {
    let Up { lab, _turn } = Up::new("status");
    let machines = lab.machines();

    let names: Vec<_> = machines
        .iter()
        .filter_map(|node| node["name"].as_str())
        .collect();
    assert_eq!(
        names.join(" "),
        "orderer0.org0 orderer1.org0 peer0.org1 peer1.org1 peer0.org2 peer1.org2 \
         gw.org0 gw.org1 gw.org2 wan"
    );
    assert_eq!(machines[2]["fqdn"], "peer0.org1.consortium.example");
    assert_eq!(machines[2]["netns"], format!("{}-peer0.org1", lab.0));
    for gateway in machines.iter().filter(|node| node["kind"] == "gateway") {
        let config = gateway["config"].as_str().expect("a path");
        assert!(Path::new(config).is_file(), "{gateway}");
        assert!(gateway["pid"].is_u64(), "{gateway}");
    }
}

#[test]
fn exec_runs_a_command_on_a_machine_with_its_resolver_input_and_exit_code() {
    let Up { lab, _turn } = Up::new("exec");

    let ping = ["exec", "peer0.org1", "--", "ping", "-c", "1", "-W", "2"];
    let code = lab.exit_code(&[&ping[..], &["peer0.org2"]].concat());
    assert_eq!(code, Some(0), "a short name does not resolve");

    let upper_case = ["exec", "peer0.org1", "--", "tr", "a-z", "A-Z"];
    let printed = output_with_input(&mut lab.command(&upper_case), "through");
    assert_eq!(printed, "THROUGH");

    let exit = ["exec", "peer0.org1", "--", "sh", "-c", "exit 7"];
    assert_eq!(lab.exit_code(&exit), Some(7));
    let unknown = ["exec", "peer9.org1", "--", "true"];
    assert_eq!(
        lab.exit_code(&unknown),
        Some(64),
        "there is no such machine"
    );
    let incomplete = ["exec", "peer0.org1"];
    assert_eq!(lab.exit_code(&incomplete), Some(64), "there is no command");
}

#[test]
fn a_second_up_applies_its_options_and_leaves_running_gateways_alone() {
    let Up { lab, _turn } = Up::new("again");
    let pids = lab.gateway_pids();

    assert!(lab.output(&["up"]).contains("already"));
    assert!(lab.wan_filter().contains("drop"));

    assert!(lab.output(&["up", "--no-wan-filter"]).contains("already"));
    assert!(!lab.wan_filter().contains("drop"));
    assert_eq!(lab.gateway_pids(), pids);
}

#[test]
fn up_recovers_a_laboratory_whose_creation_was_killed() {
    let _turn = take_turn();
    let lab = Named::new("killed");
    let mut up = lab
        .command(&["up"])
        .spawn()
        .expect("the laboratory's program starts");
    eventually("some namespaces", 10, || lab.namespaces() > 3);
    up.kill().expect("it still runs");
    up.wait().expect("it was killed");

    lab.output(&["up"]);
    assert_eq!(lab.gateway_pids().len(), 3);
    lab.output(&["down"]);
    lab.assert_gone();
}

#[test]
fn up_starts_a_gateway_that_was_killed() {
    let Up { lab, _turn } = Up::new("gateway");
    let pid = u32::try_from(lab.gateway_pids()[1]).expect("a process number");
    let gateway = Process::of(pid).expect("gw.org1 runs");
    gateway.signal(Signal::SIGKILL);
    eventually("the gateway's end", 5, || !gateway.is_alive());
    assert_eq!(
        lab.gateway_pids().len(),
        2,
        "`status` shows an ended process"
    );

    assert!(lab.output(&["up"]).contains("started again: gw.org1"));
    assert_eq!(lab.gateway_pids().len(), 3);
}

#[test]
fn namespaces_of_others_are_left_alone_whatever_their_names() {
    let _turn = take_turn();
    let lab = Named::new("foreign");
    let netns = format!("{}-peer0.org1", lab.0);
    let ip = |arguments: &[&str]| {
        let status = Command::new("ip").args(arguments).status();
        assert!(status.expect("ip runs").success(), "{arguments:?}");
    };
    ip(&["netns", "add", &netns]);
    let sleeper = Command::new("ip")
        .args(["netns", "exec", &netns, "sleep", "600"])
        .spawn();
    let mut sleeper = sleeper.expect("a process of somebody else");

    assert_eq!(lab.exit_code(&["up"]), Some(1), "the name is taken");
    assert_eq!(lab.exit_code(&["down"]), Some(0));
    assert_eq!(lab.namespaces(), 1, "it was there before");
    assert!(sleeper.try_wait().expect("ours").is_none(), "it was killed");

    // Made again by somebody else while the laboratory is up.
    ip(&["netns", "delete", &netns]);
    lab.output(&["up"]);
    ip(&["netns", "delete", &netns]);
    ip(&["netns", "add", &netns]);
    lab.output(&["down"]);
    assert_eq!(lab.namespaces(), 1);
    ip(&["netns", "delete", &netns]);
    sleeper.kill().expect("it still runs");
    sleeper.wait().expect("it was killed");
    lab.assert_gone();
}

#[test]
fn a_site_with_siblings_has_a_second_gateway_and_an_address_that_its_hosts_use() {
    let _turn = take_turn();
    let lab = Named::new("siblings");
    lab.output(&["up", "--with", "siblings"]);
    assert_eq!(lab.gateway_pids().len(), 4);

    let route = [
        "exec",
        "orderer0.org0",
        "--",
        "ip",
        "route",
        "get",
        "10.10.1.11",
    ];
    let route = lab.output(&route);
    assert!(route.contains("via 10.10.0.3"), "{route}");
    let ping = ["exec", "orderer0.org0", "--", "ping", "-c", "1", "-W", "2"];
    let code = lab.exit_code(&[&ping[..], &["peer0.org2"]].concat());
    assert_eq!(code, Some(0));

    assert_eq!(lab.exit_code(&["up"]), Some(1), "another one is up");
    assert_eq!(lab.gateway_pids().len(), 4);
    lab.output(&["down"]);
    lab.assert_gone();
}

#[test]
fn a_data_centre_has_a_host_that_is_attached_from_behind_nat() {
    let _turn = take_turn();
    let lab = Named::new("attach");
    lab.output(&["up", "--with", "attach"]);

    let machines = lab.machines();
    let host = machines.iter().find(|node| node["kind"] == "attached");
    let host = host.expect("it is listed");
    assert_eq!(host["fqdn"], "dc0.org0.consortium.example");
    assert!(host["pid"].is_u64(), "{host}");
    let ping = ["exec", "dc0.org0", "--", "ping", "-c", "1", "-W", "2"];
    assert_eq!(
        lab.exit_code(&[&ping[..], &["peer0.org2"]].concat()),
        Some(0)
    );

    let with_both = ["up", "--with", "attach", "--with", "siblings"];
    assert_eq!(lab.exit_code(&with_both), Some(1), "another one is up");
    assert!(lab.output(&["up", "--with", "attach"]).contains("already"));
    lab.output(&["down"]);
    lab.assert_gone();
}

#[test]
fn the_demonstration_passes_and_leaves_nothing_behind() {
    let _turn = take_turn();
    let lab = Named::new("demo");
    let summary = lab.output(&["demo"]);
    assert!(summary.contains("15 of 15 steps passed"), "{summary}");
    assert!(!summary.contains('✗'), "{summary}");
    lab.assert_gone();
}

#[test]
fn an_interrupted_demonstration_fails_and_leaves_nothing_behind() {
    let _turn = take_turn();
    let lab = Named::new("ctrl-c");
    let demo = lab
        .command(&["demo"])
        .stdout(Stdio::null())
        .spawn()
        .expect("the laboratory's program starts");
    eventually("some namespaces", 10, || lab.namespaces() > 3);

    Process::of(demo.id())
        .expect("the demonstration runs")
        .signal(Signal::SIGINT);
    let output = demo.wait_with_output().expect("the demonstration ends");
    assert_eq!(output.status.code(), Some(1));
    lab.assert_gone();
}

/// Stdout of `command` with `input` on its stdin.
fn output_with_input(command: &mut Command, input: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts");
    child
        .stdin
        .take()
        .expect("stdin is a pipe")
        .write_all(input.as_bytes())
        .expect("the command reads");

    let output = child.wait_with_output().expect("the command ends");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
