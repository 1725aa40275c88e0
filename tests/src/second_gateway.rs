//! [`SecondGateway`]: a second gateway of org1's site, added to a laboratory that is up.
//!
//! ```text
//!                      ┌─ lan0 gw.org1  wan0 ─── 203.0.113.6 ──┐
//!   peer0.org1 ── vpc ─┤                                       ├─ wan
//!                      └─ lan0 gw2.org1 wan0 ─── 203.0.113.130 ┘
//! ```
//! Its files are made as an operator would: `gateway add` with the organization's CA, and the
//! record handed to all members.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ringway_config::Digest;
use ringway_lab::{program, status};
use serde_json::Value;

use crate::Scene;
use crate::daemon::{self, Daemon};
use crate::scene::eventually;

/// Its name in records and statuses.
pub const NAME: &str = "gw2.org1";

/// The gateway that the site has already.
const FIRST: &str = "gw.org1";

/// Where a second gateway is.
pub(crate) struct Place {
    /// `--site` and its value for `gateway add`.
    pub(crate) site: &'static str,
    /// Its addresses in its site.
    pub(crate) lan: [&'static str; 2],
}

/// Beside the first gateway.
const SAME_SITE: Place = Place {
    site: "vpc",
    lan: ["10.10.1.2/24", "fd00:10:1::2/64"],
};

/// What is done in its namespace; the names of interfaces are those of other gateways.
const INSIDE: &str = "link set lan0 up
address add 203.0.113.130/30 dev wan0
address add 2001:db8:0:9::2/64 dev wan0
link set wan0 up
link set lo up
route add default via 203.0.113.129
route add default via 2001:db8:0:9::1
";
const ON_THE_WAN: &str = "address add 203.0.113.129/30 dev org1b
address add 2001:db8:0:9::1/64 dev org1b
link set org1b up
";

/// The gateway. It is ended and removed when the value is dropped.
pub struct SecondGateway {
    netns: String,
    dir: PathBuf,
    binary: PathBuf,
    process: Daemon,
}

impl SecondGateway {
    /// Adds the gateway and starts it, with `binary`; returns when the others have tunnels to it.
    pub fn add(scene: &Scene, binary: &str) -> SecondGateway {
        let lab = &scene.topology().lab;
        let switch = format!("{lab}-vpc.org1");
        let gateway = SecondGateway::create(scene, binary, &SAME_SITE, &switch);
        batch(&switch, "link set gw2 master vpc up\n");

        gateway.run(scene)
    }

    /// Its namespace and files. The end `gw2` of its link to its site is in the namespace
    /// `network`.
    pub(crate) fn create(
        scene: &Scene,
        binary: &str,
        place: &Place,
        network: &str,
    ) -> SecondGateway {
        let topology = scene.topology();
        let gateway = SecondGateway {
            netns: format!("{}-{NAME}", topology.lab),
            dir: topology.dir().join("org1-second"),
            binary: binary.into(),
            process: Daemon::default(),
        };
        gateway.connect(&topology.lab.to_string(), place, network);
        gateway.create_files(scene, place);
        gateway
    }

    /// Starts it; returns when the others have tunnels to it.
    pub(crate) fn run(mut self, scene: &Scene) -> SecondGateway {
        self.start();
        self.wait_for_tunnels(scene);
        self
    }

