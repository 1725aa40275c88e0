//! Reads this host's interfaces and its routes to our site over netlink: [`read`] once, [`Watch`]
//! whenever they change.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ringway_config::{Prefix, TunName};
use ringway_intent::{Address, Links, Scope, is_default};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::route::RouteMessage;

use super::netlink::{self, Changes, Netlink};
use super::virtual_address;

mod routes;

/// The scope of a running gateway's watches; a reload replaces it.
pub type SharedScope = Arc<ArcSwap<Scope>>;

/// The links could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the interfaces' addresses over netlink")]
pub struct LinksError(#[from] io::Error);

/// Reads the addresses of all interfaces in this thread's network namespace except `tun` and the
/// device of WireGuard clients, and the routes to our site.
pub async fn read(tun: &TunName, scope: &Scope) -> Result<Links, LinksError> {
    let netlink = Netlink::open()?;
    let interfaces = dump_interfaces(&netlink).await?;
    let running = interfaces.iter().filter(|link| is_running(link));
    let running: BTreeSet<u32> = running.map(|link| link.header.index).collect();
    let mut names = named(interfaces);
    let messages = netlink::dump(netlink.handle().address().get().execute()).await?;

    let clients = scope.wireguard.as_ref().map(TunName::as_str);
    names.retain(|_, name| name != tun.as_str() && clients != Some(name));

    let addresses = messages.into_iter().filter_map(|message| {
        // An interface without a name is the TUN, or newer than the dump of links.
        let interface = names.get(&message.header.index)?;
        read_address(interface, &message)
    });
    let addresses = addresses.filter(|address| !scope.left_out.contains(&address.own));
    let running = names.iter().filter(|(index, _)| running.contains(index));
    let links = Links::from_addresses(addresses)
        .with_existing(names.values().cloned())
        .with_running(running.map(|(_, name)| name.clone()));

    let routes = dump_routes(&netlink).await?;
    let routes = routes
        .iter()
        .flat_map(|message| routes::read(message, &names))
        .filter(|route| {
            is_default(&route.prefix) || scope.own.iter().any(|own| own.overlaps(&route.prefix))
        })
        // The kernel adds a route for each IPv6 address.
        .filter(|route| {
            !(route.prefix.is_host() && scope.left_out.contains(&route.prefix.address()))
        });
    Ok(links.with_routes(routes))
}

async fn dump_routes(netlink: &Netlink) -> io::Result<Vec<RouteMessage>> {
    let mut routes = Vec::new();

    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut wanted = RouteMessage::default();
        wanted.header.address_family = family;

        match netlink::dump(netlink.handle().route().get(wanted).execute()).await {
            Ok(found) => routes.extend(found),
            // A kernel without IPv6.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
    }

    Ok(routes)
}

/// The names of all interfaces, by index.
pub(crate) async fn names(netlink: &Netlink) -> io::Result<BTreeMap<u32, String>> {
    Ok(named(dump_interfaces(netlink).await?))
}

async fn dump_interfaces(netlink: &Netlink) -> io::Result<Vec<LinkMessage>> {
    netlink::dump(netlink.handle().link().get().execute()).await
}

fn named(interfaces: Vec<LinkMessage>) -> BTreeMap<u32, String> {
    interfaces
        .into_iter()
        .map(|link| (link.header.index, name_of(link)))
        .collect()
}

/// Up, with a carrier, and not waiting for anything else: linux/if.h, IFF_RUNNING (RFC 2863,
/// operational status). An interface that is down may keep that flag.
fn is_running(link: &LinkMessage) -> bool {
    link.header
        .flags
        .contains(LinkFlags::Up | LinkFlags::Running)
}

/// Notifies when the links must be read again.
pub struct Watch(Changes);

impl Watch {
    /// Watches links and addresses in this thread's network namespace, except the addresses that
    /// `scope` leaves out. Needs a tokio runtime.
    pub fn open(scope: SharedScope) -> Result<Watch, LinksError> {
        Ok(Watch(Changes::listen(scope)?))
    }

    /// Watches the host's routes, including those of our own daemon.
    pub fn of_routes() -> Result<Watch, LinksError> {
        Ok(Watch(Changes::listen_to_routes()?))
    }

    /// Waits until something has changed. After an error, changes are no longer reported.
    pub async fn change(&mut self) -> Result<(), LinksError> {
        Ok(self.0.next().await?)
    }
}

fn name_of(link: LinkMessage) -> String {
    let names = link.attributes.into_iter();
    let mut names = names.filter_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name),
        _ => None,
    });

    names.next().unwrap_or_default()
}

fn read_address(interface: &str, message: &AddressMessage) -> Option<Address> {
    // rtnetlink(7): on a point-to-point link IFA_ADDRESS is the far end and IFA_LOCAL this host's
    // address. On other links they are equal, or (IPv6) there is no IFA_LOCAL.
    let address = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            AddressAttribute::Address(found) => Some(*found),
            _ => None,
        });
    let own = virtual_address::local(message)?;

    // RFC 4862: a tentative address may be another host's too (section 5.4), a deprecated one
    // must not start connections (section 5.5.4).
    let unfit = AddressHeaderFlags::Secondary
        | AddressHeaderFlags::Dadfailed
        | AddressHeaderFlags::Deprecated
        | AddressHeaderFlags::Tentative;

    Some(Address {
        interface: interface.into(),
        own,
        network: Prefix::holding(address.unwrap_or(own), message.header.prefix_len)?,
        preferred: !message.header.flags.intersects(unfit),
    })
}
