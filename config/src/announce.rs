//! [`Announce`]: a site that this gateway announces to the members only while it has a way there.

use std::fmt;

use crate::{OrgId, Place, SiteId};

/// An `[[announce]]` block. Without one, a site that is served here is announced all the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// The organization that the site belongs to, if it is another one.
    pub org: Option<OrgId>,
    /// The site.
    pub site: SiteId,
    /// What says whether there is a way.
    pub watch: AnnounceWatch,
    /// Where it was written.
    pub place: Place,
}

/// What says whether a site can be reached from this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnnounceWatch {
    /// The host's routing tables.
    Kernel,
}

impl Announce {
    /// True if the block is about this site; `own` is this gateway's organization.
    pub fn is_about(&self, org: &OrgId, site: &SiteId, own: &OrgId) -> bool {
        self.org.as_ref().unwrap_or(own) == org && self.site == *site
    }
}

/// The site, as the file writes it.
impl fmt::Display for Announce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.org {
            Some(org) => write!(f, "{org}/{}", self.site),
            None => self.site.fmt(f),
        }
    }
}
