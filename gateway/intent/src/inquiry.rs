//! [`Inquiry`]: what the kernel is asked for its own verdict about: sample packets between the site
//! and the members, so that what others have set in their way is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ringway_config::{Policy, Prefix, Service};

use crate::links::Links;

/// Interfaces of the site that are asked for; a cluster's node has one for each pod.
const INTERFACES: usize = 8;

/// Questions about routes; with more prefixes, the rest is left out.
const WAYS: usize = 1024;

/// Ports that filters are asked for; with more, the rest is left out.
const PORTS: usize = 64;

/// See the head of this file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inquiry {
    /// At most one for each interface of the site and prefix of a member.
    pub ways: Vec<Way>,
    /// Where this gateway answers DNS.
    pub dns: Vec<IpAddr>,
    /// The tunnel's port, if others dial this gateway.
    pub tunnel_port: Option<u16>,
    /// TCP ports that hosts of both sides are likely to use: [`tcp_ports`].
    pub ports: BTreeSet<u16>,
}

/// The first ports of what the rules and the named services of `policy` say, Fabric's among them.
pub fn tcp_ports(policy: &Policy) -> BTreeSet<u16> {
    let allowed = policy.allow.iter().flatten().map(|allow| &allow.services);
    let egress = policy.allow_egress.iter().map(|allow| &allow.services);

    allowed
        .chain(egress)
        .chain(policy.services.values())
        .flatten()
        .flat_map(|service| match service {
            Service::Tcp(ports) => ports.as_slice(),
            _ => &[],
        })
        .map(|range| range.first)
        .take(PORTS)
        .collect()
}

/// Packets of one host of the site to one address of a member, and back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The site's interface.
    pub interface: String,
    /// An address of the site behind it, not this host's own.
    pub host: IpAddr,
    /// An address of the member.
    pub remote: IpAddr,
    /// The prefix that it stands for.
    pub prefix: Prefix,
    /// A tunnel serves the prefix now.
    pub is_tunnelled: bool,
}

/// The ways between the site's prefixes `own` and the members', each true if a tunnel serves it.
pub fn ways(links: &Links, own: &[Prefix], members: &BTreeMap<Prefix, bool>) -> Vec<Way> {
    let sources = links.neighbours_in(own);
    let mut ways = Vec::new();

    for (interface, host) in sources.into_iter().take(INTERFACES) {
        for (prefix, is_tunnelled) in members {
            if prefix.is_ipv4() == host.is_ipv4() && ways.len() < WAYS {
                ways.push(Way {
                    interface: interface.clone(),
                    host,
                    remote: nth(prefix, 1).unwrap_or(prefix.address()),
                    prefix: *prefix,
                    is_tunnelled: *is_tunnelled,
                });
            }
        }
    }
    ways
}

impl Links {
    /// One address of another host on each interface that has an address inside `own`, per family.
    /// Nobody needs to have it.
    fn neighbours_in(&self, own: &[Prefix]) -> Vec<(String, IpAddr)> {
        let mut found: BTreeMap<(String, bool), IpAddr> = BTreeMap::new();

        for address in self.entries() {
            let is_inside = own.iter().any(|prefix| prefix.contains(address.own));
            let neighbour = (1..4)
                .filter_map(|n| nth(&address.network, n))
                .find(|candidate| !self.have(*candidate));
            if let Some(neighbour) = neighbour
                && is_inside
                && own.iter().any(|prefix| prefix.contains(neighbour))
            {
                let key = (address.interface.clone(), neighbour.is_ipv4());
                found.entry(key).or_insert(neighbour);
            }
        }
        found
            .into_iter()
            .map(|((interface, _), host)| (interface, host))
            .collect()
    }
}

/// The address number `n` of a prefix; `None` if it has no such address, or none for a host.
fn nth(prefix: &Prefix, n: u8) -> Option<IpAddr> {
    let address = match prefix.address() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().checked_add(n.into())?).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().checked_add(n.into())?).into(),
    };

    prefix.contains(address).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::Address;

    fn links() -> Links {
        let address = |interface: &str, own: &str, len| {
            let own = own.parse().unwrap();
            Address {
                interface: interface.into(),
                own,
                network: Prefix::holding(own, len).unwrap(),
                preferred: true,
            }
        };
        Links::from_addresses([
            address("lan0", "10.1.0.1", 24),
            address("lan0", "10.1.0.2", 24),
            address("lan0", "fd00:1::1", 64),
            address("wan0", "203.0.113.5", 24),
            address("pod1", "10.1.9.1", 32),
        ])
    }

    #[test]
    fn fabrics_ports_are_asked_for_without_any_rule() {
        let ports = tcp_ports(&Policy::default());
        assert!(ports.contains(&7050) && ports.contains(&7051), "{ports:?}");
    }

    #[test]
    fn a_way_leads_from_a_neighbour_in_the_site_to_each_member_of_its_family() {
        let own = ["10.1.0.0/16", "fd00:1::/48"].map(|prefix| prefix.parse().unwrap());
        let members = [
            ("10.2.0.0/16", true),
            ("10.3.0.9/32", false),
            ("fd00:2::/48", true),
        ]
        .map(|(prefix, tunnelled)| (prefix.parse().unwrap(), tunnelled))
        .into();

        let ways: Vec<_> = ways(&links(), &own, &members)
            .iter()
            .map(|way| format!("{} {} {}", way.interface, way.host, way.remote))
            .collect();
        assert_eq!(
            ways,
            [
                "lan0 fd00:1::2 fd00:2::1",
                "lan0 10.1.0.3 10.2.0.1",
                "lan0 10.1.0.3 10.3.0.9",
            ]
        );
    }
}
