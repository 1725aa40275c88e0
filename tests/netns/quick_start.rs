//! README.md, "Two organizations, step by step", word for word: its commands are read from its text
//! and run. Then, by commands alone, a third organization, a second gateway at another site, a
//! renewal with another key, a revocation and a removal.
//!
//! ```text
//!   10.1.0.11 ── acme 198.51.100.7  ─┐
//!   10.2.0.11 ── beta 203.0.113.9   ─┼─ wan (a switch)
//!   10.3.0.11 ── gamma 203.0.113.20 ─┤
//!   10.4.0.11 ── west 203.0.113.30  ─┘   the second gateway of acme
//! ```
//! Where the text leaves something out, the test does what its reader does: `…` is the
//! fingerprint, beta takes its values in the place of acme's, `run` goes on in the background, and
//! /etc/ringway is a directory of the test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::MutexGuard;

use ringway_config::Digest;
use ringway_lab::program;
use ringway_tests::scene::{eventually, take_turn};
use serde_json::Value;

use crate::RINGWAY;

const README: &str = include_str!("../../README.md");

/// The values of acme in the text, and those of the others.
const ACME: [&str; 3] = ["acme", "10.1.0.", "198.51.100.7"];
const BETA: [&str; 3] = ["beta", "10.2.0.", "203.0.113.9"];
const GAMMA: [&str; 3] = ["gamma", "10.3.0.", "203.0.113.20"];
/// The host of acme's second gateway.
const WEST: [&str; 3] = ["west", "10.4.0.", "203.0.113.30"];

#[test]
fn two_organizations_by_the_readme_and_what_comes_after() {
    let mut town = Town::new(&[ACME, BETA, GAMMA, WEST]);
    town.follow_the_readme(ACME);
    town.follow_the_readme(BETA);
    for (org, other) in [("acme", "beta"), ("beta", "acme")] {
        town.follow_the_second_part(org, other);
    }
    town.wait_for_tunnels("acme", &["gw.beta"]);
    town.assert_reached("acme", "10.2.0.11");
    town.assert_reached("beta", "10.1.0.11");
    names_are_answered(&town);

    a_third_organization_joins(&mut town);
    another_gateway_serves_another_site(&mut town);
    a_key_is_replaced(&town);

    let out = town.ringway("acme", "revoke gateway west -c gateway.toml");
    assert!(out.contains("+ revoked gateway west"), "{out}");
    town.hand_out("acme", &["beta", "gamma"]);
    town.wait_for_tunnels("beta", &["gw.acme", "gw.gamma"]);
    town.assert_cut_off("beta", "10.4.0.11");

    for org in ["acme", "beta"] {
        town.ringway(org, "member remove gamma -c gateway.toml");
        town.reload(org);
    }
    town.wait_for_tunnels("beta", &["gw.acme"]);
    town.assert_cut_off("beta", "10.3.0.11");
    town.assert_reached("beta", "10.1.0.11");
}

fn names_are_answered(town: &Town) {
    town.ringway("beta", "dns add peer0=10.2.0.11:7051 -c gateway.toml");
    town.reload("beta");

    eventually("beta's name at acme's host", 15, || {
        let peer = town.netns("acme-peer");
        let name = "peer0.beta.consortium.example";
        let mut dig = in_netns(&peer, "dig");
        dig.args(["+short", "+tries=1", "+time=1", "@10.1.0.2", name]);
        program::output(&mut dig).is_ok_and(|answer| answer.trim() == "10.2.0.11")
    });
}

fn a_third_organization_joins(town: &mut Town) {
    town.follow_the_readme(GAMMA);
    for other in ["acme", "beta"] {
        town.take("gamma", other);
        town.take(other, "gamma");
    }
    town.run("gamma");
    for other in ["acme", "beta"] {
        town.reload(other);
    }
    town.wait_for_tunnels("gamma", &["gw.acme", "gw.beta"]);
    town.assert_reached("gamma", "10.2.0.11");
}

fn another_gateway_serves_another_site(town: &mut Town) {
    let out = town.ringway(
        "acme",
        "gateway add west --site west=10.4.0.0/16 --endpoint 203.0.113.30:4600 --dns-listen \
         10.4.0.2 --ca ca -c gateway.toml",
    );
    assert!(out.contains("Hand west/ to the host of west"), "{out}");
    fs::rename(town.dir("acme").join("west"), town.dir("west")).expect("it is on this disk");
    town.hand_out("acme", &["beta", "gamma"]);

    town.ringway("west", "check -c gateway.toml");
    town.run("west");
    town.wait_for_tunnels("west", &["gw.acme", "gw.beta", "gw.gamma"]);
    town.assert_reached("beta", "10.4.0.11");
    town.assert_reached("acme", "10.4.0.11");
}

