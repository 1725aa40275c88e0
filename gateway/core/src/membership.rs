//! [`Membership`]: what this gateway was told about the consortium, already ruled on.
//!
//! It is a value: the shell builds a whole new one from the configuration and hands it to
//! [`Mesh::handle_membership`](crate::Mesh::handle_membership), which acts on the difference. Overlaps,
//! revocation by name and denials are decided before (crate `ringway-config`); keys and certificates
//! are the shell's.

use std::collections::BTreeMap;

use ringway_config::{Digest, Endpoint, GatewayId, OrgId, Prefix, SiteId};

/// Everyone this gateway accepts, and what each may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// This gateway. Never changes in the life of a mesh.
    pub me: GatewayId,
    /// The site it serves.
    pub site: SiteId,
    /// Every accepted gateway but this one: the own organization's others included, the revoked not.
    pub gateways: BTreeMap<GatewayId, GatewayInfo>,
    /// Prefixes ruled available, by site; the own site's included. A missing entry means none.
    pub authorized: BTreeMap<(OrgId, SiteId), Vec<Prefix>>,
    /// Prefixes of any member that are in conflict, and so nobody's: claims of them are refused as that.
    pub conflicted: Vec<Prefix>,
    /// Fingerprints of the member records this is made of.
    pub records: BTreeMap<OrgId, Digest>,
}

/// What the member record says about one gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayInfo {
    /// The site it serves.
    pub site: SiteId,
    /// Where it can be dialled, tried in turn; empty: it only dials.
    pub endpoints: Vec<Endpoint>,
}

impl Membership {
    /// The prefixes of one site; none if it is unknown.
    pub fn prefixes(&self, org: &OrgId, site: &SiteId) -> &[Prefix] {
        // The map's key is a pair of owned names: looking it up takes owned names.
        self.authorized
            .get(&(org.clone(), site.clone()))
            .map_or(&[], Vec::as_slice)
    }

    /// The prefixes of the site that this gateway serves.
    pub fn local_prefixes(&self) -> &[Prefix] {
        self.prefixes(&self.me.org, &self.site)
    }

    /// Every authorized prefix and whose it is, in order.
    pub(crate) fn authorized_list(&self) -> Vec<(Prefix, OrgId, SiteId)> {
        let sites = self.authorized.iter();
        sites
            .flat_map(|((org, site), prefixes)| {
                prefixes
                    .iter()
                    .map(move |p| (*p, org.clone(), site.clone()))
            })
            .collect()
    }

    /// True if `peer`, serving `site`, serves the same site as this gateway.
    pub(crate) fn shares_site(&self, peer: &GatewayId, site: &SiteId) -> bool {
        peer.org == self.me.org && *site == self.site
    }
}
