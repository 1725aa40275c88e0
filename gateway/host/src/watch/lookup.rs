//! Route lookups: which route the kernel would take to an address (RTM_GETROUTE without a dump).

use std::io;
use std::net::IpAddr;

use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};

use crate::netlink::{self, Netlink};

/// The question for the route to `address`. The caller adds what else the packet has.
pub(super) fn question(address: IpAddr) -> RouteMessage {
    let mut message = RouteMessage::default();
    let (family, length) = match address {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    message.header.address_family = family;
    message.header.destination_prefix_length = length;

    let destination = RouteAttribute::Destination(RouteAddress::from(address));
    message.attributes.push(destination);
    message
}

/// The kernel's answer. Errors are those of a packet without a route, such as EHOSTUNREACH.
pub(super) async fn ask(
    netlink: &Netlink,
    question: RouteMessage,
) -> io::Result<Option<RouteMessage>> {
    let routes = netlink::dump(netlink.handle().route().get(question).execute()).await?;

    Ok(routes.into_iter().next())
}

/// True for a route that leads nowhere. IPv6 answers with such a route instead of an error.
pub(super) fn leads_nowhere(route: &RouteMessage) -> bool {
    matches!(
        route.header.kind,
        RouteType::Unreachable | RouteType::BlackHole | RouteType::Prohibit
    )
}
