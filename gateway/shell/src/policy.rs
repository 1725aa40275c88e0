//! The rules for the data plane's filter, without the addresses of names, which the caller adds.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ringway_config::{Config, OrgId, Prefix, SiteId};
use ringway_core::{Membership, Passing};
use ringway_filter::{RemoteSite, RulesSpec};

use crate::shell::Shell;
use crate::tables::SiteNumber;

impl Shell {
    /// The rules of the configuration, the verdicts and the addresses that are in force.
    pub(crate) fn rules(&mut self, site: SiteNumber) -> RulesSpec {
        let former = self.former.policies();
        let config = self.current.config.clone();
        let membership = self.membership.clone();
        let host: Vec<IpAddr> = self.current.links.addresses().collect();

        let rules = rules(&config, &membership, host, |org, site| {
            self.sites.of(org, site)
        });
        RulesSpec {
            site: site.0,
            former,
            ..rules
        }
    }
}

/// The rules of `config` for a host with these addresses, without names and without former
/// policies. `number` numbers the sites.
pub fn rules(
    config: &Config,
    membership: &Membership,
    host: Vec<IpAddr>,
    mut number: impl FnMut(&OrgId, &SiteId) -> SiteNumber,
) -> RulesSpec {
    RulesSpec {
        policy: config.policy.clone(),
        former: Vec::new(),
        site: number(&config.id.org, &config.site).0,
        own: membership.local_prefixes().to_vec(),
        sites: remote_sites(membership, number),
        names: [].into(),
        dns: config.dns.listen.clone(),
        // Wherever they are now: what comes for them may come here.
        gateway: host.into_iter().chain(config.ha.hosts()).collect(),
        tunnel_port: config.listen.port(),
    }
}

/// Every site that others serve, with its available prefixes.
fn remote_sites(
    membership: &Membership,
    mut number: impl FnMut(&OrgId, &SiteId) -> SiteNumber,
) -> Vec<RemoteSite> {
    let mut sites = Vec::new();
    let passing: BTreeSet<Prefix> = membership
        .passing
        .values()
        .flat_map(|passing| passing.prefixes.iter().copied())
        .collect();

    for (site, prefixes) in &membership.authorized {
        // What an attached node of ours sends is our own site's.
        if !is_ours(membership, site) && !site.1.is_node() {
            let own = prefixes.iter().filter(|prefix| !passing.contains(prefix));
            sites.push(RemoteSite {
                number: number(&site.0, &site.1).0,
                org: site.0.clone(),
                site: site.1.clone(),
                prefixes: own.copied().collect(),
                has_gateways: has_gateways(membership, site),
                via: None,
            });
        }
    }
    for (site, Passing { via, prefixes }) in &membership.passing {
        if !is_ours(membership, via) {
            sites.push(RemoteSite {
                number: number(&site.0, &site.1).0,
                org: site.0.clone(),
                site: site.1.clone(),
                prefixes: prefixes.clone(),
                has_gateways: via.0 == site.0 && has_gateways(membership, via),
                via: Some(number(&via.0, &via.1).0),
            });
        }
    }
    sites
}

fn is_ours(membership: &Membership, (org, site): &(OrgId, SiteId)) -> bool {
    *org == membership.me.org && *site == membership.site
}

fn has_gateways(membership: &Membership, (org, site): &(OrgId, SiteId)) -> bool {
    let mut gateways = membership.gateways.iter();
    gateways.any(|(gateway, info)| gateway.org == *org && info.site == *site)
}
