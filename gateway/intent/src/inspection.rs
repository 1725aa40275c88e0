//! [`Inspection`]: what to check on the host: whether the kernel would route and filter packets
//! between the site and the members as it must. It shows rules of other programs that stop them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ringway_config::{Config, Host, Policy, Prefix, Service};

use crate::links::Links;

/// Maximum number of the site's interfaces. The node of a cluster has one interface for each pod.
const INTERFACES: usize = 8;

/// Maximum number of pairs, each of which needs a route lookup. With many prefixes, fewer
/// interfaces are covered; with even more, the last prefixes are skipped.
const PAIRS: usize = 1024;

/// Maximum number of ports. The others are not checked.
const PORTS: usize = 64;

/// Maximum number of gateways. The others are not checked.
const PEERS: usize = 256;

/// Maximum number of ports in one `multiport` match of iptables.
const DIALLED_PORTS: usize = 15;

/// See the head of this file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// At most one for each pair of an interface of the site and a prefix of a member.
    pub pairs: Vec<HostPair>,
    /// The site's interfaces.
    pub site: BTreeSet<String>,
    /// Number of members' prefixes that are not checked, because there are too many.
    pub skipped: usize,
    /// The addresses of our DNS server.
    pub dns: Vec<IpAddr>,
    /// The port from which our tunnels leave.
    pub listen_port: u16,
    /// The tunnel port, if other gateways dial this one.
    pub tunnel_port: Option<u16>,
    /// Ports of other gateways that we dial: [`dialled_ports`].
    pub dialled_ports: BTreeSet<u16>,
    /// Interfaces with a default route, which tunnels use.
    pub outside: BTreeSet<String>,
    /// Other gateways, each with the addresses that we dial: [`peers`].
    pub peers: BTreeMap<String, Vec<IpAddr>>,
    /// TCP ports that hosts of the site and of members probably use: [`tcp_ports`].
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

/// A host of the site and an address of a member, for packets in both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPair {
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

/// The pairs of hosts in the site's prefixes `own` and in the members' prefixes. A prefix in
/// `members` has `true` if a tunnel serves it. Also returns the number of members' prefixes that
/// are skipped because there are too many.
pub fn host_pairs(
    links: &Links,
    own: &[Prefix],
    members: &BTreeMap<Prefix, bool>,
) -> (Vec<HostPair>, usize) {
    let mut pairs = Vec::new();
    let mut skipped = 0;

    for v4 in [false, true] {
        let sources = links.neighbours_in(own);
        let sources = sources.into_iter().filter(|(interface, host)| {
            // The kernel routes nothing by an interface that is down, which is a finding already.
            host.is_ipv4() == v4 && links.is_running(interface)
        });
        let members = members.iter().filter(|(prefix, _)| prefix.is_ipv4() == v4);
        // Half for each family, so that neither uses up the limit.
        let checked: Vec<_> = members.clone().take(PAIRS / 2).collect();
        let interfaces = (PAIRS / 2 / checked.len().max(1)).clamp(1, INTERFACES);

        let sources: Vec<_> = sources.take(interfaces).collect();
        if !sources.is_empty() {
            skipped += members.count() - checked.len();
        }
        for (interface, host) in sources {
            pairs.extend(checked.iter().map(|(prefix, is_tunnelled)| HostPair {
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
    (pairs, skipped)
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
    fn fabrics_ports_are_checked_without_any_rule() {
        let ports = tcp_ports(&Policy::default());
        assert!(ports.contains(&7050) && ports.contains(&7051), "{ports:?}");
    }

    #[test]
    fn each_pair_has_a_neighbour_in_the_site_and_an_address_of_a_member_of_its_family() {
        let own = ["10.1.0.0/16", "fd00:1::/48"].map(|prefix| prefix.parse().unwrap());
        let members = [
            ("10.2.0.0/16", true),
            ("10.3.0.9/32", false),
            ("fd00:2::/48", true),
        ]
        .map(|(prefix, tunnelled)| (prefix.parse().unwrap(), tunnelled))
        .into();

        let (pairs, skipped) = host_pairs(&links(), &own, &members);
        assert_eq!(skipped, 0);
        let pairs: Vec<_> = pairs
            .iter()
            .map(|pair| format!("{} {} {}", pair.interface, pair.host, pair.remote))
            .collect();
        assert_eq!(
            pairs,
            [
                "lan0 fd00:1::2 fd00:2::1",
                "lan0 10.1.0.3 10.2.0.1",
                "lan0 10.1.0.3 10.3.0.9",
            ]
        );
    }

    #[test]
    fn nothing_is_asked_about_an_interface_that_is_down() {
        let own = ["10.1.0.0/16".parse().unwrap()];
        let members = [("10.2.0.0/16".parse().unwrap(), true)].into();
        let running = |names: &[&str]| {
            let links = links().with_running(names.iter().map(|name| (*name).to_owned()));
            host_pairs(&links, &own, &members).0.len()
        };

        assert_eq!(running(&["lan0", "wan0"]), 1);
        assert_eq!(running(&["wan0"]), 0);
    }

    #[test]
    fn all_prefixes_are_paired_with_one_interface_before_a_second_one_is_used() {
        let address = |number: usize| Address {
            interface: format!("pod{number}"),
            own: format!("10.1.{number}.1").parse().unwrap(),
            network: format!("10.1.{number}.0/24").parse().unwrap(),
            preferred: true,
        };
        let links = Links::from_addresses((0..INTERFACES).map(address));
        let own = ["10.1.0.0/16".parse().unwrap()];
        let checked = |count: usize| {
            let prefix = |n: usize| format!("10.2.{}.{}/32", n / 256, n % 256);
            let members = (0..count).map(|n| (prefix(n).parse().unwrap(), true));
            let (pairs, skipped) = host_pairs(&links, &own, &members.collect());
            let prefixes: BTreeSet<_> = pairs.iter().map(|pair| pair.prefix).collect();
            assert!(pairs.len() <= PAIRS, "{}", pairs.len());
            assert_eq!(prefixes.len() + skipped, count);
            (pairs.len(), skipped)
        };

        assert_eq!(checked(10), (10 * INTERFACES, 0));
        assert_eq!(checked(200), (400, 0));
        assert_eq!(checked(512), (512, 0));
        assert_eq!(checked(2000), (512, 1488));
    }
}
