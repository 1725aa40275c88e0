//! What is known of a laboratory between two calls of the command: `/run/ringway-lab/<lab>/state.json`.
//!
//! It is written before the step it speaks of, so that whatever a killed command leaves behind is found. The
//! namespaces themselves need no entry: their names follow from the laboratory's.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::fcntl::{Flock, FlockArg};

use super::process::Process;
use super::topology::Topology;

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Being made, or left half made by a command that was killed.
    Building,
    /// Made: all gateways were running and all names known.
    Ready,
}

/// The file's content.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct State {
    /// How far it has come.
    pub phase: Phase,
    /// The program that its gateways run.
    pub binary: PathBuf,
    /// False if the WAN lets private addresses through (and counts them).
    pub wan_filter: bool,
    /// Each gateway's process, by the gateway's name.
    pub gateways: BTreeMap<String, Process>,
}

impl State {
    /// What was last saved; `None` if there is no such laboratory.
    pub fn load(topology: &Topology) -> Result<Option<State>> {
        let path = path(&topology.dir());
        match fs::read(&path) {
            Ok(bytes) => {
                let state = serde_json::from_slice(&bytes);
                state
                    .map(Some)
                    .with_context(|| format!("cannot read {}", path.display()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Saves it; a reader sees the old or the new, never a part.
    pub fn save(&self, topology: &Topology) -> Result<()> {
        let dir = topology.dir();
        let (path, new) = (path(&dir), dir.join("state.json.new"));
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&dir)?;
            fs::write(&new, serde_json::to_vec_pretty(self)?)?;
            fs::rename(&new, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join("state.json")
}

/// Held while a laboratory is made or taken down: no two commands do that to one at once.
pub struct Lock {
    path: PathBuf,
    _held: Flock<File>,
}

impl Lock {
    /// Waits for the lock of `topology`'s laboratory.
    pub fn take(topology: &Topology) -> Result<Lock> {
        let path = topology.dir().with_extension("lock");
        loop {
            let file = open(&path).with_context(|| format!("cannot open {}", path.display()))?;
            let held = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno);
            let held = held.with_context(|| format!("cannot lock {}", path.display()))?;
            // Whoever had it may have removed the file: then others would lock another one.
            if fs::metadata(&path)
                .is_ok_and(|now| held.metadata().is_ok_and(|own| own.ino() == now.ino()))
            {
                return Ok(Lock { path, _held: held });
            }
        }
    }

    /// Gives it up with its file: nothing is left of the laboratory.
    pub fn remove(self) -> Result<()> {
        fs::remove_file(&self.path)
            .with_context(|| format!("cannot remove {}", self.path.display()))
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path)
}
