//! [`Transit`]: the consent of one organization to serve a site of another one.

use std::fmt;
use std::str::FromStr;

use crate::{OrgId, Place, SiteId};

/// A `[[transit]]` block: the gateways of this organization may serve that site, if its record has
/// it via one of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transit {
    /// The organization that the site belongs to.
    pub org: OrgId,
    /// Its site.
    pub site: SiteId,
    /// Where it was written.
    pub place: Place,
}

/// A site of an organization, as `[[transit]]` and a command name it: `acme/idc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitSite {
    /// The organization.
    pub org: OrgId,
    /// Its site.
    pub site: SiteId,
}

/// Why a text names no site of an organization.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not <org>/<site>")]
pub struct TransitSiteError(String);

impl FromStr for TransitSite {
    type Err = TransitSiteError;

    fn from_str(text: &str) -> Result<TransitSite, TransitSiteError> {
        let error = || TransitSiteError(text.into());
        let (org, site) = text.split_once('/').ok_or_else(error)?;

        Ok(TransitSite {
            org: org.parse().map_err(|_| error())?,
            site: site.parse().map_err(|_| error())?,
        })
    }
}

/// As a record writes it.
impl fmt::Display for TransitSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.org, self.site)
    }
}

/// As a record writes it.
impl fmt::Display for Transit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.org, self.site)
    }
}
