//! How our routes look in netlink messages, both ways.

use std::net::IpAddr;

use ringway_config::{Prefix, Routes as Numbers};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteProtocol, RouteScope, RouteType,
};

use super::difference::{Hop, Route};
use super::{TUNNEL_METRIC, UNREACHABLE_METRIC};

/// Asks a dump for our routes of one family.
pub(super) fn filter(numbers: &Numbers, family: AddressFamily) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    // Tables above 255 do not fit the header.
    message.header.table = u8::try_from(numbers.table).unwrap_or_default();
    message.header.protocol = RouteProtocol::from(numbers.protocol);
    message
        .attributes
        .push(RouteAttribute::Table(numbers.table));
    message
}

/// The message that adds `route`, through interface `tun`.
pub(super) fn write(route: &Route, numbers: &Numbers, tun: Option<u32>) -> RouteMessage {
    let family = if route.prefix.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let mut message = filter(numbers, family);
    message.header.destination_prefix_length = route.prefix.len();
    message
        .attributes
        .push(RouteAttribute::Destination(RouteAddress::from(
            route.prefix.address(),
        )));
    message
        .attributes
        .push(RouteAttribute::Priority(route.metric()));
    match route.hop {
        Hop::Unreachable => {
            message.header.kind = RouteType::Unreachable;
            message.header.scope = RouteScope::Universe;
        }
        Hop::Tunnel { prefsrc, mtu } => {
            message.header.kind = RouteType::Unicast;
            message.header.scope = RouteScope::Link;
            message.attributes.extend(tun.map(RouteAttribute::Oif));
            message
                .attributes
                .extend(prefsrc.map(|own| RouteAttribute::PrefSource(own.into())));
            let metrics = mtu.map(|mtu| RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)]));
            message.attributes.extend(metrics);
        }
    }
    message
}

/// True if `message` is of our table and protocol.
pub(super) fn is_ours(message: &RouteMessage, numbers: &Numbers) -> bool {
    let table = find(message, |attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    table.unwrap_or(message.header.table.into()) == numbers.table
        && message.header.protocol == RouteProtocol::from(numbers.protocol)
}

/// The route that `message` says, if it is of a shape that [`write`] makes for interface `tun`.
pub(super) fn read(message: &RouteMessage, tun: Option<u32>) -> Option<Route> {
    let metric = find(message, |attribute| match attribute {
        RouteAttribute::Priority(metric) => Some(*metric),
        _ => None,
    });
    let hop = match (message.header.kind, metric?) {
        (RouteType::Unreachable, UNREACHABLE_METRIC) => Hop::Unreachable,
        (RouteType::Unicast, TUNNEL_METRIC) if leads_to(message, tun?) => Hop::Tunnel {
            prefsrc: prefsrc(message),
            mtu: mtu(message),
        },
        _ => return None,
    };
    Some(Route {
        prefix: prefix(message)?,
        hop,
    })
}

/// The destination; the kernel leaves out the address of a default route.
fn prefix(message: &RouteMessage) -> Option<Prefix> {
    let any = match message.header.address_family {
        AddressFamily::Inet => IpAddr::from([0; 4]),
        AddressFamily::Inet6 => IpAddr::from([0; 16]),
        _ => return None,
    };
    let address = find(message, |attribute| match attribute {
        RouteAttribute::Destination(address) => ip(address),
        _ => None,
    });
    Prefix::holding(
        address.unwrap_or(any),
        message.header.destination_prefix_length,
    )
}

fn prefsrc(message: &RouteMessage) -> Option<IpAddr> {
    find(message, |attribute| match attribute {
        RouteAttribute::PrefSource(address) => ip(address),
        _ => None,
    })
}

fn mtu(message: &RouteMessage) -> Option<u32> {
    let of = |metrics: &Vec<RouteMetric>| {
        metrics.iter().find_map(|metric| match metric {
            RouteMetric::Mtu(mtu) => Some(*mtu),
            _ => None,
        })
    };
    find(message, |attribute| match attribute {
        RouteAttribute::Metrics(metrics) => of(metrics),
        _ => None,
    })
}

/// Straight to the device, without a next hop.
fn leads_to(message: &RouteMessage, device: u32) -> bool {
    let has_hop = |attribute: &RouteAttribute| {
        matches!(
            attribute,
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) | RouteAttribute::MultiPath(_)
        )
    };
    message.attributes.contains(&RouteAttribute::Oif(device))
        && !message.attributes.iter().any(has_hop)
}

fn find<T>(message: &RouteMessage, wanted: impl Fn(&RouteAttribute) -> Option<T>) -> Option<T> {
    message.attributes.iter().find_map(wanted)
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}
