//! The port of the host's kernel: routes, the guard, the TUN device. Nothing is written twice at a
//! time, or once the daemon has restored what it found.

use std::collections::BTreeSet;

use ringway_intent::{Checked, GuardSpec, Missing, Restoration, RoutePlan, Thing};
use ringway_shell::{ChangeId, Input, RoutesOutcome};

use super::Answer;
use crate::world::World;

impl World {
    pub(crate) fn may_write(&mut self, node: usize) {
        if self.nodes[node].kernel.is_restored {
            self.accuse(node, "writes to the kernel after it was restored");
        }
    }

    pub(crate) fn sync_routes(&mut self, node: usize, plan: RoutePlan) {
        self.may_write(node);
        let daemon = self.nodes[node].running_mut();
        if std::mem::replace(&mut daemon.is_syncing, true) {
            self.accuse(node, "compares routes twice at a time");
        }

        let outcome = if self.fails(40) {
            RoutesOutcome::Failed
        } else if self.fails(40) {
            let first = plan.keys().next().copied();
            RoutesOutcome::Refused(first.into_iter().collect())
        } else {
            RoutesOutcome::Done
        };
        self.answer(node, Answer::Routes { plan, outcome });
    }

    /// Replaces the kernel's routes by the plan's, but for what is refused.
    pub(crate) fn routes_synced(
        &mut self,
        node: usize,
        mut plan: RoutePlan,
        outcome: RoutesOutcome,
    ) -> Input {
        self.may_write(node);
        let kernel = &mut self.nodes[node].kernel;
        kernel.is_meddled &= outcome == RoutesOutcome::Failed;

        match &outcome {
            RoutesOutcome::Done => kernel.routes = plan,
            RoutesOutcome::Refused(refused) => {
                for prefix in refused {
                    plan.remove(prefix);
                    if let Some(before) = kernel.routes.get(prefix) {
                        plan.insert(*prefix, *before);
                    }
                }
                kernel.routes = plan;
            }
            RoutesOutcome::Failed => {}
        }

        let daemon = self.nodes[node].running_mut();
        daemon.is_syncing = false;
        daemon.is_sync_refused = outcome != RoutesOutcome::Done;
        Input::RoutesSynced {
            outcome,
            restored: Vec::new(),
        }
    }

    pub(crate) fn apply_guard(&mut self, node: usize, change: ChangeId, spec: Box<GuardSpec>) {
        self.may_write(node);
        let daemon = self.nodes[node].running_mut();
        if daemon.guarding.replace(change).is_some() {
            self.accuse(node, "replaces the guard twice at a time");
        }

        let refuses = &mut self.nodes[node].kernel.refuses_guards;
        let is_refused = *refuses > 0;
        *refuses = refuses.saturating_sub(1);

        let result = if is_refused || self.fails(100) {
            Err("nft refused".to_owned())
        } else {
            Ok(())
        };
        self.answer(
            node,
            Answer::Guard {
                change,
                spec,
                result,
            },
        );
    }

    pub(crate) fn guard_applied(
        &mut self,
        node: usize,
        change: ChangeId,
        spec: GuardSpec,
        result: Result<(), String>,
    ) -> Input {
        self.may_write(node);
        let gateway = &mut self.nodes[node];
        let daemon = gateway.daemon.as_mut().unwrap();
        daemon.guarding = None;

        match &result {
            Ok(()) => {
                daemon.applied = Some(spec.clone());
                gateway.kernel.guard = Some(spec);
            }
            // A reload whose guard is refused changes nothing.
            Err(_) => {
                if daemon.pending.contains_key(&change) {
                    daemon.expected.records = daemon.records.clone();
                    daemon.expected.certificate = daemon.certificate;
                }
            }
        }
        Input::Guarded { change, result }
    }

    pub(crate) fn check_kernel(&mut self, node: usize, leave: BTreeSet<Thing>) {
        self.may_write(node);
        let daemon = self.nodes[node].running_mut();
        if std::mem::replace(&mut daemon.is_checking, true) {
            self.accuse(node, "compares the kernel twice at a time");
        }

        self.answer(node, Answer::Check { leave });
    }

    /// Puts the filter back if another program has changed it.
    pub(crate) fn kernel_checked(&mut self, node: usize, leave: &BTreeSet<Thing>) -> Input {
        self.may_write(node);
        let fails = self.fails(100) || leave.contains(&Thing::Table);
        let gateway = &mut self.nodes[node];
        let daemon = gateway.daemon.as_mut().unwrap();
        daemon.is_checking = false;

        let name = "the filter".to_owned();
        let mut checked = Checked::default();
        if gateway.kernel.guard == daemon.applied {
            return Input::KernelChecked(checked);
        }
        if fails {
            checked.missing.push(Missing {
                thing: Thing::Table,
                name,
                reason: "nft refused".into(),
            });
        } else {
            gateway.kernel.guard = daemon.applied.clone();
            checked.restored.push(Restoration {
                thing: Thing::Table,
                name,
                found: "gone".into(),
                by: None,
            });
        }
        Input::KernelChecked(checked)
    }

    /// Brings the device back if it is gone.
    pub(crate) fn check_device(&mut self, node: usize) -> Option<Input> {
        let kernel = &mut self.nodes[node].kernel;

        std::mem::take(&mut kernel.is_device_gone).then_some(Input::DeviceRecreated)
    }
}
