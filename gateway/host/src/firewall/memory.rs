//! A filter of no kernel: what was applied last, for tests of the layers above.

use std::collections::BTreeMap;

use super::{DropReason, Firewall, FirewallError, PolicySpec};

/// Keeps what is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryFirewall {
    /// The policy in force; `None` before the first and after a removal.
    pub applied: Option<PolicySpec>,
    /// What [`Firewall::drops`] reports.
    pub drops: BTreeMap<DropReason, u64>,
}

impl Firewall for MemoryFirewall {
    async fn apply(&mut self, spec: &PolicySpec) -> Result<(), FirewallError> {
        self.applied = Some(spec.clone());
        Ok(())
    }

    async fn remove(&mut self) -> Result<(), FirewallError> {
        self.applied = None;
        Ok(())
    }

    async fn drops(&mut self) -> Result<BTreeMap<DropReason, u64>, FirewallError> {
        Ok(self.drops.clone())
    }
}
