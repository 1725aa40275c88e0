//! Packet forwarding in this network namespace, for the mesh alone: the TUN and the site's
//! interfaces forward, and nothing else does through our doing.
//!
//! For IPv4 each interface has a switch of its own, and packets that enter by it are forwarded even
//! if the switch for all (`ip_forward`) is off. For IPv6 that is so where the kernel has
//! `force_forwarding` (Linux 6.17); elsewhere the switch for all is needed. The guard learns
//! what is ours ([`Restriction`]), and keeps such interfaces from forwarding to anywhere but the
//! mesh:
//!
//! ```text
//!   plan ──► guard with the restriction ──► release ──► enable
//! ```
//!
//! Who switches forwarding on for all, such as a container engine, relies on it from then on: it is
//! theirs, and the restriction goes. Nothing is switched off when the daemon ends, for their sake
//! and because a host that does not forward does not say "unreachable" either. A file keeps what is
//! ours, so that the next start knows it; [`Forwarding::undo`] takes it back.
//!
//! IPv6: a host that forwards ignores router advertisements unless `accept_ra` is 2 (kernel
//! documentation, ip-sysctl), so interfaces that have 1 get 2 before the switch for all is set.

mod memory;
mod plan;

use std::path::{Path, PathBuf};

use ringway_config::disk;
use ringway_intent::GuardSpec;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::firewall::Restriction;
use crate::sysctl::{self, Setting, SysctlError, Written, dotted};
use plan::Plan;

/// Forwarding as this daemon needs it, and what of it is ours.
#[derive(Debug)]
pub struct Forwarding {
    plan: Plan,
    /// The file that keeps the plan's changes for the next start.
    memory: PathBuf,
    /// It says what the plan says.
    is_remembered: bool,
}

/// One setting that this daemon changes, with the value it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    key: String,
    before: String,
    after: String,
    /// The switch for all interfaces at the time, if there is one above this setting.
    general: Option<String>,
}

impl Forwarding {
    /// What an earlier daemon has changed here and not taken back, by the file `memory`.
    pub fn recall(memory: &Path) -> Forwarding {
        let changes = memory::recall(memory);

        Forwarding {
            plan: Plan {
                changes,
                ..Plan::default()
            },
            memory: memory.into(),
            is_remembered: true,
        }
    }

    /// Finds what must change for `spec`, and records it. Changes nothing yet: the guard must be in
    /// force first, with the restriction that is returned.
    pub fn plan(&mut self, spec: &GuardSpec) -> Restriction {
        let recalled = std::mem::take(&mut self.plan.changes);
        self.plan = plan::plan(spec, &recalled, &plan::Proc);

        if self.plan.changes != recalled || !self.is_remembered {
            self.remember();
        }
        self.plan.restriction.clone()
    }

    /// What [`Forwarding::plan`] found last.
    pub(crate) fn restriction(&self) -> &Restriction {
        &self.plan.restriction
    }

    /// Without the file, the next start takes our settings for the host's: it works, and forwards
    /// more.
    fn remember(&mut self) {
        let remembered = memory::remember(&self.memory, &self.plan.changes);

        if let Err(error) = &remembered
            && self.is_remembered
        {
            warn!(
                path = %self.memory.display(),
                %error,
                "Not remembered which kernel settings were changed"
            );
        }
        self.is_remembered = remembered.is_ok();
    }

    /// Takes back what is no longer needed, unless another program has changed it since.
    pub fn release(&self) {
        for change in &self.plan.released {
            take_back(change);
        }
    }

    /// Sets what is needed. Returns the settings that had another value.
    ///
    /// A setting that cannot be written is warned of: the rest of the gateway works without it.
    pub fn enable(&self) -> Vec<String> {
        let mut changed = Vec::new();

        for (key, value) in &self.plan.wanted {
            match sysctl::write(key, value) {
                Ok(Written::Changed) => changed.push(key.clone()),
                Ok(Written::Unchanged) => {}
                Err(error) => warn_of(&error),
            }
        }

        changed
    }

