//! [`CurrentConfig`]: what is in force, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringway_config::{
    Config, Connected, Digest, GatewayId, Member, OrgId, Prefix, Ruling, SiteId, Verdict,
};
use ringway_core::{GatewayInfo, HeldRecord, Membership, Passing};
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
    let mut passing: BTreeMap<(OrgId, SiteId), Passing> = BTreeMap::new();
    let mut conflicted = Vec::new();
    let servers = servers(config);

    for ruling in rulings {
        let site = (ruling.org.clone(), ruling.site.clone());
        match &ruling.verdict {
            Verdict::Available => match servers.get(&site) {
                Some(via) => {
                    let site = passing.entry(site).or_insert_with(|| Passing {
                        via: via.clone(),
                        prefixes: Vec::new(),
                    });
                    site.prefixes.push(ruling.prefix);
                    authorized
                        .entry(via.clone())
                        .or_default()
                        .push(ruling.prefix);
                }
                None => authorized.entry(site).or_default().push(ruling.prefix),
            },
            // The mesh refuses every announcement that overlaps one of these.
            Verdict::Conflicted { .. } => conflicted.push(ruling.prefix),
            // Nobody may announce it.
            Verdict::Unserved(_) => {}
        }
    }

    // Our organization's record is among them, and this gateway is in it.
    let mut gateways: BTreeMap<_, _> = config.records().flat_map(accepted_gateways).collect();
    gateways.remove(&config.id);
    add_nodes(config, &mut gateways, &mut authorized);

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
        passing,
        conflicted,
        records: config
            .records()
            .map(|record| (record.org.clone(), HeldRecord::from(record)))
            .collect(),
    }
}

/// Attached nodes stand as gateways of sites of their own, which lie inside ours.
fn add_nodes(
    config: &Config,
    gateways: &mut BTreeMap<GatewayId, GatewayInfo>,
    authorized: &mut BTreeMap<(OrgId, SiteId), Vec<Prefix>>,
) {
    let org = &config.own.org;
    let ours = authorized
        .get(&(org.clone(), config.site.clone()))
        .cloned()
        .unwrap_or_default();

    for node in &config.nodes.list {
        // A WireGuard client has no certificate: no connection is its own.
        if node.wireguard.is_none() {
            let info = GatewayInfo {
                site: node.site(),
                endpoints: Vec::new(),
            };
            gateways.insert(node.id(org), info);
        }

        // Not what is in conflict: others would send nothing there, and drop what comes from there.
        let prefixes = node.prefixes.iter().map(|placed| placed.prefix);
        let available = prefixes.filter(|prefix| ours.iter().any(|whole| whole.covers(prefix)));
        authorized.insert((org.clone(), node.site()), available.collect());
    }
}

/// The sites that are served via another one, and that one.
fn servers(config: &Config) -> BTreeMap<(OrgId, SiteId), (OrgId, SiteId)> {
    let mut servers = BTreeMap::new();
    for member in config.records() {
        for site in member.sites.iter().filter(|site| site.via.is_some()) {
            if let Ok((org, via)) = config.server(member, site) {
                let site = (member.org.clone(), site.name.clone());
                servers.insert(site, (org.clone(), via.clone()));
            }
        }
    }
    servers
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ringway_config::rule;

    use super::*;
    use crate::policy::rules;
    use crate::tables::SiteNumber;

    /// One of the configurations that the crate of the files is tested with.
    fn membership_of(case: &str) -> (Config, Membership) {
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/tests/cases");
        let config = Config::load(&cases.join(case).join("gateway.toml")).unwrap();
        let rulings = rule(&config, &[], &BTreeSet::new());
        let membership = membership(&config, &rulings);
        (config, membership)
    }

    fn served(membership: &Membership, org: &str, site: &str) -> Vec<String> {
        let prefixes = membership.prefixes(&org.parse().unwrap(), &site.parse().unwrap());
        prefixes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_gateways_of_a_site_serve_those_that_are_via_it() {
        let (_, membership) = membership_of("via");
        let ours = ["10.1.0.0/16", "10.9.0.0/16", "10.12.0.0/16"];
        assert_eq!(served(&membership, "acme", "west"), ours);
        let theirs = ["10.10.0.0/16", "10.2.0.0/16", "10.13.0.0/16"];
        assert_eq!(served(&membership, "beta", "east"), theirs);
        for (org, site) in [("acme", "idc"), ("acme", "far"), ("beta", "plant")] {
            assert!(served(&membership, org, site).is_empty(), "{org}/{site}");
        }
        assert_eq!(membership.conflicted, []);
    }

    #[test]
    fn a_site_without_consent_is_served_by_nobody_and_nothing_else_is_missing() {
        let (_, membership) = membership_of("via-refused");
        assert_eq!(served(&membership, "acme", "west"), ["10.1.0.0/16"]);
        assert_eq!(
            served(&membership, "beta", "east"),
            ["10.2.0.0/16", "10.12.0.0/16"]
        );
        assert_eq!(membership.passing.len(), 1, "{:?}", membership.passing);
    }

    #[test]
    fn rules_know_each_site_by_its_own_name_and_who_serves_it() {
        let (config, membership) = membership_of("via");
        let mut numbers = BTreeMap::new();
        let spec = rules(&config, &membership, Vec::new(), |org, site| {
            let next = numbers.len() as u32;
            let number = numbers.entry((org.clone(), site.clone())).or_insert(next);
            SiteNumber(*number)
        });

        let east = numbers[&("beta".parse().unwrap(), "east".parse().unwrap())];
        let remote: Vec<String> = spec
            .sites
            .iter()
            .map(|site| {
                let prefixes: Vec<_> = site.prefixes.iter().map(ToString::to_string).collect();
                format!(
                    "{}/{} {} via-east {} own-gateways {}",
                    site.org,
                    site.site,
                    prefixes.join(" "),
                    site.via == Some(east),
                    site.has_gateways
                )
            })
            .collect();
        assert_eq!(
            remote,
            [
                "beta/east 10.2.0.0/16 via-east false own-gateways true",
                "acme/far 10.10.0.0/16 via-east true own-gateways false",
                "beta/own 10.13.0.0/16 via-east true own-gateways true",
            ]
        );
        assert_eq!(spec.own, membership.local_prefixes());
    }
}
