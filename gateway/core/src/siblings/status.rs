//! [`SiteStatus`]: the gateways of this site, for operators.

use std::collections::BTreeMap;
use std::time::Duration;

use ringway_config::GatewayId;

use super::{Contact, Siblings};
use crate::message::{SiblingState, SiteSettings};

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
    /// What all gateways of the site must have alike.
    pub settings: SiteSettings,
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
    /// The settings that it has; `None` if it has reported none yet.
    pub settings: Option<SiblingSettings>,
}

/// What a sibling has of the settings that all gateways of the site must have alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiblingSettings {
    /// What it has.
    pub settings: SiteSettings,
    /// How long ago its settings or ours changed.
    pub compared_for: Duration,
}

impl Siblings {
    pub(crate) fn status(&self) -> SiteStatus {
        let siblings = self.known.iter().map(|(id, sibling)| {
            let status = SiblingStatus {
                contact: sibling.contact,
                state: sibling.state,
                settings: None,
            };
            (id.clone(), status)
        });

        SiteStatus {
            hands_over: self.hand_over.is_requested(),
            no_carrier: self.no_carrier.clone(),
            tunnels: self.tunnels,
            takeovers: self.takeovers.clone(),
            settings: SiteSettings::default(),
            siblings: siblings.collect(),
        }
    }
}
