//! [`Lab`]: one laboratory, from its creation to its removal.
//!
//! ```text
//!   (nothing) ── up ──► Building ── tunnels up, names resolve ──► Ready ── down ──► (nothing)
//!                           └───────────── down, or the next up ────────────────────┘
//! ```
//! `down` also removes what a killed command has left: the namespaces that were made, or about to
//! be made, according to the state file, and the processes in them. Other namespaces are left
//! alone, even if they have such names.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use nix::sys::signal::Signal;

use crate::process::Process;
use crate::state::{Lock, Phase, State};
use crate::step::Step;
use crate::topology::{Equipment, Kind, LabName, Node, Topology};
use crate::{consortium, interrupt, network, program, status, wan};

/// Time limit for all tunnels to come up, and again for all names to resolve.
const JOIN: Duration = Duration::from_secs(30);
/// Time limit for a gateway to close its sessions and end.
const DRAIN: Duration = Duration::from_secs(10);

/// Options of a laboratory.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `ringway` program for its gateways.
    pub binary: PathBuf,
    /// False: the WAN counts private addresses but lets them through.
    pub wan_filter: bool,
    /// Additional machines.
    pub equipment: Equipment,
}

/// The program `ringway` in the directory of the running program.
pub fn ringway_beside_this_program() -> Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find the file of the running program")?;
    let ringway = this.with_file_name("ringway");

    if !ringway.is_file() {
        bail!(
            "{} does not exist; build it with `cargo build --release -p ringway`",
            ringway.display()
        );
    }
    Ok(ringway)
}

/// A laboratory that exists, complete or not.
#[derive(Debug)]
pub struct Lab {
    topology: Topology,
    state: State,
}

/// The result of [`Lab::up`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpOutcome {
    /// It created the laboratory.
    Created,
    /// The laboratory existed; these gateways had stopped and were restarted.
    Restarted(Vec<String>),
}

impl Lab {
    /// Creates the laboratory `name`, or completes it. Calls `report` with each step as it begins.
    pub fn up(
        name: LabName,
        options: Options,
        report: &mut dyn FnMut(Step),
    ) -> Result<(Lab, UpOutcome)> {
        require_root_and_programs()?;
        let topology = Topology::of(name.clone(), options.equipment);
        // Locked to the end, so that no other `up` or `down` of this laboratory runs meanwhile.
        let _lock = Lock::take(&topology)?;

        let state = State::load(&topology);
        let found = found(name, &state);
        match state {
            Ok(Some(state)) if state.phase == Phase::Ready && is_whole(&found)? => {
                if state.equipment != options.equipment {
                    bail!("it is up with something else besides (--with); remove it first");
                }
                let mut lab = Lab { topology, state };
                let started = lab.complete(options)?;
                return Ok((lab, UpOutcome::Restarted(started)));
            }
            Ok(None) => refuse_others(&topology)?,
            // Incomplete, or a state file of another version: start from nothing.
            state => {
                report(Step::Remains);
                remove(&found, state.ok().flatten().as_ref())?;
                refuse_others(&topology)?;
            }
        }

        let state = State {
            phase: Phase::Building,
            binary: options.binary,
            wan_filter: options.wan_filter,
            equipment: options.equipment,
            gateways: BTreeMap::new(),
            namespaces: BTreeMap::new(),
        };
        let mut lab = Lab { topology, state };
        lab.build(report)?;
        Ok((lab, UpOutcome::Created))
    }

    /// The laboratory `name` as an earlier `up` left it; `None` if there is none.
    pub fn open(name: LabName) -> Result<Option<Lab>> {
        let state = State::load(&Topology::of(name.clone(), Equipment::PLAIN))?;
        Ok(state.map(|state| Lab {
            topology: Topology::of(name, state.equipment),
            state,
        }))
    }

    /// Removes the laboratory `name`, complete or not; returns false if there was none.
    pub fn down(name: LabName) -> Result<bool> {
        interrupt::clear();
        let topology = Topology::of(name.clone(), Equipment::PLAIN);
        let lock = Lock::take(&topology)?;

        let was_there = match State::load(&topology) {
            Ok(None) => false,
            state => {
                let found = found(name, &state);
                remove(&found, state.ok().flatten().as_ref())?;
                true
            }
        };
        lock.remove()?;
        Ok(was_there)
    }

