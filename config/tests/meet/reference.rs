//! The reference: what a configuration grants, by the shortest code that says it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ringway_config::{
    Config, Digest, Egress, Member, Origin, PortRange, Service, Site, SiteId, Target,
};

use crate::any::{GATEWAYS, NAMED};

pub(crate) fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn remotes() -> Vec<IpAddr> {
    addresses(&[
        "10.2.0.1",
        "10.2.4.7",
        "10.2.4.8",
        "10.3.4.1",
        "10.3.0.1",
        "10.4.0.1",
        "10.4.4.1",
        "10.5.0.1",
        "fd00:2::1",
        "fd00:4::1",
    ])
}

fn locals() -> Vec<IpAddr> {
    addresses(&["10.1.0.11", "10.1.0.12", "10.1.9.1", "10.1.77.7"])
}

fn wanted() -> Vec<Service> {
    let mut wanted = vec![Service::Icmp, Service::Protocol(47), Service::Protocol(50)];
    for port in [1, 3, 4, 7, 9, 4000] {
        wanted.push(Service::Tcp(vec![PortRange::one(port)]));
        wanted.push(Service::Udp(vec![PortRange::one(port)]));
    }
    wanted
}

/// The members and their sites that have the address, and whether gateways of theirs serve it.
fn holders(config: &Config, address: IpAddr) -> Vec<(&Member, &Site, bool)> {
    let mut holders = Vec::new();
    for member in &config.members {
        for site in &member.sites {
            if site
                .prefixes
                .iter()
                .any(|placed| placed.prefix.contains(address))
            {
                let is_served = server(config, member, site).is_some_and(|(server, at)| {
                    let mut gateways = server.gateways.iter();
                    server.org == member.org && gateways.any(|gateway| gateway.site == *at)
                });
                holders.push((member, site, is_served));
            }
        }
    }
    holders
}

/// The reference: whose gateways serve a site.
fn server<'a>(
    config: &'a Config,
    member: &'a Member,
    site: &'a Site,
) -> Option<(&'a Member, &'a SiteId)> {
    let Some(via) = &site.via else {
        return Some((member, &site.name));
    };
    let Some(org) = &via.org else {
        return Some((member, &via.site));
    };

    let server = config.members.iter().find(|known| known.org == *org)?;
    let consents = server
        .transit
        .iter()
        .any(|transit| transit.org == member.org && transit.site == site.name);
    consents.then_some((server, &via.site))
}

fn is_from(config: &Config, origin: &Origin, address: IpAddr) -> bool {
    holders(config, address)
        .iter()
        .any(|(member, site, is_served)| match origin {
            Origin::All => true,
            Origin::Org(org) => member.org == *org && *is_served,
            Origin::Site(org, name) => member.org == *org && site.name == *name,
            Origin::Prefix(prefix) => prefix.contains(address),
        })
}

fn is_target(target: &Target, address: IpAddr) -> bool {
    match target {
        Target::Prefix(_) | Target::Node(_) => {
            target.prefixes().iter().any(|it| it.contains(address))
        }
        Target::Name(_) => address == NAMED.parse::<IpAddr>().unwrap(),
    }
}

fn is_served(service: &Service, wanted: &Service) -> bool {
    let has = |ports: &[PortRange], wanted: &[PortRange]| {
        ports.is_empty() || ports.iter().any(|range| range.contains(wanted[0].first))
    };
    match (service, wanted) {
        (Service::Tcp(ports), Service::Tcp(wanted)) => has(ports, wanted),
        (Service::Udp(ports), Service::Udp(wanted)) => has(ports, wanted),
        (service, wanted) => service == wanted,
    }
}

/// The reference: what may be opened here.
fn admits(config: &Config, from: IpAddr, to: IpAddr, wanted: &Service) -> bool {
    match &config.policy.allow {
        None => *wanted == Service::Icmp && !holders(config, from).is_empty(),
        Some(rules) => rules.iter().any(|rule| {
            rule.from.iter().any(|origin| is_from(config, origin, from))
                && rule.to.iter().any(|target| is_target(target, to))
                && rule
                    .services
                    .iter()
                    .any(|service| is_served(service, wanted))
        }),
    }
}

/// The reference: what our hosts may open.
fn releases(config: &Config, from: IpAddr, to: IpAddr, wanted: &Service) -> bool {
    let by_mode = match config.policy.egress {
        Egress::All => true,
        Egress::Named => from == NAMED.parse::<IpAddr>().unwrap(),
        Egress::None => false,
    };
    let by_rule = config.policy.allow_egress.iter().any(|rule| {
        rule.from.iter().any(|target| is_target(target, from))
            && rule.to.iter().any(|origin| is_from(config, origin, to))
            && rule
                .services
                .iter()
                .any(|service| is_served(service, wanted))
    });
    !holders(config, to).is_empty() && (by_mode || by_rule)
}

/// Everything that a configuration grants, as a set.
pub(crate) fn grants(config: &Config) -> BTreeSet<String> {
    let mut grants = BTreeSet::new();
    for member in &config.members {
        for gateway in &member.gateways {
            if !member.revoked.gateways.contains(&gateway.name) {
                grants.insert(format!(
                    "{}.{} at {}",
                    gateway.name, member.org, gateway.site
                ));
            }
        }
        for key in GATEWAYS.map(|name| Digest::of(name.as_bytes())) {
            if !member.revoked.keys.contains(&key) {
                grants.insert(format!("{} key {key}", member.org));
            }
        }
        for site in &member.sites {
            grants.extend(serving(config, member, site));
            for address in remotes() {
                if site
                    .prefixes
                    .iter()
                    .any(|placed| placed.prefix.contains(address))
                {
                    grants.insert(format!("{} {} has {address}", member.org, site.name));
                }
            }
        }
    }
    for remote in remotes() {
        for local in locals() {
            for wanted in wanted() {
                if admits(config, remote, local, &wanted) {
                    grants.insert(format!("{remote} to {local} {wanted}"));
                }
                if releases(config, local, remote, &wanted) {
                    grants.insert(format!("{local} to {remote} {wanted}"));
                }
            }
        }
    }
    grants
}

/// The gateways that may serve a site.
fn serving(config: &Config, member: &Member, site: &Site) -> Vec<String> {
    let Some((server, at)) = server(config, member, site) else {
        return Vec::new();
    };
    let gateways = server
        .gateways
        .iter()
        .filter(|gateway| gateway.site == *at && !server.revoked.gateways.contains(&gateway.name));
    let all: Vec<String> = gateways
        .map(|gateway| {
            let id = format!("{}.{}", gateway.name, server.org);
            format!("{id} serves {}/{}", member.org, site.name)
        })
        .collect();

    // The code under test says the same.
    let found = config.server(member, site).ok();
    assert!(
        all.is_empty() || found == Some((&server.org, at)),
        "{all:?}"
    );
    assert!(found.is_none() || found == Some((&server.org, at)));
    all
}
