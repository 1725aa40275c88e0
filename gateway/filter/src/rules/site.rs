//! [`Site`]: a remote site as rules see it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ringway_config::{OrgId, Origin, Prefix, SiteId};

use super::services::Services;
use crate::spec::RemoteSite;

pub(crate) struct Site {
    pub(crate) number: u32,
    pub(crate) org: OrgId,
    /// The place of its organization in the rules.
    pub(crate) org_index: usize,
    /// What its hosts may open. Sites for which the same rules count share it.
    pub(crate) services: Arc<Services>,
    /// What they might open by former rules.
    pub(crate) former: Arc<Services>,
    /// Packets denied to its organization.
    pub(crate) denied: Arc<AtomicU64>,
    /// The place of the site whose gateways serve it: its own, unless it is served via another.
    pub(crate) server: usize,
    /// Its gateways serve other sites too: a packet's source tells which one it comes from.
    pub(crate) serves_others: bool,
    name: SiteId,
    has_gateways: bool,
}

impl Site {
    pub(crate) fn new(
        site: &RemoteSite,
        server: usize,
        org_index: usize,
        services: Arc<Services>,
        former: Arc<Services>,
        denied: Arc<AtomicU64>,
    ) -> Site {
        Site {
            number: site.number,
            org: site.org.clone(),
            org_index,
            services,
            former,
            denied,
            server,
            serves_others: false,
            name: site.site.clone(),
            has_gateways: site.has_gateways,
        }
    }

    /// True if an origin that is no prefix means this site.
    pub(crate) fn is_meant_by(&self, origin: &Origin) -> bool {
        is_meant(&self.org, &self.name, self.has_gateways, origin)
    }
}

/// For whom at `site` a rule from `origins` is: `None` for nobody, empty for every address, else
/// the prefixes.
pub(crate) fn sources(site: &RemoteSite, origins: &[Origin]) -> Option<Vec<Prefix>> {
    let is_whole = origins
        .iter()
        .any(|origin| is_meant(&site.org, &site.site, site.has_gateways, origin));
    if is_whole {
        return Some(Vec::new());
    }

    let mut sources = Vec::new();
    for origin in origins {
        if let Origin::Prefix(prefix) = origin
            && site.prefixes.iter().any(|own| own.overlaps(prefix))
        {
            sources.push(*prefix);
        }
    }
    (!sources.is_empty()).then_some(sources)
}

fn is_meant(org: &OrgId, name: &SiteId, has_gateways: bool, origin: &Origin) -> bool {
    match origin {
        Origin::All => true,
        // A site that another organization's gateways serve must be named: who trusts beta does
        // not mean what beta passes on for others.
        Origin::Org(meant) => meant == org && has_gateways,
        Origin::Site(meant, site) => meant == org && site == name,
        Origin::Prefix(_) => false,
    }
}