    /// Starts it; does not wait for its tunnels.
    pub fn start(&mut self) {
        let command = self.ringway(&["run"]);
        self.process.start(command, &self.dir);
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Has it read its files again.
    pub fn reload(&self) {
        program::output(&mut self.ringway(&["reload"])).expect("its files are right");
    }

    /// Runs a shell script in its namespace.
    pub fn sh(&self, script: &str) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.netns, "sh", "-ec", script]);
        program::output(&mut command).expect("the script succeeds");
    }

    /// Waits until org0, org2 and the site's first gateway have tunnels to it.
    pub fn wait_for_tunnels(&self, scene: &Scene) {
        for other in ["gw.org0", "gw.org2", FIRST] {
            eventually(&format!("the tunnel of {other} to {NAME}"), 20, || {
                // One that has just been started does not answer yet.
                status::ask(scene, other).is_ok() && scene.is_up(other, NAME)
            });
        }
    }

    /// From its next start on it is `program`, such as one of an earlier version.
    pub fn set_program(&mut self, program: &Path) {
        self.binary = program.to_owned();
    }

    /// Its `gateway.toml`.
    pub fn config(&self) -> PathBuf {
        self.dir.join("gateway.toml")
    }

    /// Output of its `ringway status --json`.
    pub fn status(&self) -> Value {
        let printed = program::output(&mut self.ringway(&["status", "--json"]));
        serde_json::from_str(&printed.expect("it answers")).expect("the status is JSON")
    }

    /// All that it has logged.
    pub fn logged(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// The program in its namespace, with its configuration.
    pub fn ringway(&self, arguments: &[&str]) -> Command {
        daemon::ringway(&self.netns, &self.binary, &self.dir, arguments)
    }

    /// Makes its namespace and its links.
    fn connect(&self, lab: &str, place: &Place, network: &str) {
        let netns = &self.netns;
        ip(&["netns", "add", netns]);
        for (interface, switch, end) in [
            ("lan0", network.to_owned(), "gw2"),
            ("wan0", format!("{lab}-wan"), "org1b"),
        ] {
            let link = ["link", "add", interface, "netns", netns];
            let peer = ["type", "veth", "peer", "name", end, "netns", &switch];
            ip(&[&link[..], &peer].concat());
        }

        // A new address is used at once.
        let no_dad = "echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad; \
             for name in default lan0 wan0; do \
             echo 0 >/proc/sys/net/ipv6/conf/$name/accept_dad; done";
        ip(&["netns", "exec", netns, "sh", "-c", no_dad]);
        let wan = format!("{lab}-wan");
        let no_dad = "echo 0 >/proc/sys/net/ipv6/conf/org1b/accept_dad";
        ip(&["netns", "exec", &wan, "sh", "-c", no_dad]);
        for address in place.lan {
            ip(&["-n", netns, "address", "add", address, "dev", "lan0"]);
        }
        batch(netns, INSIDE);
        batch(&wan, ON_THE_WAN);
    }

    fn create_files(&self, scene: &Scene, place: &Place) {
        let first = scene.config(FIRST);
        let theirs = first.parent().expect("it lies in a directory");
        let mut add = Command::new("ip");
        add.args(["netns", "exec", &self.netns])
            .arg(&self.binary)
            .args(["gateway", "add", "gw2", "--site", place.site])
            .args(["--endpoint", "203.0.113.130:4600"])
            .args(["--endpoint", "[2001:db8:0:9::2]:4600"])
            .arg("--ca")
            .arg(theirs.join("ca"))
            .arg("--dir")
            .arg(&self.dir)
            .arg("-c")
            .arg(&first);
        for address in place.lan {
            let (address, _) = address.split_once('/').expect("it has a length");
            add.args(["--dns-listen", address]);
        }
        program::output(&mut add).expect("the CA signs for another gateway");

        share_record(scene, &theirs.join("org1.member.toml"));
    }
}

/// Hands the record with the new gateway to the others.
fn share_record(scene: &Scene, record: &Path) {
    scene.reload(FIRST);
    let digest = Digest::of(&fs::read(record).expect("it exists"));
    for other in ["gw.org0", "gw.org2"] {
        let mut add = scene.ringway(other, &["member", "add"]);
        add.arg(record).args(["--fingerprint", &digest.to_string()]);
        program::output(&mut add).expect("nothing overlaps");
        scene.reload(other);
    }
}

impl Drop for SecondGateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("── the log of {NAME}\n{}", self.logged());
        }
        self.kill();
        // Its links go with it.
        _ = Command::new("ip")
            .args(["netns", "delete", &self.netns])
            .status();
    }
}

pub(crate) fn ip(arguments: &[&str]) {
    program::output(Command::new("ip").args(arguments)).unwrap_or_else(|error| panic!("{error:#}"));
}

pub(crate) fn batch(netns: &str, lines: &str) {
    for line in lines.lines() {
        let arguments: Vec<_> = line.split(' ').collect();
        ip(&[&["-n", netns][..], &arguments].concat());
    }
}
