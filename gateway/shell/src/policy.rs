//! What the data plane's filter judges by, but for the addresses of names, which the executor adds.

use ringway_filter::{RemoteSite, RulesSpec};

use crate::shell::Shell;
use crate::tables::SiteNumber;

impl Shell {
    /// The rules of the configuration, the verdicts and the addresses that are in force.
    pub(crate) fn rules(&mut self, site: SiteNumber) -> RulesSpec {
        RulesSpec {
            policy: self.current.config.policy.clone(),
            former: self.former.policies(),
            site: site.0,
            own: self.membership.local_prefixes().to_vec(),
            sites: self.remote_sites(),
            names: [].into(),
            dns: self.current.config.dns.listen.clone(),
            gateway: self.current.links.addresses().collect(),
            tunnel_port: self.current.config.listen.port(),
        }
    }

    /// Every site but ours, with its available prefixes.
    fn remote_sites(&mut self) -> Vec<RemoteSite> {
        let membership = self.membership.clone();

        membership
            .authorized
            .iter()
            .filter(|((org, site), _)| *org != membership.me.org || *site != membership.site)
            .map(|((org, site), prefixes)| RemoteSite {
                number: self.sites.of(org, site).0,
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
}
