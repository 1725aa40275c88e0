//! Packet forwarding in this network namespace, for the mesh only: the TUN and the site's
//! interfaces forward; this daemon makes no other interface forward.
//!
//! For IPv4 each interface has its own switch: packets that enter by it are forwarded even if the
//! general switch (`ip_forward`) is off. For IPv6 this holds if the kernel has `force_forwarding`
//! (Linux 6.17); otherwise the general switch is needed. The guard gets the list of what we
//! switched on ([`Restriction`]), and keeps those interfaces from forwarding to anything but the
//! mesh:
//!
//! ```text
//!   plan ──► guard with the restriction ──► release ──► enable
//! ```
//!
//! If another program, such as a container engine, switches forwarding on in general, it depends on
//! it: the switch is then its own, and the restriction is lifted. For the sake of such programs
//! nothing is switched off when the daemon ends, and because a host that does not forward does not
//! answer "unreachable" either. A file records what is ours for the next start;
//! [`Forwarding::undo`] restores it.
//!
//! IPv6: a host that forwards ignores router advertisements unless `accept_ra` is 2 (kernel
//! documentation, ip-sysctl). So interfaces with the value 1 get 2 before the general switch is
//! set.

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

/// The forwarding that this daemon needs, and the settings that it has changed.
#[derive(Debug)]
pub struct Forwarding {
    plan: Plan,
    /// The file that records the plan's changes for the next start.
    memory: PathBuf,
    /// True if the file on disk is up to date.
    is_remembered: bool,
}

/// A setting that this daemon changes, with the value before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    key: String,
    before: String,
    after: String,
    /// The general switch at that time, if there is one above this setting.
    general: Option<String>,
}

impl Forwarding {
    /// The changes that an earlier daemon has made and not restored, from the file `memory`.
    pub fn load(memory: &Path) -> Forwarding {
        let changes = memory::load(memory);

        Forwarding {
            plan: Plan {
                changes,
                ..Plan::default()
            },
            memory: memory.into(),
            is_remembered: true,
        }
    }

    /// Determines what must change for `spec`, and records it. Changes nothing yet: first the guard
    /// must be in force with the returned restriction.
    pub fn plan(&mut self, spec: &GuardSpec) -> Restriction {
        let recalled = std::mem::take(&mut self.plan.changes);
        self.plan = plan::plan(spec, &recalled, &plan::Proc);

        if self.plan.changes != recalled || !self.is_remembered {
            self.save();
        }
        self.plan.restriction.clone()
    }

    /// The restriction of the last [`Forwarding::plan`].
    pub(crate) fn restriction(&self) -> &Restriction {
        &self.plan.restriction
    }

    /// Writes the file. Without it, the next start takes our settings for the host's own: it works,
    /// but without the restriction.
    fn save(&mut self) {
        let remembered = memory::save(&self.memory, &self.plan.changes);

        if let Err(error) = &remembered
            && self.is_remembered
        {
            warn!(
                path = %self.memory.display(),
                %error,
                "Cannot record which kernel settings were changed"
            );
        }
        self.is_remembered = remembered.is_ok();
    }

    /// Restores what is no longer needed, unless another program has changed it since.
    pub fn release(&self) {
        for change in &self.plan.released {
            take_back(change);
        }
    }

    /// Sets what is needed. Returns the settings that had another value.
    ///
    /// If a setting cannot be written, logs a warning: the rest of the gateway works without it.
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

    /// The settings that must stay while the daemon runs, including those that were right before.
    /// `accept_ra` is left to the operator.
    pub fn settings(&self) -> Vec<Setting> {
        self.plan
            .wanted
            .iter()
            .filter(|(key, _)| !key.ends_with("/accept_ra"))
            .map(|(key, value)| Setting {
                // If the guard's table is missing, only forwarding that this daemon has switched on
                // is switched off.
                is_closable: key.ends_with("forwarding")
                    && self.plan.changes.iter().any(|change| change.key == *key),
                key: key.clone(),
                value: value.clone(),
            })
            .collect()
    }

    /// True if `spec` needs the settings of the last plan, and the file is up to date.
    pub(crate) fn is_as_planned(&self, spec: &GuardSpec) -> bool {
        self.is_remembered && plan::plan(spec, &self.plan.changes, &plan::Proc) == self.plan
    }

    /// Restores everything, unless another program has changed it since, and removes the file.
    /// Returns the restored settings, in dotted form.
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

/// The settings that `spec` needs and that have another value now, with that value. Changes
/// nothing.
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

/// Restores a setting. False if it fails.
fn take_back(change: &Change) -> bool {
    // If another program has changed it since, it is not ours to restore.
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
    fn a_setting_may_be_closed_only_if_it_forwards_and_we_switched_it_on() {
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
