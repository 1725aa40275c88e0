//! [`VirtualAddresses`]: addresses that the site's active gateway has, with a lifetime in the
//! kernel that it renews. A daemon that is dead, stopped or hangs loses them by itself.
//!
//! ```text
//!   renewed twice a second:   10.1.0.250/32 dev eth0 valid_lft 2sec preferred_lft 0sec
//! ```
//! An address has the full length of its family, whatever its network: beside the host's own
//! address it is no secondary one, which would go with that, and it brings no route of its own. It
//! is deprecated from the beginning, so that IPv6 does not choose it as a source.
//!
//! Whether it may be had is not decided here. Others learn of it by [`announce`].

pub mod announce;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, CacheInfo};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags};

use crate::netlink::{self, Netlink};

/// Seconds that the kernel keeps an address without a renewal. It looks once a second, so that it
/// may be gone a second later than that.
const LIFETIME: u32 = 2;

/// A lifetime without an end (rtnetlink(7), `INFINITY_LIFE_TIME`).
const FOREVER: u32 = u32::MAX;

/// Sets and removes virtual addresses in one network namespace.
#[derive(Debug)]
pub struct VirtualAddresses {
    netlink: Netlink,
}

/// An interface as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its Ethernet address; `None` if it has none.
    pub hardware: Option<[u8; 6]>,
    /// It is up and has a carrier.
    pub is_running: bool,
}

/// An address that was found on an interface.
#[derive(Debug, Clone)]
struct Found {
    address: IpAddr,
    /// Set by a daemon: it ends by itself.
    is_ours: bool,
    message: AddressMessage,
}

impl VirtualAddresses {
    /// In the network namespace of the calling thread. Needs a tokio runtime.
    pub fn open() -> io::Result<VirtualAddresses> {
        Ok(VirtualAddresses {
            netlink: Netlink::open()?,
        })
    }

    /// The interface `name`; `None` if there is none.
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

    /// Gives interface `index` these addresses for another two seconds. Returns those that it did
    /// not have.
    pub async fn renew(&self, index: u32, addresses: &[IpAddr]) -> io::Result<BTreeSet<IpAddr>> {
        let found = self.find(index, addresses).await?;
        let mut missing: BTreeSet<IpAddr> = addresses.iter().copied().collect();
        missing.retain(|address| !found.iter().any(|found| found.address == *address));

        // Each by itself: one that is refused must not cost the others their lifetime.
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

    /// Those of these addresses that interface `index` has from a daemon.
    pub async fn ours(&self, index: u32, addresses: &[IpAddr]) -> io::Result<BTreeSet<IpAddr>> {
        let found = self.find(index, addresses).await?.into_iter();

        Ok(found
            .filter(|found| found.is_ours)
            .map(|found| found.address)
            .collect())
    }

    /// Takes these addresses from interface `index`, but for those without an end: another program
    /// has set them. Returns these.
    pub async fn remove(&self, index: u32, addresses: &[IpAddr]) -> io::Result<BTreeSet<IpAddr>> {
        let mut foreign = BTreeSet::new();

        for found in self.find(index, addresses).await? {
            if !found.is_ours {
                foreign.insert(found.address);
                continue;
            }
            let request = self.netlink.handle().address().del(found.message);
            match netlink::answer(request.execute()).await {
                // Its time was over meanwhile.
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
        // RFC 4862, section 5.4: whether it is unique is asked before, and answers to that question
        // must not keep it unused after a takeover.
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

/// Seconds; without the attribute, without an end.
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
