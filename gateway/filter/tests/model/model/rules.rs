//! Evaluation of the rules, one after the other.

use std::net::IpAddr;

use ringway_config::{Allow, AllowEgress, Egress, Origin, Policy, Service, Target};

use super::Model;
use crate::packet::Facts;

/// What somebody wants to open.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    Tcp(u16),
    Udp(u16),
    Echo,
    Protocol(u8),
}

impl Model {
    pub(super) fn is_tunnel(&self, address: IpAddr, port: Option<u16>) -> bool {
        port == Some(self.spec.tunnel_port) && self.spec.gateway.contains(&address)
    }

    /// True if what leaves is the answer to what a rule allows its receiver.
    pub(super) fn answers(&self, facts: &Facts, asked: Asked) -> bool {
        let site = self.site_of(facts.destination);
        site.is_some_and(|site| self.is_allowed(site, facts.destination, facts.source, asked))
    }

    /// True if a policy of before allowed it.
    pub(super) fn was_allowed(&self, source: IpAddr, destination: IpAddr, asked: Asked) -> bool {
        let site = self.site_of(source);
        let former = &self.spec.former;
        former
            .iter()
            .any(|policy| self.allows(policy, site, source, destination, asked))
    }

    pub(super) fn is_allowed(
        &self,
        from: u32,
        source: IpAddr,
        destination: IpAddr,
        asked: Asked,
    ) -> bool {
        self.allows(&self.spec.policy, Some(from), source, destination, asked)
    }

    fn allows(
        &self,
        policy: &Policy,
        from: Option<u32>,
        source: IpAddr,
        destination: IpAddr,
        asked: Asked,
    ) -> bool {
        let Some(rules) = &policy.allow else {
            return matches!(asked, Asked::Echo) || self.is_dns(destination, asked);
        };
        // Anyone that may do anything at all may ask for names.
        if !rules.is_empty() && self.is_dns(destination, asked) {
            return true;
        }
        rules.iter().any(
            |Allow {
                 from: origins,
                 to,
                 services,
                 ..
             }| {
                self.is_of(origins, from, source)
                    && self.is_at(to, destination)
                    && covers(services, asked)
            },
        )
    }

    fn is_dns(&self, destination: IpAddr, asked: Asked) -> bool {
        let (Asked::Tcp(port) | Asked::Udp(port)) = asked else {
            return false;
        };
        let dns = &self.spec.dns;
        dns.iter()
            .any(|dns| dns.ip() == destination && dns.port() == port)
    }

    pub(super) fn may_open(&self, facts: &Facts, asked: Asked) -> bool {
        let always = self.spec.gateway.contains(&facts.source)
            || self.spec.dns.iter().any(|dns| dns.ip() == facts.source);
        let by_default = match self.spec.policy.egress {
            Egress::All => true,
            Egress::Named => self
                .spec
                .names
                .values()
                .any(|addresses| addresses.contains(&facts.source)),
            Egress::None => false,
        };
        let site = self.site_of(facts.destination);
        let rules = &self.spec.policy.allow_egress;
        let by_rule = rules.iter().any(
            |AllowEgress {
                 from, to, services, ..
             }| {
                self.is_at(from, facts.source)
                    && self.is_of(to, site, facts.destination)
                    && covers(services, asked)
            },
        );
        always || by_default || by_rule
    }

    /// True if the far end, at an address of site `site`, is one of these.
    fn is_of(&self, origins: &[Origin], site: Option<u32>, address: IpAddr) -> bool {
        let site = self
            .spec
            .sites
            .iter()
            .find(|candidate| Some(candidate.number) == site);
        origins.iter().any(|origin| match origin {
            Origin::All => true,
            Origin::Org(org) => site.is_some_and(|site| site.org == *org && site.has_gateways),
            Origin::Site(org, name) => {
                site.is_some_and(|site| site.org == *org && site.site == *name)
            }
            Origin::Prefix(prefix) => prefix.contains(address),
        })
    }

    fn is_at(&self, targets: &[Target], address: IpAddr) -> bool {
        targets.iter().any(|target| match target {
            Target::Prefix(prefix) => prefix.contains(address),
            Target::Node(node) => node.prefixes.iter().any(|it| it.contains(address)),
            Target::Name(name) => self
                .spec
                .names
                .get(name)
                .is_some_and(|addresses| addresses.contains(&address)),
        })
    }

    pub(super) fn site_of(&self, address: IpAddr) -> Option<u32> {
        let sites = self.spec.sites.iter();
        sites
            .filter(|site| site.prefixes.iter().any(|prefix| prefix.contains(address)))
            .map(|site| site.number)
            .next()
    }
}

fn covers(services: &[Service], asked: Asked) -> bool {
    services.iter().any(|service| match (service, asked) {
        (Service::Tcp(ports), Asked::Tcp(port)) | (Service::Udp(ports), Asked::Udp(port)) => {
            ports.is_empty() || ports.iter().any(|range| range.contains(port))
        }
        (Service::Icmp, Asked::Echo) => true,
        (Service::Protocol(number), Asked::Protocol(asked)) => *number == asked,
        _ => false,
    })
}
