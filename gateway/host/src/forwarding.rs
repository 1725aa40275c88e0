//! Packet forwarding in this network namespace: enabled where it is off, and disabled again at the
//! end.
//!
//! A host that was no router must not become one between WAN and LAN. So the packet filter guards
//! every family that forwards only because of this daemon ([`Forwarding::ours`], `guard_forwarding`
//! in the filter's policy). Which families those are is kept in a file, so that a daemon that was
//! killed still knows it at its next start.
//!
//! ```text
//!   prepare ──► packet filter, guarding ours() ──► enable ── ... ──► restore ──► filter removed
//! ```
//!
//! The daemon disables at its end what it enabled: the guard goes with it, and would leave an
//! unguarded router behind. A host that must forward for other reasons sets that itself
//! (`sysctl.d`); then nothing is changed, guarded or restored here.
//!
//! IPv6: a host that forwards ignores router advertisements unless `accept_ra` is 2 (kernel
//! documentation, ip-sysctl), so interfaces that have 1 get 2 first.

mod memory;

use std::io;
use std::path::{Path, PathBuf};

use ringway_config::disk;
use ringway_intent::Families;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::sysctl::{self, Setting, SysctlError, Written};

const FORWARD_V4: &str = "net/ipv4/ip_forward";
const FORWARD_V6: &str = "net/ipv6/conf/all/forwarding";
/// Lets the reverse-path check use the mark that the filter gives the tunnel's own packets, and so
/// look past our routing table: a peer's endpoint may lie inside a prefix that is routed to the
/// TUN, or unreachable.
const MARKED_SOURCES: &str = "net/ipv4/conf/all/src_valid_mark";

/// Forwarding as this daemon needs it.
#[derive(Debug)]
pub struct Forwarding {
    changes: Vec<Change>,
    /// The file that keeps `changes` across a crash.
    memory: PathBuf,
}

/// One setting that this daemon changes, with the value it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Change {
    key: String,
    before: String,
    after: String,
}

/// Why forwarding is not as needed.
#[derive(Debug, thiserror::Error)]
pub enum ForwardingError {
    /// The file of changed settings could not be written or removed.
    #[error("cannot remember changed kernel settings in {}", path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A setting could not be written.
    #[error(transparent)]
    Setting(#[from] SysctlError),
}

impl Forwarding {
    /// Finds what must change for the families of the site's prefixes, and records it in the file
    /// `memory`. Changes nothing yet: the guard must be in force first.
    pub fn prepare(needed: Families, memory: &Path) -> Result<Forwarding, ForwardingError> {
        let recalled = memory::recall(memory);
        let mut changes = recalled.clone();
        // Interfaces come and go, and their settings with them.
        changes.retain(|change| sysctl::read(&change.key).is_ok());

        for (key, after) in required(needed) {
            let Ok(before) = sysctl::read(&key) else {
                continue; // This kernel does not have the setting.
            };

            // If another program reset a setting since it was recorded, the value before ours still
            // counts.
            let is_recorded = changes.iter().any(|change| change.key == key);
            if before != after && !is_recorded {
                changes.push(Change {
                    key,
                    before,
                    after: after.into(),
                });
            }
        }

        if changes != recalled {
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

    /// Everything that must stay as it is while the daemon runs, whether it was so before or not.
    /// `accept_ra` is the operator's.
    pub fn held(&self, needed: Families) -> Vec<Setting> {
        required(needed)
            .into_iter()
            .filter(|(key, _)| !key.ends_with("/accept_ra"))
            .map(|(key, value)| Setting {
                is_closable: self.changes.iter().any(|change| change.key == key)
                    && key != MARKED_SOURCES,
                key,
                value: value.into(),
            })
            .collect()
    }

    /// Enables forwarding.
    pub fn enable(&self) -> Result<(), ForwardingError> {
        for change in &self.changes {
            match sysctl::write(&change.key, &change.after) {
                Ok(Written::Changed) => info!(
                    key = change.key,
                    before = change.before,
                    "Changed a kernel setting"
                ),
                Ok(Written::Unchanged) => {}
                // Without it, everything works that does not tunnel to an address inside a prefix.
                Err(error) if change.key == MARKED_SOURCES => warn!(
                    %error,
                    reason = %error.source,
                    "Peers whose endpoint lies in a prefix may be cut off"
                ),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The families that forward only because of this daemon.
    pub fn ours(&self) -> Families {
        Families {
            v4: self.changes.iter().any(|change| change.key == FORWARD_V4),
            v6: self.changes.iter().any(|change| change.key == FORWARD_V6),
        }
    }

    /// Puts back what this daemon changed, unless another program has changed it since, and removes
    /// the file.
    pub fn restore(self) -> Result<(), ForwardingError> {
        // In reverse: forwarding is off before interfaces obey router advertisements again.
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

        disk::remove(&self.memory).map_err(|source| ForwardingError::Memory {
            path: self.memory,
            source,
        })
    }
}

/// Settings and the values they must have, in the order of writing. This kernel may lack some of
/// them.
fn required(needed: Families) -> Vec<(String, &'static str)> {
    let mut settings = Vec::new();

    if needed.v6 {
        // Before forwarding is enabled: from then on, interfaces with 1 ignore router
        // advertisements.
        for interface in sysctl::entries("net/ipv6/conf") {
            let key = format!("net/ipv6/conf/{interface}/accept_ra");
            if !["all", "lo"].contains(&interface.as_str())
                && sysctl::read(&key).is_ok_and(|value| value == "1")
            {
                settings.push((key, "2"));
            }
        }

        settings.push((FORWARD_V6.into(), "1"));
    }

    if needed.v4 {
        // ip-sysctl: a change of ip_forward resets other IPv4 settings, so it comes first.
        settings.push((FORWARD_V4.into(), "1"));
        settings.push((MARKED_SOURCES.into(), "1"));
    }

    settings
}
