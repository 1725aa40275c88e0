//! [`StoredSecrets`]: the siblings' secrets as the state directory has them. A gateway that starts
//! while the site's network is cut can verify proofs only with a secret from an earlier run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ringway_config::GatewayId;

use crate::secret::Secret;

/// Least time between two writes: a sibling could change its secret all the time.
const STORE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct StoredSecrets {
    secrets: BTreeMap<GatewayId, Secret>,
    stored_at: Option<Instant>,
}

impl StoredSecrets {
    pub(super) fn new(secrets: BTreeMap<GatewayId, Secret>) -> StoredSecrets {
        StoredSecrets {
            secrets,
            stored_at: None,
        }
    }

    pub(super) fn get(&self, sibling: &GatewayId) -> Option<Secret> {
        self.secrets.get(sibling).copied()
    }

    /// Returns `current` for the caller to store, unless it is stored already or the last write was
    /// a moment ago.
    pub(super) fn replace(
        &mut self,
        current: BTreeMap<GatewayId, Secret>,
        now: Instant,
    ) -> Option<BTreeMap<GatewayId, Secret>> {
        let is_early = self.stored_at.is_some_and(|at| now < at + STORE_INTERVAL);
        if is_early || self.secrets == current {
            return None;
        }

        self.stored_at = Some(now);
        self.secrets.clone_from(&current);
        Some(current)
    }
}