    /// What must stay as it is while the daemon runs, whether it was so before or not. `accept_ra`
    /// is the operator's.
    pub fn settings(&self) -> Vec<Setting> {
        self.plan
            .wanted
            .iter()
            .filter(|(key, _)| !key.ends_with("/accept_ra"))
            .map(|(key, value)| Setting {
                // Only what forwards because of this daemon is switched off when the table is
                // missing.
                is_closable: key.ends_with("forwarding")
                    && self.plan.changes.iter().any(|change| change.key == *key),
                key: key.clone(),
                value: value.clone(),
            })
            .collect()
    }

    /// True if the settings that are needed are those of the last plan, and that is on disk.
    pub(crate) fn is_as_planned(&self, spec: &GuardSpec) -> bool {
        self.is_remembered && plan::plan(spec, &self.plan.changes, &plan::Proc) == self.plan
    }

    /// Takes everything back for good, unless another program has changed it since, and removes the
    /// file. Gives what was taken back, in dotted names.
    pub fn undo(self) -> Vec<String> {
        let changes = self.plan.changes.iter().rev();
        let undone = changes.filter(|change| take_back(change));
        let undone = undone.map(|change| dotted(&change.key)).collect();

        if let Err(error) = disk::remove(&self.memory) {
            warn!(path = %self.memory.display(), %error, "A file was not removed");
        }
        undone
    }
}

/// What `spec` needs and is otherwise now, with the value that it has. Changes nothing.
pub(crate) fn wrong_settings(spec: &GuardSpec) -> Vec<(Setting, String)> {
    let wanted = plan::plan(spec, &[], &plan::Proc).wanted.into_iter();

    wanted
        .filter_map(|(key, value)| {
            let now = sysctl::read(&key).ok()?;
            let setting = Setting {
                key,
                value,
                is_closable: false,
            };
            (now != setting.value).then_some((setting, now))
        })
        .collect()
}

/// False if it stays.
fn take_back(change: &Change) -> bool {
    // Another program has changed it since, so that it is not ours to undo.
    if !sysctl::read(&change.key).is_ok_and(|now| now == change.after) {
        return false;
    }

    match sysctl::write(&change.key, &change.before) {
        Ok(_) => {
            info!(
                key = change.key,
                before = change.after,
                "Restored a kernel setting"
            );
            true
        }
        Err(error) => {
            warn_of(&error);
            false
        }
    }
}

fn warn_of(error: &SysctlError) {
    warn!(%error, reason = %error.source, "A kernel setting is not as needed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_stay_is_ours_to_close_only_if_it_forwards_and_we_switched_it_on() {
        let keys = [
            ("net/ipv4/conf/eth1/forwarding", true),
            ("net/ipv4/conf/tun0/forwarding", false),
            ("net/ipv4/conf/all/src_valid_mark", true),
            ("net/ipv6/conf/eth1/accept_ra", true),
        ];
        let wanted = keys
            .iter()
            .map(|(key, _)| ((*key).to_owned(), "1".to_owned()));
        let ours = keys.iter().filter(|(_, is_ours)| *is_ours);
        let changes = ours.map(|(key, _)| Change {
            key: (*key).to_owned(),
            before: "0".into(),
            after: "1".into(),
            general: None,
        });
        let forwarding = Forwarding {
            plan: Plan {
                wanted: wanted.collect(),
                changes: changes.collect(),
                ..Plan::default()
            },
            memory: PathBuf::new(),
            is_remembered: true,
        };

        let settings = forwarding.settings();
        let found: Vec<_> = settings
            .iter()
            .map(|setting| (setting.key.as_str(), setting.is_closable))
            .collect();
        assert_eq!(
            found,
            [
                ("net/ipv4/conf/eth1/forwarding", true),
                ("net/ipv4/conf/tun0/forwarding", false),
                ("net/ipv4/conf/all/src_valid_mark", false),
            ]
        );
    }
}
