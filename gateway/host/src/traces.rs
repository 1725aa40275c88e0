//! [`Traces`]: what a daemon leaves in the kernel on purpose, recorded in its state directory. With
//! it, a later start with another device, table or protocol number removes what it does not need,
//! and prefixes of removed members stay unreachable.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use ringway_config::disk::{self, Access};
use ringway_config::{Config, Prefix, Routes, TunName, reading};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::firewall::Nft;
use crate::{routes, tun};

/// The name of the file in the state directory.
pub const FILE: &str = "traces.json";

/// What a daemon leaves in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// The TUN device, which also names the nftables table.
    pub tun: TunName,
    /// The numbers of rules and routes.
    pub routes: Routes,
    /// The prefixes behind this host.
    pub own: BTreeSet<Prefix>,
    /// The prefixes that must not be reachable by the default route: see `ringway_intent::held`.
    pub held: BTreeSet<Prefix>,
}

/// The file's format.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    tun: String,
    table: u32,
    protocol: u8,
    mark: u32,
    own: Vec<String>,
    held: Vec<String>,
}

impl Traces {
    /// What a daemon of `config` leaves behind.
    pub fn of(config: &Config, held: &BTreeSet<Prefix>) -> Traces {
        Traces {
            tun: config.tun.clone(),
            routes: config.routes,
            own: config.served_prefixes().into_iter().collect(),
            held: held.clone(),
        }
    }

    /// What the last daemon with this state directory has left; `None` if there was none. If the
    /// file cannot be read, logs a warning; it counts as absent.
    pub fn load(state_dir: &Path) -> Option<Traces> {
        let path = path(state_dir);
        let bytes = match reading::read_own(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => {
                warn!(path = %path.display(), %error, "Traces of earlier runs cannot be read");
                return None;
            }
        };

        let traces = serde_json::from_slice(&bytes).ok().and_then(Spec::read);
        if traces.is_none() {
            warn!(path = %path.display(), "Traces of earlier runs cannot be read");
        }
        traces
    }

    /// Writes the file.
    pub fn save(&self, state_dir: &Path) -> io::Result<()> {
        let spec = Spec {
            tun: self.tun.to_string(),
            table: self.routes.table,
            protocol: self.routes.protocol,
            mark: self.routes.mark,
            own: self.own.iter().map(Prefix::to_string).collect(),
            held: self.held.iter().map(Prefix::to_string).collect(),
        };

        let bytes = serde_json::to_vec_pretty(&spec)?;
        disk::replace(&path(state_dir), &bytes, Access::Owner)
    }

    /// Removes the file.
    pub fn forget(state_dir: &Path) -> io::Result<()> {
        disk::remove(&path(state_dir))
    }

    /// Removes from the kernel what is in `self` and not in `current`. What `current` needs is
    /// already in place. If another daemon uses a name or number now, as far as the kernel shows,
    /// it is left alone.
    pub async fn clear(&self, current: &Traces) {
        // If the device exists, it is another daemon's by now, and so is the table.
        if self.tun != current.tun && !tun::exists(&self.tun) {
            match Nft::new(&self.tun).remove().await {
                Ok(false) => {}
                Ok(true) => info!(table = %self.tun, "Removed the guard of an earlier run"),
                Err(error) => warn!(table = %self.tun, %error, "The guard of an earlier run stays"),
            }
        }

        let before = (self.routes.table, self.routes.protocol);
        if before != (current.routes.table, current.routes.protocol) {
            let (table, protocol) = before;
            match routes::purge(self.routes, &self.own, Some(current.routes)).await {
                Ok(_) => info!(table, protocol, "Removed the routes of an earlier run"),
                Err(error) => warn!(table, protocol, %error, "Routes of an earlier run stay"),
            }
        }
    }
}

impl Spec {
    fn read(self) -> Option<Traces> {
        Some(Traces {
            tun: self.tun.parse().ok()?,
            routes: Routes {
                table: self.table,
                protocol: self.protocol,
                mark: self.mark,
            },
            own: read_prefixes(&self.own)?,
            held: read_prefixes(&self.held)?,
        })
    }
}

/// All prefixes, or none if one is invalid.
fn read_prefixes(texts: &[String]) -> Option<BTreeSet<Prefix>> {
    texts.iter().map(|text| text.parse().ok()).collect()
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn traces() -> Traces {
        Traces {
            tun: "ringway0".parse().unwrap(),
            routes: Routes::default(),
            own: ["10.1.0.0/16".parse().unwrap()].into(),
            held: [
                "10.2.0.0/16".parse().unwrap(),
                "fd00:2::/48".parse().unwrap(),
            ]
            .into(),
        }
    }

    #[test]
    fn traces_are_read_as_they_were_written_and_a_broken_file_is_none() {
        let directory = std::env::temp_dir().join(format!("ringway-traces-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        assert_eq!(Traces::load(&directory), None);

        traces().save(&directory).unwrap();
        assert_eq!(Traces::load(&directory), Some(traces()));

        fs::write(path(&directory), "{").unwrap();
        assert_eq!(Traces::load(&directory), None);
        Traces::forget(&directory).unwrap();
        Traces::forget(&directory).unwrap();
        fs::remove_dir_all(directory).unwrap();
    }
}
