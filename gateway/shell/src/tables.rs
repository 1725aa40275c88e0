//! [`Tables`]: what the data plane looks packets up in, as plain values. The executor adds the
//! keys.

use std::collections::{BTreeMap, BTreeSet};

use ringway_config::{OrgId, Prefix, SiteId};
use ringway_core::ConnId;

/// A site, numbered for the life of the process: keys of running sessions refer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteNumber(pub u32);

/// One state of the data plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// Our site.
    pub site: SiteNumber,
    /// Our site's prefixes: the only destinations of what comes in.
    pub local: Vec<Prefix>,
    /// Networks that the host is connected to: nothing in them is taken from or sent to a peer.
    pub connected: Vec<Prefix>,
    /// The site that each source address belongs to.
    pub authorized: Vec<(Prefix, SiteNumber)>,
    /// The session that seals for a destination. Each has its sealing keys.
    pub routes: BTreeMap<Prefix, ConnId>,
    /// Sessions whose packets are opened. Each has its opening keys.
    pub sessions: BTreeSet<ConnId>,
}

/// Numbers sites in the order in which they are met.
#[derive(Debug, Default)]
pub(crate) struct SiteNumbers(BTreeMap<(OrgId, SiteId), SiteNumber>);

impl SiteNumbers {
    pub(crate) fn of(&mut self, org: &OrgId, site: &SiteId) -> SiteNumber {
        // Sites are never forgotten, so no site has this number yet.
        let next = SiteNumber(self.0.len() as u32);

        *self.0.entry((org.clone(), site.clone())).or_insert(next)
    }
}
