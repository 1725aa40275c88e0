//! [`SecondGateway`]: a second gateway of org1's site, added to a laboratory that is up.
//!
//! ```text
//!                      ┌─ lan0 gw.org1  wan0 ─── 203.0.113.6 ──┐
//!   peer0.org1 ── vpc ─┤                                       ├─ wan
//!                      └─ lan0 gw2.org1 wan0 ─── 203.0.113.130 ┘
//! ```
//! Its files are made as an operator would: `gateway add` with the organization's CA, and the
//! record handed to all members.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ringway_config::Digest;
use ringway_lab::{program, status};
use serde_json::Value;

use crate::Scene;
use crate::scene::eventually;

/// Its name in records and statuses.
pub const NAME: &str = "gw2.org1";

/// The gateway that the site has already.
const FIRST: &str = "gw.org1";

/// What is done in its namespace; the names of interfaces are those of other gateways.
const INSIDE: &str = "address add 10.10.1.2/24 dev lan0
address add fd00:10:1::2/64 dev lan0
link set lan0 up
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
    process: Option<Child>,
}

impl SecondGateway {
    /// Adds the gateway and starts it, with `binary`; returns when the others have tunnels to it.
    pub fn add(scene: &Scene, binary: &str) -> SecondGateway {
        let topology = scene.topology();
        let gateway = SecondGateway {
            netns: format!("{}-{NAME}", topology.lab),
            dir: topology.dir().join("org1-second"),
            binary: binary.into(),
            process: None,
        };
        gateway.connect(&topology.lab.to_string());
        gateway.create_files(scene);

        let mut gateway = gateway;
        gateway.start();
        gateway.wait_for_tunnels(scene);
        gateway
    }

    /// Starts it; does not wait for its tunnels.
    pub fn start(&mut self) {
        let log = self.dir.join("log");
        let log = File::options().create(true).append(true).open(log);
        let log = log.expect("the laboratory's directory is writable");

        let process = self
            .command(&["run"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle can be copied"))
            .stderr(log)
            .spawn();
        self.process = Some(process.expect("it starts"));
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it has not been waited for");
            process.wait().expect("it has been killed");
        }
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

    /// Its `gateway.toml`.
    pub fn config(&self) -> PathBuf {
        self.dir.join("gateway.toml")
    }

    /// Output of its `ringway status --json`.
    pub fn status(&self) -> Value {
        let printed = program::output(&mut self.command(&["status", "--json"]));
        serde_json::from_str(&printed.expect("it answers")).expect("the status is JSON")
    }

    /// All that it has logged.
    pub fn logged(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// The program in its namespace, with its configuration.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.netns])
            .arg(&self.binary)
            .args(arguments)
            .arg("-c")
            .arg(self.dir.join("gateway.toml"));
        command
    }

    /// Makes its namespace and its links.
    fn connect(&self, lab: &str) {
        let netns = &self.netns;
        ip(&["netns", "add", netns]);
        for (interface, switch, end) in [
            ("lan0", format!("{lab}-vpc.org1"), "gw2"),
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
        batch(netns, INSIDE);
        batch(&wan, ON_THE_WAN);
        batch(&format!("{lab}-vpc.org1"), "link set gw2 master vpc up\n");
    }

    fn create_files(&self, scene: &Scene) {
        let first = scene.config(FIRST);
        let theirs = first.parent().expect("it lies in a directory");
        let mut add = Command::new("ip");
        add.args(["netns", "exec", &self.netns])
            .arg(&self.binary)
            .args(["gateway", "add", "gw2"])
            .args(["--endpoint", "203.0.113.130:4600"])
            .args(["--endpoint", "[2001:db8:0:9::2]:4600"])
            .args(["--dns-listen", "10.10.1.2"])
            .args(["--dns-listen", "fd00:10:1::2"])
            .arg("--ca")
            .arg(theirs.join("ca"))
            .arg("--dir")
            .arg(&self.dir)
            .arg("-c")
            .arg(&first);
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

fn ip(arguments: &[&str]) {
    program::output(Command::new("ip").args(arguments)).unwrap_or_else(|error| panic!("{error:#}"));
}

fn batch(netns: &str, lines: &str) {
    for line in lines.lines() {
        let arguments: Vec<_> = line.split(' ').collect();
        ip(&[&["-n", netns][..], &arguments].concat());
    }
}
