//! [`Guard`]: the nftables table and forwarding, which are changed together: what forwards because
//! of us is restricted first.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ringway_config::TunName;
use ringway_intent::{Checked, GuardSpec, Missing, Restoration, Thing};
use tokio::sync::Mutex;
use tracing::info;

use crate::firewall::{DropReason, FirewallError, Nft, Surroundings};
use crate::forwarding::Forwarding;
use crate::sysctl::{Setting, dotted};
use crate::watch::Authors;

/// The guard of a running daemon, shared by reloads and reports. A call may run a program for
/// seconds, so never call it on the loop.
pub type SharedGuard = Arc<Mutex<Guard>>;

/// The guard: table and forwarding.
#[derive(Debug)]
pub struct Guard {
    nft: Nft,
    forwarding: Forwarding,
    applied: Option<(GuardSpec, Surroundings)>,
}

impl Guard {
    /// The guard for the TUN device `tun`. Changes nothing yet: a table that was left behind stays
    /// in force until it is replaced. The file `memory` records which forwarding is ours.
    pub fn new(tun: &TunName, memory: &Path) -> Guard {
        Guard {
            nft: Nft::new(tun),
            forwarding: Forwarding::load(memory),
            applied: None,
        }
    }

    /// Puts `spec` in force. After an error the old rules are in force, and no more interfaces
    /// forward.
    pub async fn apply(&mut self, spec: &GuardSpec) -> Result<(), FirewallError> {
        let surroundings = Surroundings {
            restriction: self.forwarding.plan(spec),
            untracks: spec.is_dialled && self.nft.can_untrack().await,
        };

        // Stop forwarding that is no longer needed before its rules are removed.
        self.forwarding.release();
        self.nft.apply(spec, &surroundings).await?;
        self.applied = Some((spec.clone(), surroundings));

        self.log_enabled();
        Ok(())
    }

    /// Compares and restores the table, unless `leave` is set, and adapts it to forwarding: another
    /// program may have changed the general switch.
    pub async fn hold(&mut self, leave: bool, authors: &Authors, checked: &mut Checked) {
        self.nft.hold(leave, authors, checked).await;

        // Without the table no more may forward: the caller switches forwarding off.
        let is_missing = checked
            .missing
            .iter()
            .any(|missing| missing.thing == Thing::Table);
        if is_missing {
            return;
        }

        let Some((spec, surroundings)) = self.applied.clone().filter(|_| !leave) else {
            return;
        };
        let untracks = spec.is_dialled && self.nft.can_untrack().await;
        if untracks != surroundings.untracks || !self.is_adapted(&spec, &surroundings) {
            self.adapt(&spec, untracks, surroundings, checked).await;
        }
    }

    /// True if forwarding is as planned, and the table in force restricts what is ours. The table
    /// may not have been replaced since that was planned.
    fn is_adapted(&self, spec: &GuardSpec, surroundings: &Surroundings) -> bool {
        self.forwarding.is_as_planned(spec)
            && *self.forwarding.restriction() == surroundings.restriction
    }

    /// Adapts the table if forwarding differs from what it was made for, or if a filter depends on
    /// connection tracking now.
    async fn adapt(
        &mut self,
        spec: &GuardSpec,
        untracks: bool,
        before: Surroundings,
        checked: &mut Checked,
    ) {
        let surroundings = Surroundings {
            restriction: self.forwarding.plan(spec),
            untracks,
        };
        // As in `apply`, this order never lets an interface forward without its rule.
        self.forwarding.release();

        if surroundings != before {
            if let Err(error) = self.nft.apply(spec, &surroundings).await {
                checked.missing.push(Missing {
                    thing: Thing::Table,
                    name: format!("nftables table inet {}", spec.tun),
                    reason: error.to_string(),
                });
                return;
            }
            info!(
                restricted = ?surroundings.restriction.v4,
                untracked = surroundings.untracks,
                "The guard was adapted to changes by other programs"
            );
            self.applied = Some((spec.clone(), surroundings));
        }

        // The rules that restrict it are in force by now.
        let changed = self.forwarding.enable().into_iter();
        checked.restored.extend(changed.map(|key| {
            let name = dotted(&key);
            Restoration {
                thing: Thing::Setting(name.clone()),
                name,
                found: "off".into(),
                by: None,
            }
        }));
    }

    fn log_enabled(&self) {
        for key in self.forwarding.enable() {
            info!(key, "Changed a kernel setting");
        }
    }

    /// The settings that must stay as they are.
    pub fn settings(&self) -> Vec<Setting> {
        self.forwarding.settings()
    }

    /// Packets dropped so far. [`Guard::apply`] does not reset the counts.
    pub async fn drops(&self) -> Result<BTreeMap<DropReason, u64>, FirewallError> {
        self.nft.drops().await
    }

    /// Removes forwarding that this daemon has switched on, then the table. Returns the restored
    /// settings, and whether there was a table.
    pub async fn remove(mut self) -> Result<(Vec<String>, bool), FirewallError> {
        let settings = self.forwarding.undo();

        Ok((settings, self.nft.remove().await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::Restriction;
    use crate::firewall::testing::spec;

    #[tokio::test]
    async fn without_the_table_nothing_more_is_planned_that_it_would_have_to_restrict() {
        let memory = std::env::temp_dir().join(format!("ringway-guard-{}", std::process::id()));
        let tun: TunName = "rw-none1".parse().unwrap();
        let mut guard = Guard::new(&tun, &memory);
        guard.nft = Nft::refusing(&tun);
        let surroundings = Surroundings {
            restriction: Restriction {
                v4: ["rw-none2".to_owned()].into(),
                ..Restriction::default()
            },
            untracks: false,
        };
        let spec = GuardSpec {
            tun,
            is_dialled: false,
            ..spec()
        };
        guard.applied = Some((spec, surroundings));

        let mut checked = Checked::default();
        let authors = Authors::new("rw-none1", 4600);
        guard.hold(false, &authors, &mut checked).await;
        let missing: Vec<_> = checked.missing.iter().map(|m| &m.thing).collect();
        assert_eq!(
            missing,
            [&Thing::Table],
            "told once, and followed by nothing"
        );
        assert!(checked.restored.is_empty() && guard.settings().is_empty());
        assert!(!memory.exists());
    }
}
