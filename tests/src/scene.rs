//! [`Scene`]: a laboratory for one test, removed whatever becomes of the test.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;
use ringway_lab::topology::LabName;
use ringway_lab::{Lab, Options, program, status, wait};
use serde_json::Value;

/// One laboratory at a time: on two cores a second one would only disturb the first one's clocks.
static TURN: Mutex<()> = Mutex::new(());

/// How many lines of each gateway's log a failed test prints.
const LOG_LINES: usize = 60;

/// A laboratory that is up, and goes down with this value.
pub struct Scene {
    lab: Lab,
    name: LabName,
    _turn: MutexGuard<'static, ()>,
}

impl Scene {
    /// A laboratory for the test `test`, whose gateways run `binary`.
    pub fn new(test: &str, binary: &str) -> Scene {
        Scene::with(test, binary, true)
    }

    /// The same with a WAN that lets private addresses through: what a filter would hide can be seen.
    pub fn without_wan_filter(test: &str, binary: &str) -> Scene {
        Scene::with(test, binary, false)
    }

    fn with(test: &str, binary: &str, wan_filter: bool) -> Scene {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let name: LabName = format!("t{}-{test}", std::process::id())
            .parse()
            .expect("short test names");
        let options = Options {
            binary: PathBuf::from(binary),
            wan_filter,
        };
        match Lab::up(name.clone(), options, &mut |_| ()) {
            Ok((lab, _)) => Scene {
                lab,
                name,
                _turn: turn,
            },
            Err(error) => {
                print_logs(Lab::open(name.clone()).ok().flatten().as_ref());
                let removed = Lab::down(name);
                panic!("the laboratory did not come up: {error:#}; removed: {removed:?}");
            }
        }
    }

    /// What `command` prints; its failure fails the test.
    pub fn output(&self, node: &str, program: &str, arguments: &[&str]) -> String {
        let mut command = self
            .lab
            .command(node, program)
            .expect("a node of the laboratory");
        program::output(command.args(arguments))
            .unwrap_or_else(|error| panic!("at {node}: {error:#}"))
    }

    /// What iperf3 at `node` reports, told `arguments` and to report in JSON. Its server closes its port between two
    /// clients, and is asked again then.
    pub fn iperf3(&self, node: &str, arguments: &[&str]) -> Value {
        let mut command = self
            .lab
            .command(node, "iperf3")
            .expect("a node of the laboratory");
        command.args(arguments).arg("-J");
        eventually_ok("iperf3's server", 10, || {
            let output = command.output()?;
            let report: Value = serde_json::from_slice(&output.stdout)?;
            match report["error"].as_str() {
                Some(error) if error.contains("reset by peer") || error.contains("refused") => {
                    bail!("{error}")
                }
                Some(error) => panic!("iperf3 {arguments:?} at {node}: {error}"),
                None => Ok(report),
            }
        })
    }

    /// The program under test at `gateway`, with `-c` and its configuration at the end.
    pub fn ringway(&self, gateway: &str, arguments: &[&str]) -> Command {
        let mut command = self.ringway_alone(gateway, arguments);
        command.arg("-c").arg(self.config(gateway));
        command
    }

    /// The program under test at `node`, with `arguments` only.
    pub fn ringway_alone(&self, node: &str, arguments: &[&str]) -> Command {
        let mut command = self.lab.ringway(node).expect("a node of the laboratory");
        command.args(arguments);
        command
    }

    /// `gateway`'s `gateway.toml`.
    pub fn config(&self, gateway: &str) -> PathBuf {
        self.lab
            .config(gateway)
            .expect("a gateway of the laboratory")
    }

    /// A file that stands beside `gateway`'s `gateway.toml`.
    pub fn beside(&self, gateway: &str, file: &str) -> PathBuf {
        self.config(gateway)
            .parent()
            .expect("a file has a directory")
            .join(file)
    }

    /// `ringway status --json` at `gateway`.
    pub fn status(&self, gateway: &str) -> Value {
        status::ask(&self.lab, gateway).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// The tunnel from `gateway` to `peer`, if its status shows one.
    pub fn tunnel(&self, gateway: &str, peer: &str) -> Option<Value> {
        let status = self.status(gateway);
        status["tunnels"]
            .as_array()?
            .iter()
            .find(|tunnel| tunnel["peer"] == peer)
            .cloned()
    }

    /// True if `gateway` has a live tunnel to `peer`.
    pub fn is_up(&self, gateway: &str, peer: &str) -> bool {
        self.tunnel(gateway, peer)
            .is_some_and(|tunnel| tunnel["state"] == "up")
    }

    /// The verdict of `gateway` on the route to `prefix`.
    pub fn verdict(&self, gateway: &str, prefix: &str) -> Option<String> {
        let status = self.status(gateway);
        let route = status["routes"]
            .as_array()?
            .iter()
            .find(|route| route["prefix"] == prefix)?
            .clone();
        route["verdict"].as_str().map(String::from)
    }

    /// Makes `gateway` read its files again.
    pub fn reload(&self, gateway: &str) {
        self.lab
            .signal(gateway, Signal::SIGHUP)
            .expect("a gateway that was started");
    }

    /// What `gateway` has logged.
    pub fn logged(&self, gateway: &str) -> String {
        std::fs::read_to_string(self.lab.log(gateway)).unwrap_or_default()
    }

    /// Removes the laboratory and fails if that fails.
    pub fn close(self) {
        Lab::down(self.name.clone())
            .unwrap_or_else(|error| panic!("cannot remove the laboratory: {error:#}"));
    }
}

impl Deref for Scene {
    type Target = Lab;
    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl DerefMut for Scene {
    fn deref_mut(&mut self) -> &mut Lab {
        &mut self.lab
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print_logs(Some(&self.lab));
        }
        if let Err(error) = Lab::down(self.name.clone()) {
            eprintln!("cannot remove the laboratory {}: {error:#}", self.name);
        }
    }
}

/// Waits until `condition` holds; fails the test if it does not within `seconds`.
pub fn eventually(what: &str, seconds: u64, mut condition: impl FnMut() -> bool) {
    eventually_ok(what, seconds, || match condition() {
        true => Ok(()),
        false => bail!("not yet"),
    });
}

/// Waits until `attempt` succeeds and returns what it gives; the last error is in the test's failure.
pub fn eventually_ok<T>(what: &str, seconds: u64, mut attempt: impl FnMut() -> Result<T>) -> T {
    let waited = wait::until(what, Duration::from_secs(seconds), || attempt().map(Some));
    waited.unwrap_or_else(|error| panic!("{error:#}"))
}

/// Adds `text` at the end of the file `path`.
pub fn append(path: &Path, text: &str) {
    edit(path, |old| old + text);
}

/// Puts `new` in the place of `old`, which must be there, in the file `path`.
pub fn replace(path: &Path, old: &str, new: &str) {
    edit(path, |text| {
        assert!(text.contains(old), "{old:?} is not in {}", path.display());
        text.replace(old, new)
    });
}

fn edit(path: &Path, change: impl FnOnce(String) -> String) {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    std::fs::write(path, change(text))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn print_logs(lab: Option<&Lab>) {
    let Some(lab) = lab else { return };
    for gateway in lab.topology().of_kind(ringway_lab::Kind::Gateway) {
        let log = std::fs::read_to_string(lab.log(&gateway.name)).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        eprintln!("── the last lines of {}", gateway.name);
        lines
            .iter()
            .skip(lines.len().saturating_sub(LOG_LINES))
            .for_each(|line| eprintln!("{line}"));
    }
}
