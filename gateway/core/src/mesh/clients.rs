//! [`Clients`]: which WireGuard clients are connected to this gateway, and which to a sibling.
//!
//! A client belongs to the gateway that it used last. Each gateway compares two times of its own
//! clock: when the client used it, and when a sibling began to claim the client's prefixes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ringway_config::{GatewayId, Prefix};

use crate::membership::Membership;

#[derive(Debug, Default)]
pub(super) struct Clients {
    /// For each client with a session here, by prefix: when it was used last.
    used: BTreeMap<Prefix, Instant>,
    /// When each sibling began to claim a prefix.
    claimed: BTreeMap<(Prefix, GatewayId), Instant>,
}

impl Clients {
    /// Replaces the clients with sessions here. False if nothing has changed.
    pub(super) fn set_used(&mut self, used: BTreeMap<Prefix, Instant>) -> bool {
        if self.used == used {
            return false;
        }

        self.used = used;
        true
    }

    /// Replaces the claims of siblings; those that stay keep their time.
    pub(super) fn set_claims(&mut self, claims: BTreeSet<(Prefix, GatewayId)>, now: Instant) {
        self.claimed.retain(|claim, _| claims.contains(claim));

        for claim in claims {
            self.claimed.entry(claim).or_insert(now);
        }
    }

    /// The prefixes of the clients that used this gateway last.
    pub(super) fn here(&self, membership: &Membership) -> BTreeSet<Prefix> {
        let used = self.used.iter();

        used.filter(|(prefix, _)| belongs_to_node(membership, prefix))
            .filter(|(prefix, used)| {
                let mut claimed = self.claimed.iter();
                !claimed.any(|((other, _), since)| other == *prefix && since > *used)
            })
            .map(|(prefix, _)| *prefix)
            .collect()
    }
}

/// False for a prefix that is in conflict, or whose node was removed a moment ago.
fn belongs_to_node(membership: &Membership, prefix: &Prefix) -> bool {
    let mut authorized = membership.authorized.iter();

    authorized.any(|((_, site), own)| site.is_node() && own.contains(prefix))
}
