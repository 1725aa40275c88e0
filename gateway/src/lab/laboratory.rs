//! [`Lab`]: one laboratory, from its making to its removal.
//!
//! ```text
//!   (nothing) ── up ──► Building ── tunnels up, names known ──► Ready ── down ──► (nothing)
//!                           └────────────── down, or the next up ──────────────────────┘
//! ```
//! Whatever a killed command leaves, `down` removes: it goes by the names of the namespaces and by the
//! processes in them, not only by what was written down.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use nix::sys::signal::Signal;

use super::process::Process;
use super::state::{Lock, Phase, State};
use super::topology::{Kind, LabName, Node, Topology};
use super::{consortium, interrupt, network, program, status, wan};

/// How long the gateways may take to find each other.
const JOIN: Duration = Duration::from_secs(30);
/// How long a gateway may take to say good-bye to its peers.
const DRAIN: Duration = Duration::from_secs(10);

/// How a laboratory is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `ringway` program that its gateways run.
    pub binary: PathBuf,
    /// False: the WAN counts private addresses, but lets them through.
    pub wan_filter: bool,
}

impl Options {
    /// The running program itself, on a WAN that drops private addresses.
    pub fn of_this_program() -> Result<Options> {
        let binary = std::env::current_exe().context("cannot find the running program's file")?;
        Ok(Options {
            binary,
            wan_filter: true,
        })
    }
}

/// A laboratory that is there, complete or not.
#[derive(Debug)]
pub struct Lab {
    topology: Topology,
    state: State,
}

/// What [`Lab::up`] found or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raised {
    /// It was made.
    Made,
    /// It was there; these gateways had stopped and were started again.
    WasThere(Vec<String>),
}

impl Lab {
    /// Makes the laboratory `name`, or completes it. `tell` hears each step as it begins.
    pub fn up(
        name: LabName,
        options: Options,
        tell: &mut dyn FnMut(&str),
    ) -> Result<(Lab, Raised)> {
        require_root_and_programs()?;
        let topology = Topology::of(name);
        let _lock = Lock::take(&topology)?;
        match State::load(&topology) {
            Ok(Some(state)) if state.phase == Phase::Ready && is_whole(&topology)? => {
                let mut lab = Lab { topology, state };
                let started = lab.complete(options)?;
                return Ok((lab, Raised::WasThere(started)));
            }
            Ok(None) => (),
            _ => tell("removing what an earlier laboratory left"),
        }
        remove(&topology)?;
        let state = State {
            phase: Phase::Building,
            binary: options.binary,
            wan_filter: options.wan_filter,
            gateways: BTreeMap::new(),
        };
        let mut lab = Lab { topology, state };
        lab.build(tell)?;
        Ok((lab, Raised::Made))
    }

    /// The laboratory `name` as an earlier `up` left it; `None` if there is none.
    pub fn open(name: LabName) -> Result<Option<Lab>> {
        let topology = Topology::of(name);
        Ok(State::load(&topology)?.map(|state| Lab { topology, state }))
    }

    /// Removes the laboratory `name`, whatever state it is in; false if there was none.
    pub fn down(name: LabName) -> Result<bool> {
        interrupt::forget();
        let topology = Topology::of(name);
        let lock = Lock::take(&topology)?;
        let was_there = remove(&topology)?;
        lock.remove()?;
        Ok(was_there)
    }

    /// Who is in it.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The machine called `name`.
    pub fn node(&self, name: &str) -> Result<&Node> {
        self.topology
            .find(name)
            .ok_or_else(|| anyhow!("no {name:?} in the laboratory {}", self.topology.lab))
    }

