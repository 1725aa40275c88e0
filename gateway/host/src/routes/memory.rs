//! Routes of no kernel: what was wanted last, for tests of the layers above.

use std::collections::BTreeMap;

use ringway_config::Prefix;

use super::{RouteState, Routes, RoutesError};

/// Keeps what was wanted last, and how often something was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryRoutes {
    /// The routes as the last call wanted them.
    pub installed: BTreeMap<Prefix, RouteState>,
    /// How many calls there were.
    pub syncs: usize,
}

impl Routes for MemoryRoutes {
    async fn sync(&mut self, want: &BTreeMap<Prefix, RouteState>) -> Result<(), RoutesError> {
        self.installed.clone_from(want);
        self.syncs += 1;
        Ok(())
    }
}
