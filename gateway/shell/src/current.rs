//! [`CurrentConfig`]: what is in force, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringway_config::{Config, Connected, Digest, GatewayId, Member, OrgId, Prefix, Ruling, SiteId};
use ringway_core::{GatewayInfo, HeldRecord, Membership};
use ringway_intent::{GuardSpec, Links, Situation, guard};

/// The configuration in force and the verdicts on it.
#[derive(Debug, Clone)]
pub struct CurrentConfig {
    /// What the files say.
    pub config: Arc<Config>,
    /// The verdict on every prefix.
    pub rulings: Vec<Ruling>,
    /// The networks that the host is connected to.
    pub connected: Vec<Connected>,
    /// The host's addresses.
    pub links: Links,
    /// The records accepted so far: they keep their ranges against newcomers.
    pub accepted: BTreeSet<Digest>,
    /// The fingerprint of our certificate.
    pub certificate: Digest,
    /// Prefixes that must not be reachable by the default route: of members, and of removed ones.
    pub held: BTreeSet<Prefix>,
}

impl CurrentConfig {
    /// What the host should look like follows from this.
    pub fn situation(&self) -> Situation<'_> {
        Situation {
            config: &self.config,
            rulings: &self.rulings,
            connected: &self.connected,
            links: &self.links,
            held: &self.held,
        }
    }

    pub(crate) fn guard(&self) -> GuardSpec {
        guard(&self.situation())
    }
}

/// What the mesh works from: the accepted gateways, and the prefixes that are available.
pub fn membership(config: &Config, rulings: &[Ruling]) -> Membership {
    let mut authorized: BTreeMap<(OrgId, SiteId), Vec<Prefix>> = BTreeMap::new();
    let mut conflicted = Vec::new();

    for ruling in rulings {
        if ruling.is_available() {
            authorized
                .entry((ruling.org.clone(), ruling.site.clone()))
                .or_default()
                .push(ruling.prefix);
        } else {
            // The mesh refuses every announcement that overlaps one of these.
            conflicted.push(ruling.prefix);
        }
    }

    // Our organization's record is among them, and this gateway is in it.
    let mut gateways: BTreeMap<_, _> = config.records().flat_map(accepted_gateways).collect();
    gateways.remove(&config.id);

    // If peers can dial this gateway, it may itself dial an absent one more seldom after a while.
    let us = config
        .own
        .gateways
        .iter()
        .find(|gateway| gateway.name == config.id.name);

    Membership {
        me: config.id.clone(),
        site: config.site.clone(),
        is_dialable: us.is_some_and(|us| !us.endpoints.is_empty()),
        gateways,
        authorized,
        conflicted,
        records: config
            .records()
            .map(|record| (record.org.clone(), HeldRecord::from(record)))
            .collect(),
    }
}

/// The gateways of a record that are not revoked by name. Keys are revoked in the handshake.
fn accepted_gateways(member: &Member) -> impl Iterator<Item = (GatewayId, GatewayInfo)> + '_ {
    member
        .gateways
        .iter()
        .filter(|gateway| !member.revoked.gateways.contains(&gateway.name))
        .map(|gateway| {
            let id = GatewayId {
                org: member.org.clone(),
                name: gateway.name.clone(),
            };
            let info = GatewayInfo {
                site: gateway.site.clone(),
                endpoints: gateway.endpoints.clone(),
            };
            (id, info)
        })
}
