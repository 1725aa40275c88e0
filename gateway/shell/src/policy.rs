//! What the data plane's filter judges by, but for the addresses of names, which the caller adds.

use std::net::IpAddr;

use ringway_config::{Config, OrgId, SiteId};
use ringway_core::Membership;
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

/// Every site but ours, with its available prefixes.
fn remote_sites(
    membership: &Membership,
    mut number: impl FnMut(&OrgId, &SiteId) -> SiteNumber,
) -> Vec<RemoteSite> {
    membership
        .authorized
        .iter()
        .filter(|((org, site), _)| *org != membership.me.org || *site != membership.site)
        .map(|((org, site), prefixes)| RemoteSite {
            number: number(org, site).0,
            org: org.clone(),
            site: site.clone(),
            prefixes: prefixes.clone(),
            has_gateways: membership
                .gateways
                .iter()
                .any(|(gateway, info)| gateway.org == *org && info.site == *site),
        })
        .collect()
}
