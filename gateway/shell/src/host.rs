//! What a change of the host's interfaces and addresses does. A network that the host is newly
//! connected to takes its range from any member that claims it, as at a start; one that is gone
//! gives it back.

use std::sync::Arc;
use std::time::Instant;

use ringway_config::{Ruling, rule};
use ringway_intent::Links;

use crate::changes::{ChangeId, Stage};
use crate::effect::Effect;
use crate::shell::Shell;

impl Shell {
    /// The host has these addresses now.
    pub(crate) fn begin_host_change(&mut self, id: ChangeId, links: Links, now: Instant) {
        let have_changed = links != self.current.links;
        let connected = links.connected();
        self.current.links = links;

        if connected != self.current.connected {
            tracing::info!("The host's networks changed");
            self.current.connected = connected;
            self.reevaluate(id, now);
            // The data plane neither takes packets from a connected network nor sends any there.
            self.is_stale = true;
            self.plan_routes(now);
        } else if have_changed {
            // The filter knows this host's addresses, and routes may need another preferred source.
            self.is_stale = true;
            self.plan_routes(now);
        }

        // A filter that is on its way ends the change when it is answered (`filtered`).
        if self.filtering.is_none() {
            self.end_change(now);
        }
    }

    /// Evaluates the verdicts again. If one changed, mesh and filter follow; the filter may be
    /// late, and drops until then what it does not know.
    fn reevaluate(&mut self, id: ChangeId, now: Instant) {
        let current = &mut self.current;
        let rulings = rule(&current.config, &current.connected, &current.accepted);

        // Only new verdicts: addresses change often, and each conflict is worth one warning.
        for ruling in rulings
            .iter()
            .filter(|ruling| !current.rulings.contains(ruling))
        {
            warn_of_conflict(ruling);
        }
        if rulings == current.rulings {
            return;
        }

        current.rulings = rulings;
        let membership = (self.derive)(&current.config, &current.rulings);
        let spec = current.policy();

        self.apply_filter(id, spec);
        self.changes.await_stage(Stage::Refiltering);
        self.apply_membership(Arc::new(membership), now);
    }

    pub(crate) fn apply_filter(&mut self, change: ChangeId, spec: ringway_intent::PolicySpec) {
        self.filtering = Some(change);

        self.effects.push_back(Effect::ApplyFilter {
            change,
            spec: Box::new(spec),
        });
    }
}

fn warn_of_conflict(ruling: &Ruling) {
    if let Some(fault) = ruling.fault() {
        tracing::warn!(reason = %fault, "A network of this host overlaps a member's prefix");
    }
}
