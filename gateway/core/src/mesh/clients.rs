//! [`Clients`]: which WireGuard clients are at this gateway, and which at a sibling.
//!
//! A client is at the gateway that it used last. Each gateway knows when that was by its own clock,
//! and when a sibling began to claim the client's prefixes: no clocks are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ringway_config::{GatewayId, Prefix};

use crate::membership::Membership;

#[derive(Debug, Default)]
pub(super) struct Clients {
    /// When each client that has a session here used it last, by prefix.
    used: BTreeMap<Prefix, Instant>,
    /// Since when siblings claim prefixes.
    claimed: BTreeMap<(Prefix, GatewayId), Instant>,
}

impl Clients {
    /// These have sessions here. False if that is known.
    pub(super) fn used(&mut self, used: BTreeMap<Prefix, Instant>) -> bool {
        if self.used == used {
            return false;
        }

        self.used = used;
        true
    }

    /// Siblings claim this now.
    pub(super) fn claimed(&mut self, claims: BTreeSet<(Prefix, GatewayId)>, now: Instant) {
        self.claimed.retain(|claim, _| claims.contains(claim));

        for claim in claims {
            self.claimed.entry(claim).or_insert(now);
        }
    }

    /// The prefixes of those that used this gateway last.
    pub(super) fn here(&self, membership: &Membership) -> BTreeSet<Prefix> {
        let used = self.used.iter();

        used.filter(|(prefix, _)| is_nodes(membership, prefix))
            .filter(|(prefix, used)| {
                let mut claimed = self.claimed.iter();
                !claimed.any(|((other, _), since)| other == *prefix && since > *used)
            })
            .map(|(prefix, _)| *prefix)
            .collect()
    }
}

/// False for one that is in conflict, or whose node was removed a moment ago.
fn is_nodes(membership: &Membership, prefix: &Prefix) -> bool {
    let mut authorized = membership.authorized.iter();

    authorized.any(|((_, site), own)| site.is_node() && own.contains(prefix))
}