    /// `program` on the machine `node`: in its namespace, with its resolver.
    pub fn command(&self, node: &str, program: impl AsRef<Path>) -> Result<Command> {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.node(node)?.netns])
            .arg(program.as_ref());
        command.process_group(0).stdin(Stdio::null());
        Ok(command)
    }

    /// The laboratory's `ringway` program on the machine `node`.
    pub fn ringway(&self, node: &str) -> Result<Command> {
        self.command(node, &self.state.binary)
    }

    /// The process of the gateway `name`, running or not; `None` if it was never started.
    pub fn process(&self, name: &str) -> Option<Process> {
        self.state.gateways.get(name).copied()
    }

    /// `gateway.toml` of the gateway `name`.
    pub fn config(&self, name: &str) -> Result<PathBuf> {
        let node = self.node(name)?;
        match (node.kind, node.org) {
            (Kind::Gateway, Some(org)) => Ok(consortium::config(self, org)),
            _ => bail!("{name} is no gateway"),
        }
    }

    /// What the gateway `name` has logged.
    pub fn log(&self, name: &str) -> PathBuf {
        self.topology.dir().join(format!("{name}.log"))
    }

    /// Starts the gateway `name`; does not wait for its tunnels.
    pub fn start(&mut self, name: &str) -> Result<()> {
        let path = self.log(name);
        let log = File::options().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("cannot write {}", path.display()))?;
        let mut run = self.ringway(name)?;
        run.arg("run")
            .arg("-c")
            .arg(self.config(name)?)
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut child = run
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let process = Process::of(child.id())
            .with_context(|| format!("{name} ended at once; see {}", path.display()))?;
        // Whoever is its parent must hear of its end, or its number stays taken.
        std::thread::spawn(move || child.wait());
        self.state.gateways.insert(name.into(), process);
        self.state.save(&self.topology)
    }

    /// Sends `signal` to the gateway `name`.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        let process = self
            .process(name)
            .with_context(|| format!("{name} was never started"))?;
        process.signal(signal);
        Ok(())
    }

    /// Ends the gateway `name` as a power cut would, and waits until it is gone.
    pub fn kill(&self, name: &str) -> Result<()> {
        self.signal(name, Signal::SIGKILL)?;
        self.process(name)
            .map_or(Ok(()), |process| process.wait(DRAIN))
    }

    /// Waits until every gateway has a tunnel to every other and every node knows every name.
    pub fn wait_until_joined(&self) -> Result<()> {
        for gateway in self.topology.of_kind(Kind::Gateway) {
            status::wait_for_tunnels(self, &gateway.name, JOIN)?;
        }
        status::wait_for_names(self, JOIN)
    }

    fn build(&mut self, tell: &mut dyn FnMut(&str)) -> Result<()> {
        self.state.save(&self.topology)?;
        tell("namespaces, links, addresses");
        network::make(&self.topology)?;
        wan::install(self.node("wan")?, self.state.wan_filter)?;
        interrupt::check()?;
        tell("three organizations: CAs, certificates, member records exchanged");
        consortium::found(self)?;
        consortium::check(self)?;
        interrupt::check()?;
        tell("gateways");
        self.start_the_stopped()?;
        tell("tunnels and names");
        self.wait_until_joined()?;
        self.state.phase = Phase::Ready;
        self.state.save(&self.topology)
    }

    fn complete(&mut self, options: Options) -> Result<Vec<String>> {
        if self.state.wan_filter != options.wan_filter {
            wan::install(self.node("wan")?, options.wan_filter)?;
        }
        self.state = State {
            binary: options.binary,
            wan_filter: options.wan_filter,
            ..self.state.clone()
        };
        self.state.save(&self.topology)?;
        let started = self.start_the_stopped()?;
        self.wait_until_joined()?;
        Ok(started)
    }

    fn start_the_stopped(&mut self) -> Result<Vec<String>> {
        let gateways: Vec<_> = self
            .topology
            .of_kind(Kind::Gateway)
            .map(|node| node.name.clone())
            .collect();
        let runs = |name: &String| self.process(name).is_some_and(|process| process.is_alive());
        let stopped: Vec<_> = gateways.into_iter().filter(|name| !runs(name)).collect();
        stopped.iter().try_for_each(|name| self.start(name))?;
        Ok(stopped)
    }
}

/// True if all namespaces are there: someone may have removed one by hand.
fn is_whole(topology: &Topology) -> Result<bool> {
    let existing = network::namespaces()?;
    Ok(topology
        .namespaces()
        .iter()
        .all(|netns| existing.contains(netns)))
}

/// Gateways first, so that they can say good-bye to each other; then whatever else runs in the namespaces.
fn remove(topology: &Topology) -> Result<bool> {
    let existing = network::namespaces()?;
    let mut present = topology.namespaces();
    present.retain(|netns| existing.contains(netns));
    let gateways = topology.of_kind(Kind::Gateway).map(|node| &node.netns);
    if let Err(stubborn) = end(
        gateways.filter(|netns| existing.contains(netns)),
        Signal::SIGTERM,
    ) {
        eprintln!("a gateway did not end: {stubborn:#}");
    }
    end(present.iter(), Signal::SIGKILL)?;
    network::remove(topology)?;
    match fs::remove_dir_all(topology.dir()) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(!present.is_empty()),
        outcome => outcome
            .map(|()| true)
            .with_context(|| format!("cannot remove {}", topology.dir().display())),
    }
}

/// Signals every process in `namespaces` and waits until none is left.
fn end<'a>(namespaces: impl Iterator<Item = &'a String>, signal: Signal) -> Result<()> {
    let mut processes = Vec::new();
    for netns in namespaces {
        processes.extend(
            network::processes(netns)?
                .into_iter()
                .filter_map(Process::of),
        );
    }
    processes.iter().for_each(|process| process.signal(signal));
    processes.iter().try_for_each(|process| process.wait(DRAIN))
}

fn require_root_and_programs() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("the laboratory makes network namespaces: run it as root");
    }
    for (program, package) in [("ip", "iproute2"), ("nft", "nftables")] {
        let found = program::output(&mut program::command(program, ["-V"]));
        found.with_context(|| {
            format!("the laboratory needs `{program}` (Debian: apt install {package})")
        })?;
    }
    Ok(())
}
