//! [`Tables`]: what the data plane looks packets up in, as plain values. The executor adds the
//! keys.

use std::collections::{BTreeMap, BTreeSet};

use ringway_config::{OrgId, Prefix, SiteId, Tunnel};
use ringway_core::ConnId;
use ringway_filter::RulesSpec;

use crate::outages::Outage;

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
    /// Those of them that are attached nodes of ours: hosts of our organization, whose packets pass
    /// this gateway on their way.
    pub attached: BTreeSet<SiteNumber>,
    /// They may reach each other.
    pub nodes_reach_each_other: bool,
    /// The session that seals for a destination. Each has its sealing keys.
    pub routes: BTreeMap<Prefix, ConnId>,
    /// Remote prefixes that no session leads to: their packets are answered.
    pub outages: BTreeMap<Prefix, Outage>,
    /// What happens to these packets, and to the connections that they belong to.
    pub tunnel: Tunnel,
    /// Sessions whose packets are opened. Each has its opening keys.
    pub sessions: BTreeSet<ConnId>,
    /// What the filter judges by, but for the addresses of names.
    pub rules: RulesSpec,
    /// The other gateways of our site, for their share of the flows.
    pub companions: Companions,
}

/// Other gateways of our site. A connection that leaves by one of them may be answered through
/// this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Companions {
    /// The sessions with them. Each has its sealing keys.
    pub sessions: BTreeSet<ConnId>,
    /// The record lists one without a session: this gateway cannot know which connections go
    /// through it.
    pub is_one_missing: bool,
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
