//! [`Membership`]: what the member records say about the consortium, after all rulings.
//!
//! It is a value. The shell builds a new one from the configuration and passes it to
//! [`Mesh::handle_membership`](crate::Mesh::handle_membership), which acts on the difference. The
//! crate `ringway-config` resolves overlaps and revocations by name before; keys and certificates
//! are the shell's.

use std::collections::BTreeMap;

use ringway_config::{Endpoint, GatewayId, OrgId, Prefix, SiteId};

use crate::held_record::HeldRecord;

/// The gateways that this gateway accepts, and what each may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// This gateway. Never changes in the life of a mesh.
    pub me: GatewayId,
    /// The site it serves.
    pub site: SiteId,
    /// Our record names endpoints of this gateway: the peers can dial it.
    pub is_dialable: bool,
    /// Every accepted gateway but this one: others of our organization included, revoked ones not.
    pub gateways: BTreeMap<GatewayId, GatewayInfo>,
    /// The available prefixes that the gateways of each site serve, this gateway's included: the
    /// site's own, and those of the sites that are served via it. A site without an entry has none.
    pub authorized: BTreeMap<(OrgId, SiteId), Vec<Prefix>>,
    /// The sites that are served via another one. Their prefixes are among those of that one.
    pub passing: BTreeMap<(OrgId, SiteId), Passing>,
    /// Prefixes of any member that are in conflict. Claims of them are refused with that reason.
    pub conflicted: Vec<Prefix>,
    /// The member records that this was built from.
    pub records: BTreeMap<OrgId, HeldRecord>,
}

/// A site that the gateways of another one serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passing {
    /// The site that has the gateways.
    pub via: (OrgId, SiteId),
    /// Its available prefixes.
    pub prefixes: Vec<Prefix>,
}

/// What the member record says about one gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayInfo {
    /// The site it serves.
    pub site: SiteId,
    /// Where it can be dialled; the endpoints are raced. Empty: only it dials.
    pub endpoints: Vec<Endpoint>,
}

impl Membership {
    /// The site that `prefix`, which the gateways of `served` may serve, belongs to.
    pub(crate) fn holder<'a>(
        &'a self,
        prefix: &Prefix,
        served: (&'a OrgId, &'a SiteId),
    ) -> (&'a OrgId, &'a SiteId) {
        let holding = self.passing.iter().find(|(_, passing)| {
            let mut prefixes = passing.prefixes.iter();
            prefixes.any(|whole| whole.covers(prefix))
        });

        holding.map_or(served, |((org, site), _)| (org, site))
    }

    /// The site whose gateways may serve `prefix`; of an attached node's, the node.
    pub(crate) fn server(&self, prefix: &Prefix) -> Option<(&OrgId, &SiteId)> {
        let sites = self.authorized.iter();
        let serving = sites.filter_map(|((org, site), prefixes)| {
            let covering = prefixes.iter().filter(|whole| whole.covers(prefix));
            Some((covering.map(Prefix::len).max()?, (org, site)))
        });

        serving
            .max_by_key(|(len, _)| *len)
            .map(|(_, served)| served)
    }

    /// The available prefixes that the gateways of one site serve; none if the site is unknown.
    pub fn prefixes(&self, org: &OrgId, site: &SiteId) -> &[Prefix] {
        let key = (org.clone(), site.clone());
        self.authorized.get(&key).map_or(&[], Vec::as_slice)
    }

    /// The prefixes that this gateway serves: those of its site, and of the sites via it.
    pub fn local_prefixes(&self) -> &[Prefix] {
        self.prefixes(&self.me.org, &self.site)
    }

    /// Every available prefix and the site whose gateways serve it, ordered by site.
    pub(crate) fn authorized_list(&self) -> Vec<(Prefix, OrgId, SiteId)> {
        let mut list = Vec::new();
        for ((org, site), prefixes) in &self.authorized {
            list.extend(prefixes.iter().map(|p| (*p, org.clone(), site.clone())));
        }
        list
    }

    /// True if the records let the gateways of some site serve `prefix`.
    pub(crate) fn belongs_to_a_site(&self, prefix: &Prefix) -> bool {
        let sites = self
            .authorized
            .iter()
            .filter(|((_, site), _)| !site.is_node());
        let mut prefixes = sites.flat_map(|(_, prefixes)| prefixes);

        prefixes.any(|whole| whole.covers(prefix))
    }

    /// True if `peer`, serving `site`, serves the same site as this gateway.
    pub(crate) fn shares_site(&self, peer: &GatewayId, site: &SiteId) -> bool {
        peer.org == self.me.org && *site == self.site
    }
}
