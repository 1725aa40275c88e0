//! [`Fib`]: the forwarding table that the mesh publishes. The data plane derives its lookup
//! structures from it.

use std::collections::BTreeMap;

use ringway_config::{GatewayId, OrgId, Prefix, SiteId};

use crate::id::ConnId;

/// A complete forwarding table. It replaces the one before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fib {
    /// For each reachable prefix the gateway, and the session to seal the packets for.
    pub routes: BTreeMap<Prefix, (GatewayId, ConnId)>,
    /// Every authorized prefix and the site whose gateways serve it, this gateway's site included,
    /// announced or not. Received packets are checked against it: announcements steer only what is
    /// sent.
    pub authorized: Vec<(Prefix, OrgId, SiteId)>,
    /// The prefixes that this gateway serves, those of sites via its own among them: the only
    /// destinations of received packets.
    pub local: Vec<Prefix>,
}
