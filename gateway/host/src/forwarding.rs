//! Packet forwarding in this network namespace: switched on where it is off, and switched off again.
//!
//! What was changed is remembered in a file, so that a daemon that was killed knows at its next start that
//! forwarding is its own doing and must be guarded ([`Forwarding::ours`], the packet filter's
//! `guard_forwarding`): a host that was no router before must not become one between WAN and LAN.
//!
//! ```text
//!   prepare ──► the packet filter, guarding what is ours() ──► enable ── ... ──► restore ──► filter removed
//! ```
//!
//! Decided: what this daemon switched on, it switches off at its end ([`Forwarding::restore`]); the guard
//! goes with it, and an unguarded router would be left behind otherwise. Whoever needs forwarding besides
//! sets it on the host (`sysctl.d`); then nothing is changed, guarded or restored here.
//!
//! IPv6: a host that forwards ignores router advertisements unless `accept_ra` is 2 (kernel documentation,
//! ip-sysctl), so interfaces that have 1 get 2 first.

mod memory;

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::Families;
use super::sysctl::{self, SysctlError};

const FORWARD_V4: &str = "net/ipv4/ip_forward";
const FORWARD_V6: &str = "net/ipv6/conf/all/forwarding";
/// With it, the reverse-path check of a packet that the filter marked as the tunnel's own looks past our
/// table: a peer's endpoint may lie inside a prefix that is routed to the TUN, or unreachable.
const MARKED_SOURCES: &str = "net/ipv4/conf/all/src_valid_mark";

/// Forwarding as this daemon needs it.
#[derive(Debug)]
pub struct Forwarding {
    changes: Vec<Change>,
    memory: PathBuf,
}

/// One setting that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Change {
    key: String,
    before: String,
    after: String,
}

/// Why forwarding is not as needed.
#[derive(Debug, thiserror::Error)]
pub enum ForwardingError {
    /// What is about to be changed could not be remembered.
    #[error("cannot remember changed kernel settings in {}", path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A setting could not be written.
    #[error(transparent)]
    Setting(#[from] SysctlError),
}

impl Forwarding {
    /// Finds out what must change for the families that the site has, and remembers it. `memory` is a file
    /// of the daemon's own, in its state directory. Nothing is changed yet: the guard comes first.
    pub fn prepare(needed: Families, memory: &Path) -> Result<Forwarding, ForwardingError> {
        let mut changes = memory::recall(memory);
        let known = changes.clone();
        // Interfaces come and go.
        changes.retain(|change| sysctl::read(&change.key).is_ok());
        for (key, after) in plan(needed) {
            let Ok(before) = sysctl::read(&key) else {
                continue;
            };
            // Of a setting that somebody undid while we were away, the oldest value counts.
            if before != after && !changes.iter().any(|change| change.key == key) {
                changes.push(Change {
                    key,
                    before,
                    after: after.into(),
                });
            }
        }
        if changes != known {
            memory::remember(memory, &changes).map_err(|source| ForwardingError::Memory {
                path: memory.into(),
                source,
            })?;
        }
        Ok(Forwarding {
            changes,
            memory: memory.into(),
        })
    }

    /// Switches forwarding on.
    pub fn enable(&self) -> Result<(), ForwardingError> {
        for change in &self.changes {
            match sysctl::write(&change.key, &change.after) {
                Ok(true) => info!(
                    key = change.key,
                    before = change.before,
                    "Changed a kernel setting"
                ),
                Ok(false) => {}
                Err(error) if change.key == MARKED_SOURCES => {
                    warn!(%error, reason = %error.source, "Peers whose endpoint lies in a prefix may be cut off");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The families that forward only because of this daemon.
    pub fn ours(&self) -> Families {
        let changed = |key| self.changes.iter().any(|change| change.key == key);
        Families {
            v4: changed(FORWARD_V4),
            v6: changed(FORWARD_V6),
        }
    }

    /// Puts back what this daemon changed, where it still is as it was left, and forgets it.
    pub fn restore(self) -> Result<(), ForwardingError> {
        for change in self.changes.iter().rev() {
            if sysctl::read(&change.key).is_ok_and(|now| now == change.after) {
                sysctl::write(&change.key, &change.before)?;
                info!(
                    key = change.key,
                    before = change.after,
                    "Restored a kernel setting"
                );
            }
        }
        match fs::remove_file(&self.memory) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(ForwardingError::Memory {
                    path: self.memory,
                    source,
                })
            }
            _ => Ok(()),
        }
    }
}

/// Settings and the values they must have, in the order of writing: router advertisements are kept before
/// forwarding would stop them. Settings that this kernel lacks are left out by the caller.
fn plan(needed: Families) -> Vec<(String, &'static str)> {
    let mut plan = Vec::new();
    if needed.v6 {
        for interface in sysctl::entries("net/ipv6/conf") {
            let key = format!("net/ipv6/conf/{interface}/accept_ra");
            if !["all", "lo"].contains(&interface.as_str())
                && sysctl::read(&key).is_ok_and(|value| value == "1")
            {
                plan.push((key, "2"));
            }
        }
        plan.push((FORWARD_V6.into(), "1"));
    }
    if needed.v4 {
        plan.push((FORWARD_V4.into(), "1"));
        plan.push((MARKED_SOURCES.into(), "1"));
    }
    plan
}
