//! [`Links`]: the addresses of the host's interfaces at one moment.

use std::net::IpAddr;

use ringway_config::{Connected, Prefix};

/// The addresses of this host's interfaces, in the kernel's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    addresses: Vec<Address>,
}

/// One address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The interface's name.
    pub interface: String,
    /// The host's address.
    pub own: IpAddr,
    /// The network that the interface is connected to: the address's, or the far end's on a
    /// point-to-point link.
    pub network: Prefix,
    /// Fit as a source of new connections: primary, not deprecated, and known to be unique.
    pub preferred: bool,
}

impl Links {
    /// The links with these addresses.
    pub fn from_addresses(addresses: impl IntoIterator<Item = Address>) -> Links {
        Links {
            addresses: addresses.into_iter().collect(),
        }
    }

    /// The networks that no remote site may use: all but loopback and link-local ones, each once.
    pub fn connected(&self) -> Vec<Connected> {
        let mut networks: Vec<Connected> = self
            .addresses
            .iter()
            .filter(|address| address.interface != "lo" && is_routable(address.own))
            .map(|address| Connected {
                prefix: address.network,
                interface: address.interface.clone(),
            })
            .collect();

        // One entry per address so far: an interface may have several in one network.
        networks.sort();
        networks.dedup();
        networks
    }

    /// This host's addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses.iter().map(|address| address.own)
    }

    /// Every address, with its interface.
    pub(crate) fn entries(&self) -> &[Address] {
        &self.addresses
    }

    /// True if `address` is one of this host's.
    pub fn have(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|known| known.own == address)
    }

    /// This host's IPv4 address inside one of `prefixes`.
    pub fn own_v4_in(&self, prefixes: &[Prefix]) -> Option<IpAddr> {
        self.own_in(prefixes, IpAddr::is_ipv4)
    }

    /// This host's IPv6 address inside one of `prefixes`.
    pub fn own_v6_in(&self, prefixes: &[Prefix]) -> Option<IpAddr> {
        self.own_in(prefixes, IpAddr::is_ipv6)
    }

    /// The first preferred address; failing that, the first one. Loopback interfaces count: a
    /// private address may well be configured there.
    fn own_in(&self, prefixes: &[Prefix], family: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
        let mut candidates = self
            .addresses
            .iter()
            .filter(|address| family(&address.own) && is_routable(address.own))
            .filter(|address| prefixes.iter().any(|prefix| prefix.contains(address.own)))
            .peekable();

        // RFC 6724, section 5, rule 3: avoid deprecated addresses, but one is better than none.
        let first = candidates.peek().copied();
        candidates
            .find(|address| address.preferred)
            .or(first)
            .map(|address| address.own)
    }
}

/// Neither loopback nor link-local (RFC 3927, RFC 4291 section 2.5.6).
fn is_routable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(interface: &str, own: &str, len: u8, preferred: bool) -> Address {
        let own = own.parse().unwrap();

        Address {
            interface: interface.into(),
            own,
            network: Prefix::holding(own, len).unwrap(),
            preferred,
        }
    }

    fn links() -> Links {
        Links::from_addresses([
            address("lo", "127.0.0.1", 8, true),
            address("lo", "10.1.255.1", 32, true),
            address("eth0", "203.0.113.5", 24, true),
            address("eth1", "10.1.0.3", 24, false),
            address("eth1", "10.1.0.2", 24, true),
            address("eth1", "fe80::1", 64, true),
            address("eth1", "fd00:1::2", 64, false),
        ])
    }

    #[test]
    fn connected_networks_are_each_named_once_without_loopback_and_link_local() {
        let networks: Vec<_> = links()
            .connected()
            .into_iter()
            .map(|network| format!("{} {}", network.prefix, network.interface))
            .collect();

        assert_eq!(
            networks,
            [
                "10.1.0.0/24 eth1",
                "203.0.113.0/24 eth0",
                "fd00:1::/64 eth1"
            ]
        );
    }

    #[test]
    fn our_address_lies_inside_the_site_and_is_preferred_if_one_is() {
        let own_v4 = |prefix: &str| links().own_v4_in(&[prefix.parse().unwrap()]);
        assert_eq!(own_v4("10.1.0.0/24"), Some("10.1.0.2".parse().unwrap()));
        assert_eq!(own_v4("10.1.255.0/24"), Some("10.1.255.1".parse().unwrap()));
        assert_eq!(own_v4("127.0.0.0/8"), None);
        assert_eq!(own_v4("10.9.0.0/16"), None);

        let v6 = links().own_v6_in(&["fd00:1::/48".parse().unwrap()]);
        assert_eq!(v6, Some("fd00:1::2".parse().unwrap()));
    }
}
