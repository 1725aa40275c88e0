//! Which networks this host is connected to, and which of its addresses lie inside the site.
//!
//! A reading of one moment; [`Watch`] tells when it is out of date.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use ringway_config::{Connected, Prefix};
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::LinkAttribute;

use super::netlink::{self, Changes, Netlink};

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
    /// The host's own address.
    pub own: IpAddr,
    /// The network it is connected to: the address's, or the far end's on a point-to-point link.
    pub network: Prefix,
    /// Good as a source of new connections: primary, not deprecated, and known to be unique.
    pub preferred: bool,
}

/// The links could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the interfaces' addresses over netlink")]
pub struct LinksError(#[from] io::Error);

impl Links {
    /// Reads the addresses of all interfaces in this thread's network namespace but `tun`.
    pub async fn read(tun: &str) -> Result<Links, LinksError> {
        let netlink = Netlink::open()?;
        let mut names = BTreeMap::new();
        for link in netlink::dump(netlink.handle().link().get().execute()).await? {
            let name = link
                .attributes
                .into_iter()
                .find_map(|attribute| match attribute {
                    LinkAttribute::IfName(name) => Some(name),
                    _ => None,
                });
            names.insert(link.header.index, name.unwrap_or_default());
        }
        names.retain(|_, name| name != tun);
        let messages = netlink::dump(netlink.handle().address().get().execute()).await?;
        let addresses = messages.into_iter().filter_map(|message| {
            let interface = names.get(&message.header.index)?;
            read_address(interface, &message)
        });
        Ok(Links {
            addresses: addresses.collect(),
        })
    }

    /// Links as they are in a test, or in a plan.
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
        networks.sort();
        networks.dedup();
        networks
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

    /// The first preferred address; failing that, the first one. Loopback interfaces count: a private
    /// address may well be configured there.
    fn own_in(&self, prefixes: &[Prefix], family: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
        let inside = |address: &&Address| {
            family(&address.own)
                && is_routable(address.own)
                && prefixes.iter().any(|prefix| prefix.contains(address.own))
        };
        let mut candidates = self.addresses.iter().filter(inside).peekable();
        let first = candidates.peek().copied();
        candidates
            .find(|address| address.preferred)
            .or(first)
            .map(|address| address.own)
    }
}

/// Tells when to read the links again.
pub struct Watch(Changes);

impl Watch {
    /// Watches this thread's network namespace. Needs a tokio runtime.
    pub fn open() -> Result<Watch, LinksError> {
        Ok(Watch(Changes::listen()?))
    }

    /// Waits until links or addresses have changed. After an error no change is told.
    pub async fn change(&mut self) -> Result<(), LinksError> {
        Ok(self.0.next().await?)
    }
}

/// The networks this host is connected to, other than through `tun`: see [`Links::connected`].
pub async fn connected_networks(tun: &str) -> Result<Vec<Connected>, LinksError> {
    Ok(Links::read(tun).await?.connected())
}

fn read_address(interface: &str, message: &AddressMessage) -> Option<Address> {
    let find = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| {
        message.attributes.iter().find_map(wanted)
    };
    let local = find(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let far = find(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    });
    let own = local.or(far)?;
    let unfit = AddressHeaderFlags::Secondary
        | AddressHeaderFlags::Dadfailed
        | AddressHeaderFlags::Deprecated
        | AddressHeaderFlags::Tentative;
    Some(Address {
        interface: interface.into(),
        own,
        network: Prefix::holding(far.unwrap_or(own), message.header.prefix_len)?,
        preferred: !message.header.flags.intersects(unfit),
    })
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
        let network = Prefix::holding(own, len).unwrap();
        Address {
            interface: interface.into(),
            own,
            network,
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
            .map(|c| format!("{} {}", c.prefix, c.interface))
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
    fn the_own_address_lies_inside_the_site_and_is_preferred_if_one_is() {
        let own = |prefix: &str| links().own_v4_in(&[prefix.parse().unwrap()]);
        assert_eq!(own("10.1.0.0/24"), Some("10.1.0.2".parse().unwrap()));
        assert_eq!(own("10.1.255.0/24"), Some("10.1.255.1".parse().unwrap()));
        assert_eq!(own("127.0.0.0/8"), None);
        assert_eq!(own("10.9.0.0/16"), None);
        let v6 = links().own_v6_in(&["fd00:1::/48".parse().unwrap()]);
        assert_eq!(v6, Some("fd00:1::2".parse().unwrap()));
    }
}
