//! [`SiteStatus`]: the gateways of this site, for operators.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ringway_config::GatewayId;

use super::{Contact, Siblings};
use crate::message::SiblingState;

/// The gateways of this site, for operators. This gateway's own role is reported by
/// [`Action::Role`](crate::Action::Role).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteStatus {
    /// This gateway asks a sibling to take over.
    pub hands_over: bool,
    /// The names of the interfaces to the site's network, if they do not lead to its hosts.
    pub no_carrier: Option<String>,
    /// Our tunnels to other sites that carry packets.
    pub tunnels: u16,
    /// Takeovers by this gateway, by reason.
    pub takeovers: BTreeMap<&'static str, u64>,
    /// The addresses that move with the active role.
    pub virtual_addresses: BTreeSet<IpAddr>,
    /// The other gateways of the site.
    pub siblings: BTreeMap<GatewayId, SiblingStatus>,
}

/// One sibling, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiblingStatus {
    /// Whether it is alive.
    pub contact: Contact,
    /// The state that it reported last.
    pub state: Option<SiblingState>,
    /// The virtual addresses that it has; `None` if it has reported none yet.
    pub virtual_addresses: Option<BTreeSet<IpAddr>>,
}

impl Siblings {
    pub(crate) fn status(&self) -> SiteStatus {
        let siblings = self.known.iter().map(|(id, sibling)| {
            let status = SiblingStatus {
                contact: sibling.contact,
                state: sibling.state,
                virtual_addresses: None,
            };
            (id.clone(), status)
        });

        SiteStatus {
            hands_over: self.hand_over.is_requested(),
            no_carrier: self.no_carrier.clone(),
            tunnels: self.tunnels,
            takeovers: self.takeovers.clone(),
            virtual_addresses: BTreeSet::new(),
            siblings: siblings.collect(),
        }
    }
}
