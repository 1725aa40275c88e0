//! [`ViaChoice`]: a site of ours or of another organization on the command line.

use std::fmt;
use std::str::FromStr;

use ringway_config::{OrgId, SiteId};

/// `site` or `org/site`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViaChoice {
    /// The organization, if it is named.
    pub org: Option<OrgId>,
    /// Its site.
    pub site: SiteId,
}

impl FromStr for ViaChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<ViaChoice, String> {
        let error = || format!("{text:?} is neither <site> nor <org>/<site>");
        let (org, site) = match text.split_once('/') {
            Some((org, site)) => (Some(org.parse().map_err(|_| error())?), site),
            None => (None, text),
        };

        Ok(ViaChoice {
            org,
            site: site.parse().map_err(|_| error())?,
        })
    }
}

/// The notation of a record.
impl fmt::Display for ViaChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.org {
            Some(org) => write!(f, "{org}/{}", self.site),
            None => self.site.fmt(f),
        }
    }
}
