//! [`read`]: the host's own routes in a netlink message.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ringway_config::Prefix;
use ringway_intent::HostRoute;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteNextHopFlags,
    RouteType, RouteVia,
};

/// One next hop, as the message has it.
struct Hop {
    interface: u32,
    gateway: Option<IpAddr>,
    is_live: bool,
}

/// The ways of `message`, one for each next hop; none unless it forwards packets to an interface
/// among `names`.
pub(super) fn read(message: &RouteMessage, names: &BTreeMap<u32, String>) -> Vec<HostRoute> {
    // Not those that lead nowhere, nor the host's own and broadcast addresses.
    if message.header.kind != RouteType::Unicast {
        return Vec::new();
    }
    let Some(prefix) = prefix(message) else {
        return Vec::new();
    };

    let hops = hops(message).into_iter();
    hops.filter_map(|hop| {
        let interface = names.get(&hop.interface)?.clone();
        Some(HostRoute {
            prefix,
            interface,
            gateway: hop.gateway,
            is_live: hop.is_live,
        })
    })
    .collect()
}

/// Interfaces and next routers.
fn hops(message: &RouteMessage) -> Vec<Hop> {
    let mut interface = None;
    let mut several = Vec::new();
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => interface = Some(*index),
            RouteAttribute::MultiPath(hops) => several.clone_from(hops),
            _ => {}
        }
    }

    // linux/rtnetlink.h: RTA_MULTIPATH takes the place of RTA_OIF and RTA_GATEWAY.
    let unusable = RouteFlags::Dead | RouteFlags::Linkdown;
    let single = interface.map(|interface| Hop {
        interface,
        gateway: gateway(&message.attributes),
        is_live: !message.header.flags.intersects(unusable),
    });
    several.iter().map(hop).chain(single).collect()
}

fn hop(hop: &RouteNextHop) -> Hop {
    let unusable = RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown;

    Hop {
        interface: hop.interface_index,
        gateway: gateway(&hop.attributes),
        is_live: !hop.flags.intersects(unusable),
    }
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(v4)) => Some((*v4).into()),
        RouteAttribute::Gateway(RouteAddress::Inet6(v6)) => Some((*v6).into()),
        // RFC 5549: an IPv4 route over an IPv6 router.
        RouteAttribute::Via(RouteVia::Inet6(v6)) => Some((*v6).into()),
        _ => None,
    })
}

/// The destination. The kernel leaves out the address of a default route.
fn prefix(message: &RouteMessage) -> Option<Prefix> {
    let unspecified = match message.header.address_family {
        AddressFamily::Inet => IpAddr::from([0; 4]),
        AddressFamily::Inet6 => IpAddr::from([0; 16]),
        _ => return None,
    };
    let address = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(v4)) => Some((*v4).into()),
            RouteAttribute::Destination(RouteAddress::Inet6(v6)) => Some((*v6).into()),
            _ => None,
        });

    Prefix::holding(
        address.unwrap_or(unspecified),
        message.header.destination_prefix_length,
    )
}
