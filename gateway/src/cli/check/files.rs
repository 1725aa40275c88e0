//! Checks what the daemon creates when it starts: its socket and its state directory.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use ringway_config::Config;
use ringway_host::obstacles::Obstacle;
use ringway_intent::{Finding, Remedy};
use socket2::SockAddr;

use crate::admin::socket::{self, SocketGroup};
use crate::cli::remedy::quoted;

/// Reasons why a start could not create its socket.
pub(super) fn socket(config: &Config) -> Vec<Obstacle> {
    let path = config.socket.as_path();
    let mut found = Vec::new();

    if let Some(group) = SocketGroup::of(config)
        && let Err(error) = group.look_up()
    {
        found.push(no_group(&group.name, error.to_string()));
    }
    // unix(7): 107 bytes at most.
    if let Err(error) = SockAddr::unix(path) {
        found.push(no_place(path, &error.to_string()));
    } else if let Some(reason) = path.parent().and_then(cannot_make) {
        found.push(no_place(path, &reason));
    } else if socket::is_other_file(path) {
        found.push(no_place(path, "there is a file that is not a socket"));
    }
    found
}

pub(in crate::cli) fn no_group(group: &str, reason: String) -> Obstacle {
    Obstacle::Socket {
        reason,
        remedy: Remedy::command(format!("groupadd {}", quoted(group))),
    }
}

pub(in crate::cli) fn no_place(path: &Path, reason: &str) -> Obstacle {
    let dir = path.parent().unwrap_or(path);

    Obstacle::Socket {
        reason: format!("cannot make {}: {reason}", path.display()),
        remedy: Remedy::command(format!(
            "ls -ld {}   # or change socket in gateway.toml",
            quoted(&dir.display().to_string())
        )),
    }
}

/// The finding that the state directory cannot be created. The gateway runs, but loses its state
/// when it ends.
pub(super) fn state_dir(config: &Config) -> Option<Finding> {
    let dir = config.state_dir.as_path();
    let reason = cannot_make(dir)?;

    Some(Finding {
        name: "state directory".to_owned(),
        what: format!(
            "the state directory {} cannot be created: {reason}",
            dir.display()
        ),
        remedy: Remedy::command(format!(
            "ls -ld {}   # or change state-dir in gateway.toml",
            quoted(&dir.display().to_string())
        )),
    })
}

/// Why `dir` does not exist and cannot be created, or is not writable.
fn cannot_make(dir: &Path) -> Option<String> {
    let here = PathBuf::from(".");
    let mut nearest = if dir.as_os_str().is_empty() {
        &here
    } else {
        dir
    };
    // If an ancestor is a file, nothing can be created below it; the loop finds that too.
    while fs::symlink_metadata(nearest).is_err() {
        nearest = match nearest.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => &here,
        };
    }

    if !nearest.is_dir() {
        return Some(format!("{} is no directory", nearest.display()));
    }
    let is_writable = access(nearest, AccessFlags::W_OK | AccessFlags::X_OK);
    is_writable.err().map(|error| {
        format!(
            "{} cannot be written to ({})",
            nearest.display(),
            error.desc()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_cannot_be_created_is_reported() {
        let dir = std::env::temp_dir().join(format!("ringway-files-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let file = dir.join("file");
        fs::write(&file, "").unwrap();

        assert_eq!(cannot_make(&dir), None);
        assert_eq!(cannot_make(&dir.join("a/b/c")), None);
        assert_eq!(cannot_make(Path::new("")), None);
        for below in [file.clone(), file.join("a/b")] {
            let reason = cannot_make(&below).unwrap();
            assert_eq!(reason, format!("{} is no directory", file.display()));
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
