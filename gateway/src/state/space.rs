//! Checks free space, and write access, in the file system of the state directory: before something
//! must be stored, and for `doctor` while no daemon runs.

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, access};
use ringway_intent::{Finding, Remedy};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::RETRY;
use crate::attention::Attention;

/// The name of the finding.
const NAME: &str = "state disk";

/// Free bytes below which it is a finding: names, rules and records take a few MiB.
const LEAST: u64 = 16 << 20;

/// Free inodes below which it is a finding: each peer's names are a file.
const LEAST_FILES: u64 = 1024;

/// Statistics of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Space {
    /// Free for this user, bytes.
    bytes: u64,
    /// Free inodes; `None` if the file system does not count them.
    files: Option<u64>,
    is_writable: bool,
}

/// The finding about the file system of `dir`, which need not exist yet.
pub fn find(dir: &Path) -> Option<Finding> {
    // A start creates missing directories.
    let there = dir.ancestors().find(|path| path.exists())?;
    let space = Space::of(there).ok()?;

    space.finding(dir, LEAST)
}

/// Raises and clears the finding, as long as it runs.
pub async fn watch(dir: PathBuf, attention: Attention) {
    loop {
        let looked = dir.clone();
        // Fails only if the check panicked; then it is retried.
        if let Ok(found) = spawn_blocking(move || find(&looked)).await {
            match found {
                Some(finding) => attention.raise(NAME, &finding.what, finding.remedy),
                None => attention.clear(NAME),
            }
        }
        sleep(RETRY).await;
    }
}

impl Space {
    fn of(dir: &Path) -> io::Result<Space> {
        let system = statvfs(dir)?;
        let is_read_only = system.flags().contains(FsFlags::ST_RDONLY);

        Ok(Space {
            bytes: system
                .blocks_available()
                .saturating_mul(system.fragment_size()),
            // statvfs(3): some file systems have no fixed number, and report 0.
            files: (system.files() > 0).then(|| system.files_available()),
            is_writable: !is_read_only && access(dir, AccessFlags::W_OK).is_ok(),
        })
    }

    /// The finding about `dir`, if it has less than `least` bytes free.
    fn finding(&self, dir: &Path, least: u64) -> Option<Finding> {
        let dir = dir.display();
        let disk = format!("$(findmnt -no TARGET -T {dir})");
        let (what, remedy) = if !self.is_writable {
            (
                format!(
                    "the state directory {dir} cannot be written: a restart forgets what it needs"
                ),
                format!("mount -o remount,rw {disk}   # or chown {dir} to the gateway's user"),
            )
        } else if self.bytes < least {
            // Rounded, so that the text does not change all the time.
            let free = (self.bytes >> 20) + 1;
            (
                format!("less than {free} MiB are free where the state directory {dir} is"),
                format!("du -xh {disk} | sort -h | tail   # what takes the room"),
            )
        } else if self.files.is_some_and(|files| files < LEAST_FILES) {
            (
                format!(
                    "hardly any file can be created where the state directory {dir} is (df -i)"
                ),
                format!("du -x --inodes {disk} | sort -n | tail   # where they are"),
            )
        } else {
            return None;
        };

        Some(Finding {
            name: NAME.to_owned(),
            what,
            remedy: Remedy::command(remedy),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Space = Space {
        bytes: LEAST,
        files: Some(LEAST_FILES),
        is_writable: true,
    };

    fn what(space: Space) -> String {
        let found = space.finding(Path::new("/s"), LEAST);
        let Some(found) = found else {
            return String::new();
        };

        let remedy = found.remedy.to_string();
        assert!(
            remedy.starts_with("mount ") || remedy.starts_with("du "),
            "{remedy}"
        );
        found.what
    }

    #[test]
    fn a_disk_is_named_before_it_is_full() {
        assert_eq!(what(GOOD), "");
        let full = Space { bytes: 0, ..GOOD };
        assert!(
            what(full).starts_with("less than 1 MiB are free"),
            "{}",
            what(full)
        );
        let low = Space {
            bytes: LEAST - 1,
            ..GOOD
        };
        assert!(what(low).contains("less than 16 MiB"), "{}", what(low));
        let crowded = Space {
            files: Some(3),
            ..GOOD
        };
        assert!(what(crowded).contains("df -i"));
        assert_eq!(
            what(Space {
                files: None,
                ..GOOD
            }),
            "",
            "not counted, as in btrfs"
        );
        let closed = Space {
            is_writable: false,
            ..GOOD
        };
        assert!(what(closed).contains("/s cannot be written"));
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_judged_by_its_parent() {
        let temporary = std::env::temp_dir();
        let absent = temporary.join("ringway-no-such/deeper/state");
        let [here, there] = [&temporary, &absent].map(|dir| find(dir).map(|found| found.name));
        assert_eq!(here, there);
        // /proc accepts no files.
        assert!(find(Path::new("/proc/ringway/state")).is_some());
    }
}
