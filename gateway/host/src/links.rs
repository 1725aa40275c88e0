//! Which networks this host is connected to, and which of its addresses lie inside the site.
//!
//! A reading of one moment; [`Watch`] tells when it is out of date.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use ringway_config::{Connected, Prefix};
pub use ringway_intent::{Address, Links};
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::LinkAttribute;

use super::netlink::{self, Changes, Netlink};

/// The links could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the interfaces' addresses over netlink")]
pub struct LinksError(#[from] io::Error);

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
    Ok(Links::from_addresses(addresses))
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
    Ok(read(tun).await?.connected())
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