    /// Its machines.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The machine called `name`; an error if there is none.
    pub fn node(&self, name: &str) -> Result<&Node> {
        self.topology
            .find(name)
            .ok_or_else(|| anyhow!("no {name:?} in the laboratory {}", self.topology.lab))
    }

    /// A command that runs `program` on the machine `node`, with that machine's resolver.
    pub fn command(&self, node: &str, program: impl AsRef<Path>) -> Result<Command> {
        let mut command = Command::new("ip");
        // In a process group of its own: Ctrl-C reaches only this program, which ends the others in
        // order.
        command
            .args(["netns", "exec", &self.node(node)?.netns])
            .arg(program.as_ref())
            .process_group(0)
            .stdin(Stdio::null());
        Ok(command)
    }

    /// A command that runs the laboratory's `ringway` program on the machine `node`.
    pub fn ringway(&self, node: &str) -> Result<Command> {
        self.command(node, &self.state.binary)
    }

    /// The last process of the gateway `name`, running or not; `None` if it was never started.
    pub fn process(&self, name: &str) -> Option<Process> {
        self.state.gateways.get(name).copied()
    }

    /// Path of the `gateway.toml` of the gateway `name`, or the `node.toml` of the attached host.
    pub fn config(&self, name: &str) -> Result<PathBuf> {
        let node = self.node(name)?;
        self.topology
            .config(node)
            .with_context(|| format!("{name} runs no daemon"))
    }

    /// Path of the log of the gateway `name`.
    pub fn log(&self, name: &str) -> PathBuf {
        self.topology.dir().join(format!("{name}.log"))
    }

    /// Starts the gateway `name`; does not wait for its tunnels.
    pub fn start(&mut self, name: &str) -> Result<()> {
        let binary = self.state.binary.clone();
        self.start_program(name, &binary)
    }

    /// Like [`Lab::start`], with another `ringway` program, such as one of an earlier version.
    pub fn start_program(&mut self, name: &str, binary: &Path) -> Result<()> {
        // Appended to, so that the log of an earlier run of the gateway is kept.
        let path = self.log(name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;

        let verb: &[&str] = match self.node(name)?.kind {
            Kind::Attached => &["attach", "run"],
            _ => &["run"],
        };
        let mut run = self.command(name, binary)?;
        run.args(verb)
            .arg("-c")
            .arg(self.config(name)?)
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut child = run
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let process = Process::of(child.id())
            .with_context(|| format!("{name} ended at once; see {}", path.display()))?;

        // A child that has ended stays a zombie until its parent waits for it.
        thread::spawn(move || child.wait());
        self.state.gateways.insert(name.into(), process);
        self.state.save(&self.topology)
    }

    /// Sends `signal` to the gateway `name`.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        self.started(name)?.signal(signal);
        Ok(())
    }

    /// Ends the gateway `name` as a power cut would, and waits until its process is gone.
    pub fn kill(&self, name: &str) -> Result<()> {
        let process = self.started(name)?;
        process.signal(Signal::SIGKILL);
        process.wait(DRAIN)
    }

    fn started(&self, name: &str) -> Result<Process> {
        self.process(name)
            .with_context(|| format!("{name} was never started"))
    }

    /// Waits until every gateway has a tunnel to every other, an attached host to those of its
    /// organization, and every host resolves every name.
    pub fn wait_until_joined(&self) -> Result<()> {
        for machine in self.topology.daemons() {
            status::wait_for_tunnels(self, &machine.name, JOIN)?;
        }
        status::wait_for_names(self, JOIN)
    }

    fn build(&mut self, report: &mut dyn FnMut(Step)) -> Result<()> {
        // Before the first namespace exists, so that the next command finds a killed `up`.
        self.state.save(&self.topology)?;

        report(Step::Network);
        network::create_namespaces(&self.topology)?;
        self.state.namespaces = network::inodes(&self.topology.namespaces());
        self.state.save(&self.topology)?;
        network::connect(&self.topology)?;
        wan::install(self.node("wan")?, self.state.wan_filter)?;
        interrupt::check()?;

        report(Step::Consortium);
        consortium::create(self)?;
        consortium::check(self)?;
        interrupt::check()?;

        report(Step::Gateways);
        self.start_stopped_gateways()?;

        report(Step::Joining);
        self.wait_until_joined()?;
        self.state.phase = Phase::Ready;
        self.state.save(&self.topology)
    }

