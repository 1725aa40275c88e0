//! [`CopiedGateway`]: a copy of a gateway of org0's site, as of a virtual machine: the same key and
//! files on another host of the same networks.
//!
//! ```text
//!                            ┌─ lan0 gw.org0  wan0 ── 203.0.113.2 ────┐
//!   orderer0.org0 ── vpc ────┼─ lan0 gw2.org0 wan0 ── 203.0.113.130 ──┼─ wan
//!                            └─ lan0 a copy   wan0 ── 203.0.113.142 ──┘
//! ```

use std::path::PathBuf;
use std::process::Command;

use ringway_lab::program;
use serde_json::Value;

use crate::Scene;
use crate::daemon::{self, Daemon};
use crate::scene::eventually_ok;
use crate::second_gateway::{batch, ip};

/// The names of interfaces are those of other gateways.
const INSIDE: &str = "address add 10.10.0.9/24 dev lan0
address add 203.0.113.142/30 dev wan0
link set lan0 up
link set wan0 up
link set lo up
route add default via 203.0.113.141
";
const ON_THE_WAN: &str = "address add 203.0.113.141/30 dev copy
link set copy up
";

/// The copy. It is ended and removed when the value is dropped.
pub struct CopiedGateway {
    netns: String,
    dir: PathBuf,
    binary: PathBuf,
    process: Daemon,
}

impl CopiedGateway {
    /// Copies `original` while it runs, and starts the copy with `binary`; returns once it answers.
    pub fn start(scene: &Scene, original: &str, binary: &str) -> CopiedGateway {
        let lab = scene.topology().lab.to_string();
        let mut copy = CopiedGateway {
            netns: format!("{lab}-copy.org0"),
            dir: scene.topology().dir().join("org0-copy"),
            binary: binary.into(),
            process: Daemon::default(),
        };
        copy.connect(&lab);

        let mut files = Command::new("cp");
        files
            .arg("-a")
            .arg(scene.beside(original, ""))
            .arg(&copy.dir);
        program::output(&mut files).expect("there is room");
        let run = copy.ringway(&["run"]);
        copy.process.start(run, &copy.dir);
        eventually_ok("the copy to answer", 10, || copy.try_status());
        copy
    }

    /// Output of its `ringway status --json`.
    pub fn status(&self) -> Value {
        self.try_status()
            .unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn try_status(&self) -> anyhow::Result<Value> {
        let printed = program::output(&mut self.ringway(&["status", "--json"]))?;

        Ok(serde_json::from_str(&printed)?)
    }

    fn ringway(&self, arguments: &[&str]) -> Command {
        daemon::ringway(&self.netns, &self.binary, &self.dir, arguments)
    }

    /// Makes its namespace and its links.
    fn connect(&self, lab: &str) {
        let netns = &self.netns;
        let (switch, wan) = (format!("{lab}-vpc.org0"), format!("{lab}-wan"));
        ip(&["netns", "add", netns]);
        for (interface, network) in [("lan0", &switch), ("wan0", &wan)] {
            let link = ["link", "add", interface, "netns", netns];
            let peer = ["type", "veth", "peer", "name", "copy", "netns", network];
            ip(&[&link[..], &peer].concat());
        }

        batch(netns, INSIDE);
        batch(&wan, ON_THE_WAN);
        batch(&switch, "link set copy master vpc up\n");
    }
}

impl Drop for CopiedGateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.join("log"));
            eprintln!("── the log of the copy\n{}", log.unwrap_or_default());
        }
        self.process.kill();
        // Its links go with it.
        _ = Command::new("ip")
            .args(["netns", "delete", &self.netns])
            .status();
    }
}
