//! The file that records changed kernel settings, for the next start after a crash.
//!
//! It is valid for one boot and one network namespace; otherwise it counts as absent.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::{fs, io};

use ringway_config::disk::{self, Access};
use ringway_config::reading;
use serde::{Deserialize, Serialize};

use super::Change;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    place: Place,
    changes: Vec<Change>,
}

/// Boot and network namespace in which the settings were changed.
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

/// The changes recorded here and not yet restored. A file that cannot be read counts as absent.
pub(super) fn load(path: &Path) -> Vec<Change> {
    let Ok(bytes) = reading::read_own(path) else {
        return Vec::new();
    };
    // Without a record, the present values count as the host's own and stay.
    let Ok(memory) = serde_json::from_slice::<Memory>(&bytes) else {
        return Vec::new();
    };

    match Place::current() {
        // After a boot, or in a new namespace, the settings have their defaults again.
        Ok(place) if place == memory.place => memory.changes,
        _ => Vec::new(),
    }
}

/// Records changes before they are made.
pub(super) fn save(path: &Path, changes: &[Change]) -> io::Result<()> {
    let memory = Memory {
        place: Place::current()?,
        changes: changes.to_vec(),
    };

    let json = serde_json::to_vec_pretty(&memory)?;
    disk::replace(path, &json, Access::Owner)
}
