//! [`Counts`] and [`OrgCounts`]: numbers for `status` and metrics.

use std::net::IpAddr;

use ringway_config::{OrgId, Place};

use crate::verdict::Reason;

/// The numbers of a filter at one time. Each is exact; they are not of one instant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Flows that our hosts opened.
    pub ours: u64,
    /// Flows that others opened by a rule.
    pub theirs: u64,
    /// Packets that passed by grace.
    pub grace: u64,
    /// Flows that were given up for new ones.
    pub evicted: u64,
    /// New flows for which there was no place.
    pub unrecorded: u64,
    /// Records for other gateways that nobody took in time.
    pub unshared: u64,
    pub(crate) drops: [u64; Reason::ALL.len()],
}

impl Counts {
    /// Packets dropped for one reason.
    pub fn drops(&self, reason: Reason) -> u64 {
        self.drops[reason as usize]
    }
}

/// Packets of one organization that were denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgCounts {
    /// The organization.
    pub org: OrgId,
    /// Packets from its sites that were dropped, or that our hosts may not send there.
    pub denied: u64,
}

/// What others have opened towards one host of our site, of the flows that are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostAnswers {
    /// The host.
    pub host: IpAddr,
    /// Flows on which it has sent something.
    pub answered: u64,
    /// Flows on which nothing of it has come by.
    pub unanswered: u64,
}

/// What one rule did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleCounts {
    /// Where the rule was written.
    pub place: Place,
    /// Flows that it let others open.
    pub opened: u64,
}
