//! Route lookups: the route that the kernel would use to an address (RTM_GETROUTE without a dump).

use std::io;
use std::net::IpAddr;

use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};

use crate::netlink::{self, Netlink};

/// A lookup of the route to `address`. The caller adds the other properties of the packet.
pub(super) fn request(address: IpAddr) -> RouteMessage {
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

/// The route that the kernel chooses. Errors are those of a packet without a route, such as
/// EHOSTUNREACH.
pub(super) async fn look_up(
    netlink: &Netlink,
    request: RouteMessage,
) -> io::Result<Option<RouteMessage>> {
    let routes = netlink::dump(netlink.handle().route().get(request).execute()).await?;

    Ok(routes.into_iter().next())
}

/// True for a route that drops packets. IPv6 answers with such a route instead of an error.
pub(super) fn is_drop(route: &RouteMessage) -> bool {
    matches!(
        route.header.kind,
        RouteType::Unreachable | RouteType::BlackHole | RouteType::Prohibit
    )
}
