//! [`Policy`]: `[policy]` of `gateway.toml`, what hosts of other sites and ours may open.
//!
//! What a rule means for a packet is decided by the filter of the data plane; here are only the
//! words.

mod fabric;
mod opening;
mod origin;
mod party;
mod service;
mod target;

use std::collections::BTreeMap;
use std::time::Duration;

pub use fabric::services as fabric_services;
pub use opening::{Asked, Opening};
pub use origin::Origin;
pub use party::{Party, PartyError};
pub use service::{PortRange, PortRangeError, Service};
pub use target::{NodeTarget, Target};

use crate::{Place, ServiceName};

/// The whole policy of one gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What other sites may open here. `None` without a `[policy]`: ICMP echo and our DNS. Empty:
    /// nothing.
    pub allow: Option<Vec<Allow>>,
    /// What our site's hosts may open in other sites.
    pub egress: Egress,
    /// More that some of our hosts may open.
    pub allow_egress: Vec<AllowEgress>,
    /// Names for services: those of Hyperledger Fabric, and each `[[policy.service]]`.
    pub services: BTreeMap<ServiceName, Vec<Service>>,
    /// What the rules must say; judged before they are used.
    pub tests: Vec<PolicyTest>,
    /// What happens to a packet that no rule allows.
    pub denied: OnDenied,
    /// Most flows that are remembered.
    pub flows: u32,
    /// How long after a start the flows of before are let through.
    pub grace: Duration,
    /// The first port of a flow that is let through in that time.
    pub grace_port: u16,
}

/// One `[[policy.allow]]`: packets of other sites that are admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// Who sends; never empty.
    pub from: Vec<Origin>,
    /// Destinations in this site; never empty. Prefixes come in order, none inside another.
    pub to: Vec<Target>,
    /// What is offered there; never empty.
    pub services: Vec<Service>,
    /// Where it was written.
    pub place: Place,
}

/// One `[[policy.allow-egress]]`: flows that hosts of our site may open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowEgress {
    /// Sources in this site; never empty. Prefixes come in order, none inside another.
    pub from: Vec<Target>,
    /// Where to; never empty.
    pub to: Vec<Origin>,
    /// What may be opened there; never empty.
    pub services: Vec<Service>,
    /// Where it was written.
    pub place: Place,
}

/// What hosts of our site may open without a `[[policy.allow-egress]]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Egress {
    /// Every host may open everything.
    #[default]
    All,
    /// Only addresses that our zone names may open anything.
    Named,
    /// Nothing may be opened.
    None,
}

/// What happens to a packet that no rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDenied {
    /// It vanishes: the sender times out.
    #[default]
    Drop,
    /// Its sender gets a TCP reset or an ICMP error.
    Reject,
}

/// One `[[policy.test]]`: what the rules must say about one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyTest {
    /// Who opens.
    pub from: Party,
    /// What is opened.
    pub to: Party,
    /// The services that are tried, all of them; never empty.
    pub services: Vec<Service>,
    /// The verdict that the rules must give.
    pub expect: Expectation,
    /// Where it was written.
    pub place: Place,
}

/// The verdict that a [`PolicyTest`] expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// Every address of the one may open every service at every address of the other.
    Allow,
    /// No address may open any.
    Deny,
}
