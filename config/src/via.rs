//! [`Via`]: the site whose gateways serve another one too.

use std::fmt;

use crate::{OrgId, Place, SiteId};

/// The site whose gateways serve another one too: `via = "east"`, or `via = "beta/east"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// The organization that runs the gateways, if it is another one. Its record must consent.
    pub org: Option<OrgId>,
    /// The site that has the gateways.
    pub site: SiteId,
    /// Where it was written.
    pub place: Place,
}

impl Via {
    /// True if both name one site, wherever they are written.
    pub fn is_same(&self, other: &Via) -> bool {
        self.org == other.org && self.site == other.site
    }
}

/// As a record writes it.
impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.org {
            Some(org) => write!(f, "{org}/{}", self.site),
            None => self.site.fmt(f),
        }
    }
}
