//! [`Party`]: one end of a connection that a policy test is about.

use std::fmt;

use crate::{DnsName, OrgId, Prefix, SiteId};

/// One end of a connection, here or in another site.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// Every other site.
    All,
    /// The sites of an organization that its own gateways serve. Ours means this site.
    Org(OrgId),
    /// One site.
    Site(OrgId, SiteId),
    /// Addresses; a single one has the full length.
    Prefix(Prefix),
    /// The addresses that our zone gives the name.
    Name(DnsName),
}

/// As a test writes it.
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Party::All => f.write_str("all"),
            Party::Org(org) => org.fmt(f),
            Party::Site(org, site) => write!(f, "{org}/{site}"),
            Party::Prefix(prefix) if prefix.is_host() => prefix.address().fmt(f),
            Party::Prefix(prefix) => prefix.fmt(f),
            Party::Name(name) => name.fmt(f),
        }
    }
}
