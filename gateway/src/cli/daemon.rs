//! [`Daemon`]: finds the running gateway of a file, even if the file is missing: that is when an
//! operator needs the status.

use std::fs;
use std::path::{Path, PathBuf};

use ringway_config::defaults::{CONFIG_FILES, SOCKET, SYSTEM_SOCKET_DIR};
use ringway_config::{Faults, socket_of};

use super::default_config;
use crate::admin::{Report, attention, socket};

/// A gateway that may be running.
pub(super) struct Daemon {
    /// Its admin socket.
    pub(super) socket: PathBuf,
    /// Its file, if that is missing.
    missing: Option<PathBuf>,
}

impl Daemon {
    /// The gateway of the file `config`.
    pub(super) fn of(config: &Path) -> Result<Daemon, Faults> {
        let faults = match socket_of(config) {
            Ok(socket) => {
                return Ok(Daemon {
                    socket,
                    missing: None,
                });
            }
            Err(faults) => faults,
        };

        let is_missing = matches!(config.try_exists(), Ok(false));
        match without_file(config).filter(|_| is_missing) {
            Some(socket) => Ok(Daemon {
                socket,
                missing: Some(config.to_owned()),
            }),
            None => Err(faults),
        }
    }

    /// Requests its report. A missing file is added as a finding.
    pub(super) fn ask(&self) -> anyhow::Result<Report> {
        let mut report = socket::ask(&self.socket)?;
        if let Some(path) = &self.missing {
            report.attention.insert(0, attention::missing_file(path));
            report.state = attention::state(&report).to_owned();
        }
        Ok(report)
    }
}

/// The socket of a daemon that was started with the file `config`, which is missing now.
fn without_file(config: &Path) -> Option<PathBuf> {
    let beside = config.with_file_name(SOCKET);
    if socket::ask(&beside).is_ok() {
        return Some(beside);
    }

    // For a file below /etc, or without a named file, it is the system's usual socket.
    let is_usual = default_config() == config;
    let usual = CONFIG_FILES.iter().map(PathBuf::from);
    let mut wanted: Vec<PathBuf> = usual.filter(|_| is_usual).collect();
    wanted.push(config.to_owned());
    let wanted: Vec<PathBuf> = wanted
        .iter()
        .filter_map(|path| std::path::absolute(path).ok())
        .collect();

    let entries = fs::read_dir(SYSTEM_SOCKET_DIR).ok()?;
    let sockets = entries.filter_map(|entry| Some(entry.ok()?.path()));
    sockets
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "sock")
        })
        .find(|path| {
            let report = socket::ask(path).ok();
            report.is_some_and(|report| wanted.contains(&PathBuf::from(report.daemon.config)))
        })
}
