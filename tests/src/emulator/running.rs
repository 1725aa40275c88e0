//! [`Emulator`]: a running emulator between one organization of a laboratory and all others.
//!
//! ```text
//!   gw.org0 ──── org0 │ wan │ left ═══ emulator ═══ right │ wan │ org1 ──── gw.org1
//! ```
//! It runs in the WAN's namespace. Packets from the organization are routed into the left device,
//! packets to it into the right one. Packets that leave the emulator take the WAN's ordinary
//! routes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::IpAddr;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use ringway_lab::topology::Org;
use serde_json::Value;

use crate::Scene;

/// The external addresses for translation are from these prefixes (RFC 5737, RFC 3849).
const EXTERNAL: [&str; 2] = ["198.51.100.0/24", "2001:db8:64::/48"];

/// A running emulator. It ends when the value is dropped.
pub struct Emulator {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Emulator {
    /// Starts `program` (`ringway-emulator`) and routes all packets from and to the organization
    /// `org` through it.
    pub fn install(scene: &Scene, org: &str, program: &str, seed: u64) -> Emulator {
        let mut command = scene.command("wan", program).expect("the WAN");
        command.args(["left", "right", &seed.to_string()]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut emulator = Emulator {
            child,
            input,
            output,
        };
        assert_eq!(emulator.read_line(), "ready");

        for line in routes(org).lines() {
            let arguments: Vec<_> = line.split(' ').collect();
            scene.output("wan", "ip", &arguments);
        }
        emulator
    }

    /// Applies the commands, one line each; see `emulator::command`.
    pub fn apply(&mut self, lines: &[&str]) {
        for line in lines {
            assert_eq!(self.ask(line), "ok", "{line}");
        }
    }

    /// The numbers of packets in each direction; see [`super::counts::Counts::as_json`].
    pub fn counts(&mut self) -> Value {
        serde_json::from_str(&self.ask("counts")).expect("the counts are JSON")
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").expect("the emulator runs");
        self.read_line()
    }

    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the emulator runs");
        line.trim_end().into()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Both fail only if the process has already ended.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Arguments of `ip`, one call in each line. The rules for packets that leave the emulator come
/// first, so that no packet enters it twice.
fn routes(name: &str) -> String {
    let org = Org::all()
        .find(|org| org.name == name)
        .expect("an organization of the laboratory");
    let mut text = String::new();
    for (address, family, length) in [
        (IpAddr::from(org.uplink().v4(2)), "-4", 32),
        (IpAddr::from(org.uplink().v6(2)), "-6", 128),
    ] {
        let external = EXTERNAL[usize::from(family == "-6")];
        text += &format!(
            "{family} rule add priority 100 iif left lookup main\n\
             {family} rule add priority 101 iif right lookup main\n\
             {family} rule add priority 110 iif {name} lookup 71\n\
             {family} rule add priority 111 to {address}/{length} lookup 72\n\
             {family} rule add priority 112 to {external} lookup 72\n\
             {family} route add default dev left table 71\n\
             {family} route add default dev right table 72\n"
        );
    }
    text
}
