//! [`VirtualAddresses`]: the addresses of the site's active gateway. They have a lifetime in the
//! kernel and must be renewed: if the daemon dies, is stopped or hangs, the kernel removes them.
//!
//! ```text
//!   renewed twice a second:   10.1.0.250/32 dev eth0 valid_lft 2sec preferred_lft 0sec
//! ```
//! Its prefix length is the full length of its family: so it is not a secondary address, which the
//! kernel would remove together with the host's own, and it adds no route. It is deprecated from
//! the start, so that IPv6 does not choose it as a source.
//!
//! The caller decides whether this host may have it. [`announce`] notifies other hosts.

pub mod announce;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, CacheInfo};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags};

use crate::netlink::{self, Netlink};

/// Lifetime in seconds without a renewal. The kernel checks once a second, so an address may stay a
/// second longer.
const LIFETIME: u32 = 2;

/// An infinite lifetime (rtnetlink(7), `INFINITY_LIFE_TIME`).
const FOREVER: u32 = u32::MAX;

/// Sets and removes virtual addresses in one network namespace.
#[derive(Debug)]
pub struct VirtualAddresses {
    netlink: Netlink,
}

/// The current state of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its Ethernet address, if it has one.
    pub hardware: Option<[u8; 6]>,
    /// It is up and has a carrier.
    pub is_running: bool,
}

/// An address of an interface.
#[derive(Debug, Clone)]
struct Found {
    address: IpAddr,
    /// It has a lifetime: a daemon has set it.
    is_ours: bool,
    message: AddressMessage,
}

impl VirtualAddresses {
    /// Opens a socket in the network namespace of the calling thread. Needs a tokio runtime.
    pub fn open() -> io::Result<VirtualAddresses> {
        Ok(VirtualAddresses {
            netlink: Netlink::open()?,
        })
    }

    /// The interface `name`, if it exists.
    pub async fn interface(&self, name: &str) -> io::Result<Option<Interface>> {
        let request = self
            .netlink
            .handle()
            .link()
            .get()
            .match_name(name.to_owned());
        let links = match netlink::dump(request.execute()).await {
            Ok(links) => links,
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(None),
            Err(error) => return Err(error),
        };

        Ok(links.first().map(|link| Interface {
            index: link.header.index,
            hardware: link.attributes.iter().find_map(hardware),
            is_running: link.header.flags.contains(LinkFlags::LowerUp),
        }))
    }

    /// Sets these addresses on interface `index`, or renews them, for two seconds. Returns those
    /// that it did not have.
    pub async fn renew(&self, index: u32, addresses: &[IpAddr]) -> io::Result<BTreeSet<IpAddr>> {
        let found = self.find(index, addresses).await?;
        let mut missing: BTreeSet<IpAddr> = addresses.iter().copied().collect();
        missing.retain(|address| !found.iter().any(|found| found.address == *address));

        // One by one: if the kernel refuses one, the others must still be renewed.
        let mut refused = None;
        for address in addresses {
            if let Err(error) = self.set(index, *address).await {
                refused.get_or_insert(error);
            }
        }
        match refused {
            Some(error) => Err(error),
            None => Ok(missing),
        }
    }

    /// Those of these addresses that a daemon has set on interface `index`.
    pub async fn ours(&self, index: u32, addresses: &[IpAddr]) -> io::Result<BTreeSet<IpAddr>> {
        let found = self.find(index, addresses).await?.into_iter();

        Ok(found
            .filter(|found| found.is_ours)
            .map(|found| found.address)
            .collect())
    }

    /// Removes these addresses from interface `index`, except those with an infinite lifetime,
    /// which another program has set. Returns the latter.
    pub async fn remove(&self, index: u32, addresses: &[IpAddr]) -> io::Result<BTreeSet<IpAddr>> {
        let mut foreign = BTreeSet::new();

        for found in self.find(index, addresses).await? {
            if !found.is_ours {
                foreign.insert(found.address);
                continue;
            }
            let request = self.netlink.handle().address().del(found.message);
            match netlink::answer(request.execute()).await {
                // Its lifetime ended meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => {}
                result => result?,
            }
        }
        Ok(foreign)
    }

    async fn set(&self, index: u32, address: IpAddr) -> io::Result<()> {
        let length = if address.is_ipv4() { 32 } else { 128 };
        let addresses = self.netlink.handle().address();
        let mut request = addresses.add(index, address, length).replace();

        let mut lifetime = CacheInfo::default();
        lifetime.ifa_valid = LIFETIME;
        lifetime.ifa_preferred = 0;
        // RFC 4862, section 5.4: the caller probes for duplicates before, and answers to the
        // kernel's own probe must not keep the address unusable after a takeover.
        let flags = AddressFlags::Nodad | AddressFlags::Noprefixroute;
        let attributes = &mut request.message_mut().attributes;
        attributes.push(AddressAttribute::CacheInfo(lifetime));
        attributes.push(AddressAttribute::Flags(flags));
        netlink::answer(request.execute()).await
    }

    async fn find(&self, index: u32, addresses: &[IpAddr]) -> io::Result<Vec<Found>> {
        let request = self.netlink.handle().address().get();
        let messages = netlink::dump(request.set_link_index_filter(index).execute()).await?;

        let found = messages.into_iter().filter_map(|message| {
            let address = local(&message)?;
            Some(Found {
                address,
                is_ours: lifetime(&message) != FOREVER,
                message,
            })
        });
        Ok(found
            .filter(|found| addresses.contains(&found.address))
            .collect())
    }
}

/// The host's address in a message; see rtnetlink(7).
pub(crate) fn local(message: &AddressMessage) -> Option<IpAddr> {
    let mut address = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(local) => return Some(*local),
            AddressAttribute::Address(found) => address = Some(*found),
            _ => {}
        }
    }

    address
}

/// Lifetime in seconds; infinite without the attribute.
fn lifetime(message: &AddressMessage) -> u32 {
    let info = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            AddressAttribute::CacheInfo(info) => Some(info.ifa_valid),
            _ => None,
        });

    info.unwrap_or(FOREVER)
}

fn hardware(attribute: &LinkAttribute) -> Option<[u8; 6]> {
    match attribute {
        LinkAttribute::Address(bytes) => bytes.as_slice().try_into().ok(),
        _ => None,
    }
}
