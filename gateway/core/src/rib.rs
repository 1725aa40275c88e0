//! The import policy ([`admit`]) and the choice among admitted claims ([`Rib`]).
//!
//! Authorization is configuration, reachability is the wire (DESIGN.md, 5): a claim becomes a route only
//! inside the prefixes that the member record gives to the claiming gateway's site.

use std::collections::BTreeMap;

use ringway_config::{GatewayId, Prefix, SiteId};

use crate::{ConnId, Membership, Reason};

/// May `peer`, serving `site`, be the way to `prefix`?
pub(crate) fn admit(
    membership: &Membership,
    peer: &GatewayId,
    site: &SiteId,
    prefix: &Prefix,
) -> Result<(), Reason> {
    if membership.own().iter().any(|own| own.overlaps(prefix)) {
        return Err(Reason::OwnSite);
    }
    let authorized = membership.prefixes(&peer.org, site);
    match authorized.iter().any(|whole| whole.covers(prefix)) {
        true => Ok(()),
        false => Err(Reason::NotAuthorized),
    }
}

/// Which gateway each prefix is reached through.
#[derive(Debug, Default)]
pub(crate) struct Rib {
    chosen: BTreeMap<Prefix, GatewayId>,
}

impl Rib {
    /// One route per claimed prefix: the gateway that has it keeps it as long as it claims it; else the
    /// lowest identity gets it, so that every gateway of a site takes the same one.
    pub(crate) fn choose<'a>(
        &mut self,
        claims: impl Iterator<Item = (Prefix, &'a GatewayId, ConnId)>,
    ) -> BTreeMap<Prefix, (GatewayId, ConnId)> {
        let mut claimants: BTreeMap<Prefix, BTreeMap<&GatewayId, ConnId>> = BTreeMap::new();
        for (prefix, gateway, conn) in claims {
            claimants.entry(prefix).or_default().insert(gateway, conn);
        }
        let mut routes = BTreeMap::new();
        for (prefix, gateways) in claimants {
            let standing = self.chosen.get(&prefix).and_then(|gateway| gateways.get_key_value(gateway));
            if let Some((gateway, conn)) = standing.or_else(|| gateways.first_key_value()) {
                routes.insert(prefix, ((*gateway).clone(), *conn));
            }
        }
        self.chosen = routes.iter().map(|(prefix, (gateway, _))| (*prefix, gateway.clone())).collect();
        routes
    }
}
