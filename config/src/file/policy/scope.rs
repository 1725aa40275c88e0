//! [`Scope`]: what the words of a rule may refer to.

use crate::file::consortium::Consortium;
use crate::file::local_gateway::LocalGateway;
use crate::file::nodes::Listed;
use crate::file::zone::Zone;
use crate::{OrgId, PlacedPrefix, Prefix, SiteId};

/// Prefixes of this site that a fault offers.
const MOST_OFFERED: usize = 4;

/// The consortium as seen from this gateway's site.
pub(super) struct Scope<'a> {
    pub(super) consortium: &'a Consortium,
    /// This organization's zone; `None` if a fault hides it.
    pub(super) zone: Option<Zone>,
    pub(super) nodes: &'a Listed,
    org: Option<&'a OrgId>,
    site: Option<&'a SiteId>,
    /// This site's prefixes; `None` if its record has faults.
    prefixes: Option<&'a [PlacedPrefix]>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(
        local: &'a LocalGateway,
        consortium: &'a Consortium,
        nodes: &'a Listed,
    ) -> Scope<'a> {
        let org = local.org.as_ref().map(|placed| &placed.value);
        let site = local.site.as_ref().map(|placed| &placed.value);

        Scope {
            consortium,
            zone: org
                .zip(consortium.domain())
                .map(|(org, domain)| Zone::new(org, domain)),
            nodes,
            org,
            site,
            prefixes: site.and_then(|site| consortium.site_prefixes(site)),
        }
    }

    /// True if `org` has a record, or a file that cannot be read has its name, or if the records
    /// could not even be listed: that is a fault of its own, and no rule's.
    pub(super) fn is_member(&self, org: &OrgId) -> bool {
        !self.consortium.is_listed()
            || self
                .consortium
                .organizations()
                .any(|known| known == org.as_str())
    }

    pub(super) fn is_this_org(&self, org: &str) -> bool {
        self.org.is_some_and(|own| own.as_str() == org)
    }

    pub(super) fn is_this_site(&self, org: &OrgId, site: &SiteId) -> bool {
        self.org == Some(org) && self.site == Some(site)
    }

    /// True if `prefix` is a part of a site that is served via this one.
    pub(super) fn is_passing(&self, prefix: &Prefix) -> bool {
        let Some((org, site)) = self.org.zip(self.site) else {
            return false;
        };

        let prefixes = self.consortium.prefixes_via(org, site);
        prefixes.iter().any(|placed| placed.prefix.covers(prefix))
    }

    /// True if `prefix` may have been served via this site, or may be so later: it is of a site
    /// that is served via another one, or in no record, or the records are not known.
    pub(super) fn may_pass(&self, prefix: &Prefix) -> bool {
        let is_ours = self.is_own(prefix) != Some(false);

        !is_ours
            && (self.consortium.has_transit()
                || self.consortium.is_via(prefix)
                || !self.consortium.is_listed()
                || !self.consortium.may_use(prefix))
    }

    /// True if `prefix` is a part of this site. Without this site's prefixes, which was reported,
    /// nothing can be compared.
    pub(super) fn is_own(&self, prefix: &Prefix) -> Option<bool> {
        let prefixes = self.prefixes?;
        Some(prefixes.iter().any(|placed| placed.prefix.covers(prefix)))
    }

    /// The correct form of a destination: `a part of 10.1.0.0/16, fd00:1::/48`.
    pub(super) fn offer(&self) -> String {
        let prefixes = self.prefixes.unwrap_or_default();
        if prefixes.is_empty() {
            return "a part of this site, once it has prefixes".to_owned();
        }

        let shown: Vec<String> = prefixes
            .iter()
            .take(MOST_OFFERED)
            .map(|placed| placed.prefix.to_string())
            .collect();
        let more = if prefixes.len() > MOST_OFFERED {
            ", …"
        } else {
            ""
        };
        format!("a part of {}{more}", shown.join(", "))
    }
}
