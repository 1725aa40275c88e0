//! [`Reach`]: how this host reaches an address of its site.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};

use super::route_lookup;
use crate::links;
use crate::netlink::Netlink;

/// How this host reaches an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// The host has the address itself.
    Local,
    /// Through an interface, and a router if the address is not on its link.
    Interface {
        /// Its name.
        name: String,
        /// The next hop.
        router: Option<IpAddr>,
    },
    /// There is no route.
    NoRoute,
}

/// Looks up how the kernel reaches `address`. Needs a tokio runtime, in the network namespace of
/// the gateway.
pub async fn reach(address: IpAddr) -> io::Result<Reach> {
    let netlink = Netlink::open()?;
    let names = links::names(&netlink).await?;

    find(&netlink, &names, address).await
}

/// As [`reach()`]; `names` are the host's interfaces.
pub(super) async fn find(
    netlink: &Netlink,
    names: &BTreeMap<u32, String>,
    address: IpAddr,
) -> io::Result<Reach> {
    match route_lookup::look_up(netlink, route_lookup::request(address)).await {
        Ok(route) => Ok(route.map_or(Reach::NoRoute, |route| read(&route, names))),
        Err(error) => match error.raw_os_error() {
            Some(libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EACCES | libc::EINVAL) => {
                Ok(Reach::NoRoute)
            }
            _ => Err(error),
        },
    }
}

fn read(route: &RouteMessage, names: &BTreeMap<u32, String>) -> Reach {
    match route.header.kind {
        RouteType::Local => return Reach::Local,
        RouteType::Unicast => {}
        _ => return Reach::NoRoute,
    }

    let mut interface = None;
    let mut router = None;
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => {
                let name = names.get(index).cloned();
                // It may have come since the names were read.
                interface = Some(name.unwrap_or_else(|| format!("interface {index}")));
            }
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => {
                router = Some(IpAddr::V4(*address));
            }
            RouteAttribute::Gateway(RouteAddress::Inet6(address)) => {
                router = Some(IpAddr::V6(*address));
            }
            _ => {}
        }
    }
    interface.map_or(Reach::NoRoute, |name| Reach::Interface { name, router })
}
