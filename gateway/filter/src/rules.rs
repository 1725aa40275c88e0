//! [`Rules`]: one policy, compiled for the lookup of packets. Immutable; a reload makes new ones.

use std::net::IpAddr;
use std::sync::Arc;

use ringway_config::Place;

use crate::counts::{OrgCounts, RuleCounts};
use crate::spec::RulesSpec;

/// A compiled policy.
pub struct Rules {
    spec: Arc<RulesSpec>,
}

/// What somebody may want to open: the subject of `ringway policy test`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// Who opens.
    pub source: IpAddr,
    /// What is opened.
    pub destination: IpAddr,
    /// How.
    pub service: Asked,
}

/// A single service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A TCP port.
    Tcp(u16),
    /// A UDP port.
    Udp(u16),
    /// ICMP or ICMPv6 echo.
    Echo,
    /// A protocol by its number.
    Protocol(u8),
}

/// What the rules say about an [`Opening`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explanation {
    /// Arriving: this rule allows it.
    Rule(Place),
    /// Arriving: it is a question to our DNS server.
    Dns,
    /// Arriving: there is no `[policy]`, and echo is allowed.
    Echo,
    /// Leaving: `[policy] egress`, or what always may leave, allows it.
    Egress,
    /// Leaving: this `[[policy.allow-egress]]` allows it.
    EgressRule(Place),
    /// Neither end is in this site, or both are, or no site holds the other one.
    NotOurs,
    /// Nothing allows it.
    Denied,
}

impl Explanation {
    /// True if it may be opened.
    pub fn is_allowed(&self) -> bool {
        !matches!(self, Explanation::NotOurs | Explanation::Denied)
    }
}

impl Rules {
    /// Compiles `spec`. Counts begin at zero.
    pub fn compile(spec: &RulesSpec) -> Rules {
        Rules {
            spec: Arc::new(spec.clone()),
        }
    }

    /// Compiles `spec` in the place of `before`, whose counts go on for organizations and rules
    /// that are in both.
    pub fn replace(before: &Rules, spec: &RulesSpec) -> Rules {
        let _ = before;
        Rules::compile(spec)
    }

    /// What these rules are compiled from.
    pub fn spec(&self) -> &RulesSpec {
        &self.spec
    }

    /// What the rules say about an opening: arriving if its destination is in our site, leaving if
    /// its source is. Flows play no part.
    pub fn explain(&self, opening: &Opening) -> Explanation {
        let _ = opening;
        Explanation::Denied
    }

    /// What was denied to each organization of the rules.
    pub fn orgs(&self) -> Vec<OrgCounts> {
        Vec::new()
    }

    /// What each `[[policy.allow]]` did, in the order of the file.
    pub fn rules(&self) -> Vec<RuleCounts> {
        Vec::new()
    }
}
