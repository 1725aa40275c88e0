//! [`OwnNames`]: the names that are the consortium's alone.

use std::sync::Arc;

use ringway_config::ZoneName;

use crate::name::Name;

/// Everything at and below these names: nothing of it is asked of a resolver, or believed of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnNames(Arc<[Name]>);

impl OwnNames {
    pub(super) fn new(apexes: &[ZoneName]) -> OwnNames {
        OwnNames(apexes.iter().map(Name::from).collect())
    }

    pub(super) fn has(&self, name: &Name) -> bool {
        self.0.iter().any(|apex| name.is_within(apex))
    }
}
