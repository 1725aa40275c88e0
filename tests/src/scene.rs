//! [`Scene`]: a laboratory for one test, removed whether the test passes or fails.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;
use ringway_lab::ping::{self, Family, Outcome};
use ringway_lab::topology::{Equipment, LabName};
use ringway_lab::{Lab, Options, Step, program, status, wait, wan};
use serde_json::Value;

/// Held by each test that has a laboratory. On two cores, a second laboratory would delay the first
/// one's gateways, and the tests measure time.
static TURN: Mutex<()> = Mutex::new(());

/// Held by each test with a laboratory that mostly waits.
static TURN_OF_THOSE_THAT_WAIT: Mutex<()> = Mutex::new(());

/// Number of lines of each gateway's log that a failed test prints.
const LOG_LINES: usize = 60;

/// A laboratory that is up. It is removed when the value is dropped.
pub struct Scene {
    lab: Lab,
    name: LabName,
    turn: Option<MutexGuard<'static, ()>>,
}

/// Waits until no other test of this process has a laboratory, but for one that mostly waits.
pub fn take_turn() -> MutexGuard<'static, ()> {
    take(&TURN)
}

fn take(turn: &'static Mutex<()>) -> MutexGuard<'static, ()> {
    // A failed test poisons the mutex, which protects no data.
    turn.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an iperf3 client says while its server is not ready for it.
const PASSING: [&str; 3] = ["reset by peer", "refused", "server is busy"];

impl Scene {
    /// A laboratory for the test `test` (at most 20 bytes), whose gateways run `binary`.
    pub fn new(test: &str, binary: &str) -> Scene {
        Scene::with(&TURN, test, options(binary))
    }

    /// Like [`Scene::new`], with a second gateway at org0's site, and virtual addresses there.
    pub fn with_siblings(test: &str, binary: &str) -> Scene {
        Scene::with_equipment(test, binary, Equipment::SIBLINGS)
    }

    /// Like [`Scene::new`], with `equipment`.
    pub fn with_equipment(test: &str, binary: &str, equipment: Equipment) -> Scene {
        let options = Options {
            equipment,
            ..options(binary)
        };
        Scene::with(&TURN, test, options)
    }

    /// Like [`Scene::new`], for a test that mostly waits, for longer than ten seconds, and on which
    /// a busy machine has no effect: it runs beside those that take their turn.
    pub fn beside_others(test: &str, binary: &str) -> Scene {
        Scene::with(&TURN_OF_THOSE_THAT_WAIT, test, options(binary))
    }

    /// Like [`Scene::beside_others`], with a second gateway as in [`Scene::with_siblings`].
    pub fn siblings_beside_others(test: &str, binary: &str) -> Scene {
        let options = Options {
            equipment: Equipment::SIBLINGS,
            ..options(binary)
        };
        Scene::with(&TURN_OF_THOSE_THAT_WAIT, test, options)
    }

    /// Like [`Scene::new`], with a WAN that forwards private addresses, so that a leak can be seen.
    pub fn without_wan_filter(test: &str, binary: &str) -> Scene {
        let options = Options {
            wan_filter: false,
            ..options(binary)
        };
        Scene::with(&TURN, test, options)
    }

    fn with(turn: &'static Mutex<()>, test: &str, options: Options) -> Scene {
        let name: LabName = format!("t{}-{test}", std::process::id())
            .parse()
            .expect("test names are short");

        // Namespaces and files are made beside the test before this one.
        let mut taken = None;
        let mut report = |step| {
            if step == Step::Gateways {
                taken = Some(take(turn));
            }
        };
        match Lab::up(name.clone(), options, &mut report) {
            Ok((lab, _)) => Scene {
                lab,
                name,
                turn: taken,
            },
            Err(error) => {
                if let Ok(Some(lab)) = Lab::open(name.clone()) {
                    print_logs(&lab);
                }
                let removed = Lab::down(name);
                panic!("the laboratory did not come up: {error:#}; removed: {removed:?}");
            }
        }
    }

    /// Runs `program` at `node` and returns its stdout; its failure fails the test.
    pub fn output(&self, node: &str, program: &str, arguments: &[&str]) -> String {
        let mut command = self.machine_command(node, program);
        program::output(command.args(arguments))
            .unwrap_or_else(|error| panic!("at {node}: {error:#}"))
    }

    /// Runs `program` at `node` and returns its stdout followed by its stderr, whatever its exit
    /// code.
    pub fn output_of_any_exit(&self, node: &str, program: &str, arguments: &[&str]) -> String {
        let output = self
            .machine_command(node, program)
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("{program} at {node}: {error}"));
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    }

    /// Runs a shell script at `node` and returns its stdout; its failure fails the test.
    pub fn sh(&self, node: &str, script: &str) -> String {
        self.output(node, "bash", &["-ec", script])
    }

    fn machine_command(&self, node: &str, program: &str) -> Command {
        self.lab
            .command(node, program)
            .expect("a machine of the laboratory")
    }

    /// The JSON report of the iperf3 client at `node`; its failure fails the test.
    pub fn iperf3(&self, node: &str, arguments: &[&str]) -> Value {
        let report = self.iperf3_of_any_result(node, arguments);
        if let Some(error) = report["error"].as_str() {
            panic!("iperf3 {arguments:?} at {node}: {error}");
        }
        report
    }

    /// The JSON report of the iperf3 client at `node`, which may say `error`.
    ///
    /// An iperf3 server closes its port for a moment between two clients, and is busy until it has
    /// noticed that the one before has gone: both are tried again.
    pub fn iperf3_of_any_result(&self, node: &str, arguments: &[&str]) -> Value {
        let mut command = self.machine_command(node, "iperf3");
        command.args(arguments).arg("-J");

        eventually_ok("iperf3's server", 10, || {
            let output = command.output()?;
            let report: Value = serde_json::from_slice(&output.stdout)?;
            match report["error"].as_str() {
                Some(error) if PASSING.iter().any(|passing| error.contains(passing)) => {
                    bail!("{error}")
                }
                _ => Ok(report),
            }
        })
    }

    /// Sends one ping; waits a second for the answer.
    pub fn ping(&self, from: &str, to: &str, family: Family) -> Outcome {
        ping::once(&self.lab, from, to, family).expect("ping runs")
    }

    /// Pings until the outcome is `expected`; fails the test after `limit`.
    pub fn ping_until(
        &self,
        from: &str,
        to: &str,
        family: Family,
        expected: &Outcome,
        limit: Duration,
    ) {
        ping::until(&self.lab, from, to, family, expected, limit)
            .unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// Fails the test if a node gets no reply from another.
    pub fn assert_all_reachable(&self, family: Family) {
        let pairs = ping::all_pairs(&self.lab, family).expect("ping runs");
        assert!(
            pairs.failed.is_empty(),
            "{family:?}: {} of {} pings failed: {:#?}",
            pairs.failed.len(),
            pairs.tried,
            pairs.failed
        );
    }

    /// Fails the test if a private address was seen on the WAN.
    pub fn assert_no_leaks(&self) {
        let wan = self.lab.node("wan").expect("there is always a WAN");
        let leaks = wan::leaks(wan).expect("nft reads the counters");
        assert_eq!(leaks, wan::Leaks::default());
    }

    /// The program under test at `gateway`, with `-c` and its configuration at the end.
    pub fn ringway(&self, gateway: &str, arguments: &[&str]) -> Command {
        let mut command = self.ringway_without_config(gateway, arguments);
        command.arg("-c").arg(self.config(gateway));
        command
    }

    /// The program under test at `node`, with `arguments` only.
    pub fn ringway_without_config(&self, node: &str, arguments: &[&str]) -> Command {
        let mut command = self.lab.ringway(node).expect("a machine of the laboratory");
        command.args(arguments);
        command
    }

    /// Path of the `gateway.toml` of `gateway`.
    pub fn config(&self, gateway: &str) -> PathBuf {
        self.lab
            .config(gateway)
            .expect("a gateway of the laboratory")
    }

    /// Path of `file` in the directory of `gateway`'s `gateway.toml`.
    pub fn beside(&self, gateway: &str, file: &str) -> PathBuf {
        self.config(gateway).with_file_name(file)
    }

    /// Output of `ringway status --json` at `gateway`.
    pub fn status(&self, gateway: &str) -> Value {
        status::ask(&self.lab, gateway).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Packets that `gateway` has dropped for `reason`, on all tunnels.
    pub fn drops(&self, gateway: &str, reason: &str) -> u64 {
        let status = self.status(gateway);
        let lists = ["tunnels", "nodes"].into_iter();
        lists
            .flat_map(|list| status[list].as_array().into_iter().flatten())
            .filter_map(|tunnel| tunnel["drops"][reason].as_u64())
            .sum()
    }

    /// The tunnel from `gateway` to `peer` in the status of `gateway`.
    pub fn tunnel(&self, gateway: &str, peer: &str) -> Option<Value> {
        let status = self.status(gateway);
        let tunnels = status["tunnels"].as_array()?;
        tunnels
            .iter()
            .find(|tunnel| tunnel["peer"] == peer)
            .cloned()
    }

    /// True if `gateway` reports its tunnel to `peer` as up.
    pub fn is_up(&self, gateway: &str, peer: &str) -> bool {
        self.tunnel(gateway, peer)
            .is_some_and(|tunnel| tunnel["state"] == "up")
    }

    /// The time at which the tunnel from `gateway` to `peer` came up. It changes when the tunnel is
    /// lost and comes back.
    pub fn up_since(&self, gateway: &str, peer: &str) -> Value {
        self.tunnel(gateway, peer)
            .unwrap_or_else(|| panic!("{gateway} has no tunnel to {peer}"))["since"]
            .clone()
    }

    /// The verdict of `gateway` on the route to `prefix`; `None` if it has no such route.
    pub fn verdict(&self, gateway: &str, prefix: &str) -> Option<String> {
        let status = self.status(gateway);
        let routes = status["routes"].as_array()?;
        let route = routes.iter().find(|route| route["prefix"] == prefix)?;
        route["verdict"].as_str().map(String::from)
    }

    /// The number of packets that the packet filter of `gateway` has dropped for `reason`.
    pub fn filtered(&self, gateway: &str, reason: &str) -> u64 {
        self.status(gateway)["filtered"][reason]
            .as_u64()
            .unwrap_or(0)
    }

    /// Sends SIGHUP to `gateway`, which reads its files again.
    pub fn reload(&self, gateway: &str) {
        self.lab
            .signal(gateway, Signal::SIGHUP)
            .expect("a gateway that was started");
    }

    /// Ends `gateway` with SIGTERM and waits until it has drained and ended.
    pub fn stop(&self, gateway: &str) {
        self.lab
            .signal(gateway, Signal::SIGTERM)
            .expect("a gateway that was started");
        self.lab
            .process(gateway)
            .expect("a gateway that was started")
            .wait(Duration::from_secs(15))
            .expect("the gateway drains and ends");
    }

    /// All that `gateway` has logged.
    pub fn logged(&self, gateway: &str) -> String {
        std::fs::read_to_string(self.lab.log(gateway)).unwrap_or_default()
    }

    /// Removes the laboratory; fails the test if that fails.
    pub fn close(self) {
        Lab::down(self.name.clone())
            .unwrap_or_else(|error| panic!("cannot remove the laboratory: {error:#}"));
    }
}

/// A laboratory as most tests have it.
fn options(binary: &str) -> Options {
    Options {
        binary: PathBuf::from(binary),
        wan_filter: true,
        equipment: Equipment::PLAIN,
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
            print_logs(&self.lab);
        }

        // The next test need not wait for that.
        drop(self.turn.take());
        if let Err(error) = Lab::down(self.name.clone()) {
            eprintln!("cannot remove the laboratory {}: {error:#}", self.name);
        }
    }
}

/// Waits until `condition` holds; fails the test if it does not within `seconds`.
pub fn eventually(what: &str, seconds: u64, mut condition: impl FnMut() -> bool) {
    eventually_ok(what, seconds, || {
        if !condition() {
            bail!("not yet");
        }
        Ok(())
    });
}

/// Waits until `attempt` succeeds, and returns its value. After `seconds` the test fails with the
/// error of the last attempt.
pub fn eventually_ok<T>(what: &str, seconds: u64, mut attempt: impl FnMut() -> Result<T>) -> T {
    let waited = wait::until(what, Duration::from_secs(seconds), || attempt().map(Some));
    waited.unwrap_or_else(|error| panic!("{error:#}"))
}

/// Appends `text` to the file `path`.
pub fn append(path: &Path, text: &str) {
    let old = read(path);
    write(path, &(old + text));
}

/// Replaces `old`, which must be there, by `new` in the file `path`.
pub fn replace(path: &Path, old: &str, new: &str) {
    let text = read(path);
    assert!(text.contains(old), "{old:?} is not in {}", path.display());
    write(path, &text.replace(old, new));
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn print_logs(lab: &Lab) {
    for gateway in lab.topology().daemons() {
        eprintln!("── the last lines of {}", gateway.name);

        let log = std::fs::read_to_string(lab.log(&gateway.name)).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
            eprintln!("{line}");
        }
    }
}