    /// Applies `options` to a laboratory that is up; returns the gateways that had to be started.
    fn complete(&mut self, options: Options) -> Result<Vec<String>> {
        // Installing the filter resets its counters, so it is done only for a change.
        if self.state.wan_filter != options.wan_filter {
            wan::install(self.node("wan")?, options.wan_filter)?;
        }
        self.state.binary = options.binary;
        self.state.wan_filter = options.wan_filter;
        self.state.save(&self.topology)?;

        let started = self.start_stopped_gateways()?;
        self.wait_until_joined()?;
        Ok(started)
    }

    fn start_stopped_gateways(&mut self) -> Result<Vec<String>> {
        let stopped: Vec<String> = self
            .topology
            .daemons()
            .map(|node| node.name.clone())
            .filter(|name| !self.runs(name))
            .collect();

        for name in &stopped {
            self.start(name)?;
        }
        Ok(stopped)
    }

    fn runs(&self, name: &str) -> bool {
        self.process(name).is_some_and(|process| process.is_alive())
    }
}

/// The machines that `state` describes; for an unreadable state, all possible machines.
fn found(name: LabName, state: &Result<Option<State>>) -> Topology {
    let equipment = match state {
        Ok(state) => state.as_ref().map(|state| state.equipment),
        Err(_) => Some(Equipment::ALL),
    };
    Topology::of(name, equipment.unwrap_or_default())
}

/// True if no namespace is missing, for example removed by hand.
fn is_whole(topology: &Topology) -> Result<bool> {
    let existing = network::namespaces()?;
    Ok(topology
        .namespaces()
        .iter()
        .all(|netns| existing.contains(netns)))
}

/// Fails if a namespace, or its resolver's directory, has a name that this laboratory would use.
fn refuse_others(topology: &Topology) -> Result<()> {
    let existing = network::namespaces()?;
    let mut names = topology.namespaces();
    names.retain(|netns| existing.contains(netns) || network::has_resolver(netns));

    match names.first() {
        None => Ok(()),
        Some(first) => bail!(
            "network namespace {first} or its directory in /etc/netns exists, and this laboratory \
             has not made it; choose another --name"
        ),
    }
}

/// Removes the processes, namespaces and files that this laboratory has made.
fn remove(topology: &Topology, state: Option<&State>) -> Result<()> {
    let existing = network::namespaces()?;
    let made = state.map(|state| &state.namespaces);
    let inodes = network::inodes(&existing);
    let mut present = topology.namespaces();
    // A namespace that was removed and made again belongs to somebody else.
    present.retain(|netns| {
        let ours = made.and_then(|made| made.get(netns));
        existing.contains(netns) && ours.is_none_or(|ours| inodes.get(netns) == Some(ours))
    });

    // Gateways end first and in order, so that they can close their sessions with each other.
    let gateways: Vec<String> = topology
        .of_kind(Kind::Gateway)
        .map(|node| node.netns.clone())
        .filter(|netns| present.contains(netns))
        .collect();
    if let Err(error) = end_processes(&gateways, Signal::SIGTERM) {
        eprintln!("a gateway did not end: {error:#}");
    }
    end_processes(&present, Signal::SIGKILL)?;
    network::remove(topology, &present)?;

    match fs::remove_dir_all(topology.dir()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => {
            Err(error).with_context(|| format!("cannot remove {}", topology.dir().display()))
        }
    }
}

/// Signals every process in `namespaces` and waits until all have ended.
fn end_processes(namespaces: &[String], signal: Signal) -> Result<()> {
    let mut processes = Vec::new();
    for netns in namespaces {
        let pids = network::processes(netns)?;
        processes.extend(pids.into_iter().filter_map(Process::of));
    }

    // All get the signal before the first wait, so that they end at the same time.
    for process in &processes {
        process.signal(signal);
    }
    for process in &processes {
        process.wait(DRAIN)?;
    }
    Ok(())
}

fn require_root_and_programs() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("the laboratory creates network namespaces: run it as root");
    }

    let programs = [
        ("ip", "iproute2"),
        ("nft", "nftables"),
        ("setpriv", "util-linux"),
    ];
    for (program, package) in programs {
        program::output(&mut program::command(program, ["-V"])).with_context(|| {
            format!("the laboratory needs `{program}` (Debian: apt install {package})")
        })?;
    }
    Ok(())
}
