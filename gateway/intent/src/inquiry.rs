//! [`Inquiry`]: sample packets between the site and the members, for which the kernel is asked how
//! it would handle them. That shows rules of other programs that are in the way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ringway_config::{Config, Host, Policy, Prefix, Service};

use crate::links::Links;

/// Maximum number of the site's interfaces in an inquiry: a cluster's node has one for each pod.
const INTERFACES: usize = 8;

/// Maximum number of route lookups. If there are more prefixes, fewer interfaces are covered;
/// beyond that, the last prefixes are left out.
const WAYS: usize = 1024;

/// Maximum number of ports in an inquiry; the rest is left out.
const PORTS: usize = 64;

/// Maximum number of gateways in an inquiry; the rest is left out.
const PEERS: usize = 256;

/// The maximum of one `multiport` match in iptables.
const DIALLED_PORTS: usize = 15;

/// See the head of this file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inquiry {
    /// At most one for each pair of an interface of the site and a prefix of a member.
    pub ways: Vec<Way>,
    /// Number of members' prefixes that the inquiry leaves out.
    pub unasked: usize,
    /// The addresses of our DNS server.
    pub dns: Vec<IpAddr>,
    /// The tunnel port, if others dial this gateway.
    pub tunnel_port: Option<u16>,
    /// Ports of other gateways that we dial: [`dialled_ports`].
    pub dialled_ports: BTreeSet<u16>,
    /// Interfaces of default routes, by which tunnels leave.
    pub outside: BTreeSet<String>,
    /// Other gateways, each with the addresses that we dial: [`peers`].
    pub peers: BTreeMap<String, Vec<IpAddr>>,
    /// TCP ports that hosts of both sides probably use: [`tcp_ports`].
    pub ports: BTreeSet<u16>,
}

/// The other gateways in all records whose endpoints are addresses, not names. Only some if there
/// are very many.
pub fn peers(config: &Config) -> BTreeMap<String, Vec<IpAddr>> {
    let of_members = config.records().flat_map(|member| {
        let gateways = member.gateways.iter();
        gateways.map(|gateway| (&member.org, gateway))
    });
    let others = of_members
        .filter(|(org, gateway)| **org != config.id.org || gateway.name != config.id.name)
        .filter(|(_, gateway)| !gateway.endpoints.is_empty());

    others
        .filter_map(|(org, gateway)| {
            let addresses = gateway
                .endpoints
                .iter()
                .map(|endpoint| match endpoint.host {
                    Host::Address(address) => Some(address),
                    Host::Name(_) => None,
                });
            Some((
                format!("{}.{org}", gateway.name),
                addresses.collect::<Option<_>>()?,
            ))
        })
        .take(PEERS)
        .collect()
}

/// The UDP ports of other gateways in all records. Only some if there are very many.
pub fn dialled_ports(config: &Config) -> BTreeSet<u16> {
    let gateways = config.records().flat_map(|member| {
        let gateways = member.gateways.iter();
        gateways.filter(|gateway| member.org != config.id.org || gateway.name != config.id.name)
    });

    gateways
        .flat_map(|gateway| &gateway.endpoints)
        .map(|endpoint| endpoint.port)
        .collect::<BTreeSet<u16>>()
        .into_iter()
        .take(DIALLED_PORTS)
        .collect()
}

/// The first ports in the rules and the named services of `policy`; Fabric's ports are included.
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

/// Packets between a host of the site and an address of a member, in both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The site's interface.
    pub interface: String,
    /// An address of the site behind that interface, not one of this host.
    pub host: IpAddr,
    /// An address inside `prefix`.
    pub remote: IpAddr,
    /// The member's prefix.
    pub prefix: Prefix,
    /// A tunnel serves the prefix now.
    pub is_tunnelled: bool,
}

/// The pairs of the site's prefixes `own` and the members' prefixes; each is marked true if a
/// tunnel serves it. Also returns how many of these are left out because there are too many.
pub fn ways(links: &Links, own: &[Prefix], members: &BTreeMap<Prefix, bool>) -> (Vec<Way>, usize) {
    let mut ways = Vec::new();
    let mut unasked = 0;

    for v4 in [false, true] {
        let sources = links.neighbours_in(own);
        let sources = sources.into_iter().filter(|(_, host)| host.is_ipv4() == v4);
        let members = members.iter().filter(|(prefix, _)| prefix.is_ipv4() == v4);
        // Half for each family, so that neither uses up the limit.
        let asked: Vec<_> = members.clone().take(WAYS / 2).collect();
        let interfaces = (WAYS / 2 / asked.len().max(1)).clamp(1, INTERFACES);

        let sources: Vec<_> = sources.take(interfaces).collect();
        if !sources.is_empty() {
            unasked += members.count() - asked.len();
        }
        for (interface, host) in sources {
            ways.extend(asked.iter().map(|(prefix, is_tunnelled)| Way {
                interface: interface.clone(),
                host,
                // Address 0 is the network's own, or that of any of its routers (RFC 4291, section
                // 2.6.1).
                remote: nth(prefix, 1).unwrap_or(prefix.address()),
                prefix: **prefix,
                is_tunnelled: **is_tunnelled,
            }));
        }
    }
    (ways, unasked)
}

impl Links {
    /// For each interface with an address inside `own`, and each family, the address of another
    /// host. Such a host need not exist.
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

/// Address `n` of a prefix; `None` if the prefix is too small, or hosts cannot have that address.
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

        let (ways, unasked) = ways(&links(), &own, &members);
        assert_eq!(unasked, 0);
        let ways: Vec<_> = ways
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

    #[test]
    fn every_prefix_is_asked_about_before_any_is_for_a_second_interface() {
        let address = |number: usize| Address {
            interface: format!("pod{number}"),
            own: format!("10.1.{number}.1").parse().unwrap(),
            network: format!("10.1.{number}.0/24").parse().unwrap(),
            preferred: true,
        };
        let links = Links::from_addresses((0..INTERFACES).map(address));
        let own = ["10.1.0.0/16".parse().unwrap()];
        let asked = |count: usize| {
            let prefix = |n: usize| format!("10.2.{}.{}/32", n / 256, n % 256);
            let members = (0..count).map(|n| (prefix(n).parse().unwrap(), true));
            let (ways, unasked) = ways(&links, &own, &members.collect());
            let prefixes: BTreeSet<_> = ways.iter().map(|way| way.prefix).collect();
            assert!(ways.len() <= WAYS, "{}", ways.len());
            assert_eq!(prefixes.len() + unasked, count);
            (ways.len(), unasked)
        };

        assert_eq!(asked(10), (10 * INTERFACES, 0));
        assert_eq!(asked(200), (400, 0));
        assert_eq!(asked(512), (512, 0));
        assert_eq!(asked(2000), (512, 1488));
    }
}
