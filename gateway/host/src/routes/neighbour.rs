//! [`neighbour`]: another daemon on this host whose routes have the same numbers as ours.

use std::collections::BTreeSet;
use std::io;

use ringway_config::Routes as Numbers;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::route::RouteAttribute;

use super::message;
use crate::netlink::{self, Netlink};
use crate::tun::TUN_GROUP;

/// The device of another daemon with routes of these numbers; `own` are our devices. Each daemon
/// would remove the other's routes. Needs a tokio runtime.
pub async fn neighbour(numbers: Numbers, own: &[&str]) -> io::Result<Option<String>> {
    let netlink = Netlink::open()?;
    let mut used = BTreeSet::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let filter = message::filter(&numbers, family);
        // A table exists from its first route on, and IPv6 may be missing.
        let routes = netlink::dump(netlink.handle().route().get(filter).execute()).await;
        for route in routes.unwrap_or_default() {
            if message::is_ours(&route, &numbers) {
                used.extend(
                    route
                        .attributes
                        .iter()
                        .filter_map(|attribute| match attribute {
                            RouteAttribute::Oif(index) => Some(*index),
                            _ => None,
                        }),
                );
            }
        }
    }

    let links = netlink::dump(netlink.handle().link().get().execute()).await?;
    let mut others = links.into_iter().filter_map(|link| {
        let is_tun = link.attributes.contains(&LinkAttribute::Group(TUN_GROUP));
        let is_used = is_tun && used.contains(&link.header.index);
        let mut attributes = link.attributes.into_iter();
        let name = attributes.find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        });
        name.filter(|name| is_used && !own.contains(&name.as_str()))
    });
    Ok(others.next())
}