/// The old key is revoked: every tunnel that comes back uses the new one.
fn a_key_is_replaced(town: &Town) {
    let out = town.ringway("beta", "cert renew --new-key -c gateway.toml");
    let revoke = out.lines().find(|line| line.contains("ringway revoke key"));
    let revoke = revoke.expect("it says how to revoke the old key");
    let command = revoke.trim().trim_start_matches("ringway ");
    town.reload("beta");
    town.ringway("beta", command);
    town.hand_out("beta", &["acme", "gamma", "west"]);

    town.wait_for_tunnels("beta", &["gw.acme", "gw.gamma", "west.acme"]);
    town.assert_reached("acme", "10.2.0.11");
    let out = town.ringway("beta", "check -c gateway.toml");
    assert!(out.contains("Everything is in order"), "{out}");
}

/// The hosts, their networks, and the directory of each gateway.
struct Town {
    name: String,
    dir: PathBuf,
    hosts: Vec<[&'static str; 3]>,
    running: Vec<(String, Child)>,
    _turn: MutexGuard<'static, ()>,
}

impl Town {
    fn new(hosts: &[[&'static str; 3]]) -> Town {
        let turn = take_turn();
        let name = format!("quick{}", std::process::id());
        let town = Town {
            dir: std::env::temp_dir().join(&name),
            name,
            hosts: hosts.to_vec(),
            running: Vec::new(),
            _turn: turn,
        };

        fs::create_dir_all(town.dir.join("bin")).expect("it is writable");
        std::os::unix::fs::symlink(RINGWAY, town.dir.join("bin/ringway")).expect("it is new");
        let wan = town.netns("wan");
        sh(&format!(
            "ip netns add {wan}; ip -n {wan} link add wan type bridge; ip -n {wan} link set wan up"
        ));
        for host in hosts {
            town.connect(host);
        }
        town
    }

    /// A gateway's host on the WAN, and a host behind it.
    fn connect(&self, [host, net, address]: &[&str; 3]) {
        let [wan, gateway, peer] =
            ["wan", *host, &format!("{host}-peer")].map(|name| self.netns(name));
        sh(&format!(
            "ip netns add {gateway}; ip netns add {peer}
             ip link add wan0 netns {gateway} type veth peer name {host} netns {wan}
             ip link add lan0 netns {gateway} type veth peer name eth0 netns {peer}
             ip -n {wan} link set {host} master wan up
             ip -n {gateway} link set lo up
             ip -n {gateway} address add {address}/32 dev wan0
             ip -n {gateway} link set wan0 up
             ip -n {gateway} route add default dev wan0
             ip -n {gateway} address add {net}2/16 dev lan0
             ip -n {gateway} link set lan0 up
             ip -n {peer} address add {net}11/16 dev eth0
             ip -n {peer} link set eth0 up
             ip -n {peer} route add default via {net}2"
        ));
    }

    fn netns(&self, host: &str) -> String {
        format!("{}-{host}", self.name)
    }

    fn dir(&self, host: &str) -> PathBuf {
        self.dir.join(host)
    }

    /// Runs `script` on `host`, in its directory.
    fn sh(&self, host: &str, script: &str) -> String {
        let mut bash = in_netns(&self.netns(host), "bash");
        bash.args(["-ec", script])
            .current_dir(self.dir(host))
            .env("PATH", self.path());
        program::output(&mut bash).unwrap_or_else(|error| panic!("{host}: {script}: {error:#}"))
    }

    fn path(&self) -> String {
        let path = std::env::var("PATH").unwrap_or_default();
        format!("{}:{path}", self.dir.join("bin").display())
    }

    fn ringway(&self, host: &str, arguments: &str) -> String {
        self.sh(host, &format!("ringway {arguments}"))
    }

    /// The first block of commands, with the values of `host`.
    fn follow_the_readme(&self, host: [&str; 3]) {
        let [org, ..] = host;
        let dir = self.dir(org);
        fs::create_dir_all(&dir).expect("it is writable");

        let mut commands = commands(0);
        // The program is built already, and in the path.
        let build = commands.remove(0);
        assert!(
            build.starts_with("cargo build --release && install "),
            "{build}"
        );
        let script = commands.join("\n");
        assert!(script.contains("ringway org init acme "), "{script}");
        let mut script = script.replace("/etc/ringway", &dir.to_string_lossy());
        for (acmes, theirs) in ACME.iter().zip(host) {
            // With its last number, as in 10.1.0.0/16.
            script = script.replace(acmes, theirs);
        }
        self.sh(org, &script);
    }

    /// The second block, with the values of `org`, whose counterpart is `other`.
    fn follow_the_second_part(&mut self, org: &str, other: &str) {
        let record = self.bring(other, org);
        let fingerprint = fingerprint(&record);
        let commands = commands(1);
        let verbs: Vec<&str> = commands
            .iter()
            .filter_map(|command| command.split(' ').nth(1))
            .collect();
        assert_eq!(verbs, ["member", "check", "run", "status"]);

        for command in commands {
            let command = command
                .replace("beta.member.toml", &format!("{other}.member.toml"))
                .replace("sha256:…", &fingerprint);
            match command.strip_prefix("ringway run ") {
                Some(arguments) => self.start(org, arguments),
                None => _ = self.sh(org, &command),
            }
        }
    }

    /// Copies the record of `from` to the host of `to`.
    fn bring(&self, from: &str, to: &str) -> PathBuf {
        let name = format!("{from}.member.toml");
        let there = self.dir(to).join(&name);
        fs::copy(self.dir(from).join(&name), &there).expect("both directories exist");
        there
    }

    /// The host `to` takes the record of `from`.
    fn take(&self, to: &str, from: &str) {
        let fingerprint = fingerprint(&self.bring(from, to));
        let add = "member add -c gateway.toml --fingerprint";
        self.ringway(to, &format!("{add} {fingerprint} {from}.member.toml"));
    }

    /// Hands the record of `org`, which has changed, to the hosts `others`.
    fn hand_out(&self, org: &str, others: &[&str]) {
        self.reload(org);
        for other in others {
            self.take(other, org);
            self.reload(other);
        }
    }

    fn run(&mut self, host: &str) {
        self.start(host, "-c gateway.toml");
    }

    /// Starts the gateway, and waits until it answers.
    fn start(&mut self, host: &str, arguments: &str) {
        let log = File::create(self.dir(host).join("log")).expect("it is writable");
        let child = in_netns(&self.netns(host), RINGWAY)
            .arg("run")
            .args(arguments.split(' '))
            .current_dir(self.dir(host))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.running
            .push((host.to_owned(), child.expect("it starts")));
        eventually(&format!("the gateway of {host}"), 20, || {
            self.tunnels(host).is_some()
        });
    }

    fn reload(&self, host: &str) {
        let (_, child) = self
            .running
            .iter()
            .find(|(name, _)| name == host)
            .expect("it runs");
        sh(&format!("kill -HUP {}", child.id()));
    }

    /// The tunnels of the gateway that are up, by their peers; `None` if it does not answer.
    fn tunnels(&self, host: &str) -> Option<Vec<String>> {
        let mut status = in_netns(&self.netns(host), RINGWAY);
        status
            .args(["status", "--json", "-c", "gateway.toml"])
            .current_dir(self.dir(host));
        let report: Value = serde_json::from_str(&program::output(&mut status).ok()?).ok()?;

        let up = report["tunnels"]
            .as_array()?
            .iter()
            .filter(|tunnel| tunnel["state"] == "up");
        let mut peers: Vec<String> = up
            .filter_map(|tunnel| Some(tunnel["peer"].as_str()?.to_owned()))
            .collect();
        peers.sort();
        Some(peers)
    }

    /// Waits until exactly these tunnels are up.
    fn wait_for_tunnels(&self, host: &str, peers: &[&str]) {
        eventually(&format!("the tunnels of {host} to {peers:?}"), 30, || {
            self.tunnels(host).is_some_and(|up| up == peers)
        });
    }

    /// The host behind the gateway `host` reaches `address`.
    fn assert_reached(&self, host: &str, address: &str) {
        eventually(&format!("a reply of {address} to {host}"), 15, || {
            self.reaches(host, address)
        });
    }

    fn assert_cut_off(&self, host: &str, address: &str) {
        eventually(&format!("no reply of {address} to {host}"), 15, || {
            !self.reaches(host, address)
        });
    }

    fn reaches(&self, host: &str, address: &str) -> bool {
        let mut ping = in_netns(&self.netns(&format!("{host}-peer")), "ping");
        ping.args(["-c", "1", "-W", "1", address]);
        program::output(&mut ping).is_ok()
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        for (host, child) in &mut self.running {
            if std::thread::panicking() {
                let log = fs::read_to_string(self.dir.join(&*host).join("log"));
                eprintln!("── the log of {host}\n{}", log.unwrap_or_default());
            }
            _ = child.kill();
            _ = child.wait();
        }
        for [host, ..] in &self.hosts {
            for name in [self.netns(host), self.netns(&format!("{host}-peer"))] {
                _ = Command::new("ip").args(["netns", "delete", &name]).status();
            }
        }
        let wan = self.netns("wan");
        _ = Command::new("ip").args(["netns", "delete", &wan]).status();
        _ = fs::remove_dir_all(&self.dir);
    }
}

/// The commands of a block of the chapter, without comments, each in one line.
fn commands(block: usize) -> Vec<String> {
    let (_, chapter) = README
        .split_once("\n## Two organizations, step by step\n")
        .expect("the chapter is there");
    let blocks: Vec<&str> = chapter.split("```sh\n").skip(1).collect();
    let (block, _) = blocks[block].split_once("```").expect("it ends");

    let joined = block
        .lines()
        .map(|line| line.split(" #").next().unwrap_or(line).trim_end())
        .collect::<Vec<_>>()
        .join("\n")
        .replace("\\\n", " ");
    let commands = joined
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    commands.map(str::to_owned).collect()
}

fn fingerprint(record: &Path) -> String {
    Digest::of(&fs::read(record).expect("it exists")).to_string()
}

fn in_netns(netns: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", netns, program]);
    command
}

fn sh(script: &str) {
    program::output(Command::new("bash").args(["-ec", script]))
        .unwrap_or_else(|error| panic!("{script}: {error:#}"));
}
