//! The file that keeps changed kernel settings across a crash.
//!
//! It is valid for one boot and one network namespace: anywhere else it counts as absent.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::{fs, io};

use ringway_config::disk::{self, Access};
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
    /// Inode of the network namespace.
    namespace: u64,
}

impl Place {
    /// The place of the calling thread.
    fn current() -> io::Result<Place> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let namespace = fs::metadata("/proc/thread-self/ns/net")?.ino();

        Ok(Place {
            boot: boot.trim().to_owned(),
            namespace,
        })
    }
}

/// What was changed here earlier and not yet restored. A file that cannot be read counts as absent.
pub(super) fn recall(path: &Path) -> Vec<Change> {
    let Ok(bytes) = fs::read(path) else {
        return Vec::new();
    };
    // Without a record, the present values count as the host's, and stay.
    let Ok(memory) = serde_json::from_slice::<Memory>(&bytes) else {
        return Vec::new();
    };

    match Place::current() {
        // A boot or a new namespace starts with other values than those that were changed.
        Ok(place) if place == memory.place => memory.changes,
        _ => Vec::new(),
    }
}

/// Records what is about to be changed.
pub(super) fn remember(path: &Path, changes: &[Change]) -> io::Result<()> {
    let memory = Memory {
        place: Place::current()?,
        changes: changes.to_vec(),
    };

    let json = serde_json::to_vec_pretty(&memory)?;
    disk::replace(path, &json, Access::Owner)
}
