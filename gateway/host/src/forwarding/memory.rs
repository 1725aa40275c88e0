//! The file that remembers changed kernel settings across a crash.
//!
//! It holds for one boot and one network namespace; a file from elsewhere is as good as none.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::Change;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    place: Place,
    changes: Vec<Change>,
}

/// Where the changed settings live.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    boot: String,
    namespace: u64,
}

impl Place {
    /// Of the calling thread.
    fn here() -> io::Result<Place> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?
            .trim()
            .to_owned();
        let namespace = fs::metadata("/proc/thread-self/ns/net")?.ino();
        Ok(Place { boot, namespace })
    }
}

/// What was changed here earlier and not yet restored.
pub(super) fn recall(path: &Path) -> Vec<Change> {
    let memory = fs::read(path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Memory>(&bytes).ok());
    match (memory, Place::here()) {
        (Some(memory), Ok(here)) if memory.place == here => memory.changes,
        _ => Vec::new(),
    }
}

/// Writes what is about to be changed; atomic, so that a crash leaves the old file or the new one.
pub(super) fn remember(path: &Path, changes: &[Change]) -> io::Result<()> {
    let memory = Memory {
        place: Place::here()?,
        changes: changes.to_vec(),
    };
    let draft = path.with_extension("new");
    fs::write(&draft, serde_json::to_vec_pretty(&memory)?)?;
    fs::rename(&draft, path)
}
