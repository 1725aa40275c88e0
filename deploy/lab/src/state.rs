//! The state of a laboratory between two commands: `/run/ringway-lab/<lab>/state.json`.
//!
//! It is written before the step that it describes, so that the remains of a killed command are
//! found. Without it nothing is the laboratory's, whatever its name: others may use such names.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::fcntl::{Flock, FlockArg};
use ringway_config::disk::{self, Access};

use crate::process::Process;
use crate::topology::{Equipment, Topology};

/// How far `up` has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// `up` is running or was killed before it finished.
    Building,
    /// All gateways have tunnels and all names resolve.
    Ready,
}

/// Content of the file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// The program that the gateways run.
    pub(crate) binary: PathBuf,
    /// False if the WAN counts private addresses but lets them through.
    pub(crate) wan_filter: bool,
    /// What it has besides.
    #[serde(default)]
    pub(crate) equipment: Equipment,
    /// Last known process of each gateway, by the gateway's name.
    pub(crate) gateways: BTreeMap<String, Process>,
    /// Inode of each namespace that it has made, by name. One of that name with another inode is
    /// somebody else's; one without an entry was being made when the command was killed.
    #[serde(default)]
    pub(crate) namespaces: BTreeMap<String, u64>,
}

impl State {
    /// Reads the file; `None` if there is no such laboratory.
    pub(crate) fn load(topology: &Topology) -> Result<Option<State>> {
        let path = state_file(&topology.dir());

        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .with_context(|| format!("cannot read {}", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Replaces the file in one step: a reader sees the old state or the new one.
    pub(crate) fn save(&self, topology: &Topology) -> Result<()> {
        let dir = topology.dir();
        self.replace_file(&dir)
            .with_context(|| format!("cannot write {}", state_file(&dir).display()))
    }

    fn replace_file(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        let json = serde_json::to_vec_pretty(self)?;
        disk::replace(&state_file(dir), &json, Access::Everybody)
    }
}

fn state_file(dir: &Path) -> PathBuf {
    dir.join("state.json")
}

/// Held while a laboratory is created or removed, so that no two commands do that at once.
pub(crate) struct Lock {
    path: PathBuf,
    _held: Flock<File>,
}

impl Lock {
    /// Waits for the lock of a laboratory. Dropping the value releases it.
    pub(crate) fn take(topology: &Topology) -> Result<Lock> {
        let path = topology.dir().with_extension("lock");

        loop {
            let file =
                open_lock_file(&path).with_context(|| format!("cannot open {}", path.display()))?;
            let held = Flock::lock(file, FlockArg::LockExclusive)
                .map_err(|(_, errno)| errno)
                .with_context(|| format!("cannot lock {}", path.display()))?;

            // The previous holder may have removed the file while we waited. A third command would
            // then create and lock another file of that name, so ours is worth nothing.
            if is_file_at(&held, &path) {
                return Ok(Lock { path, _held: held });
            }
        }
    }

    /// Releases the lock and removes its file: nothing is left of the laboratory.
    pub(crate) fn remove(self) -> Result<()> {
        fs::remove_file(&self.path)
            .with_context(|| format!("cannot remove {}", self.path.display()))
    }
}

fn open_lock_file(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path)
}

/// True if `path` still names the open file `file`.
fn is_file_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => open.ino() == named.ino(),
        _ => false,
    }
}
