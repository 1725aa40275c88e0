//! [`Origin`]: a part of the consortium outside this site, as a rule names it.

use std::fmt;

use crate::{OrgId, Prefix, SiteId};

/// Hosts outside this site: who sends to us, or whom our hosts may open connections to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Every site of every organization.
    All,
    /// The sites of an organization that its own gateways serve.
    Org(OrgId),
    /// One site, whichever organization's gateways serve it.
    Site(OrgId, SiteId),
    /// Addresses, of whichever site they are.
    Prefix(Prefix),
}

/// As a rule writes it: `all`, `beta`, `beta/east` or `10.2.0.0/16`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::All => f.write_str("all"),
            Origin::Org(org) => org.fmt(f),
            Origin::Site(org, site) => write!(f, "{org}/{site}"),
            Origin::Prefix(prefix) => prefix.fmt(f),
        }
    }
}
