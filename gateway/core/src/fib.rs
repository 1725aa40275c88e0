//! [`Fib`]: the lookup table that the mesh publishes. How it is searched is the data plane's matter.

use std::collections::BTreeMap;

use ringway_config::{GatewayId, OrgId, Prefix, SiteId};

use crate::ConnId;

/// A whole forwarding table, valid until the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fib {
    /// Where a packet goes: the gateway, and the session to seal it for.
    pub routes: BTreeMap<Prefix, (GatewayId, ConnId)>,
    /// Whose a source address is: every authorized prefix, this site's included, whether announced or
    /// not (DESIGN.md, 4.3: announcements steer sending only).
    pub authorized: Vec<(Prefix, OrgId, SiteId)>,
    /// Prefixes of the site that this gateway serves: the only destinations of received packets.
    pub local: Vec<Prefix>,
}
