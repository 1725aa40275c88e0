//! Our routes as netlink messages, in both directions.

use std::net::IpAddr;

use ringway_config::{Prefix, Routes as Numbers};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteProtocol, RouteScope, RouteType,
};

use super::difference::{Hop, Route};
use super::{DOWN_METRIC, Devices, TUNNEL_METRIC, UNREACHABLE_METRIC, down_protocol};

/// The request for a dump of our routes of one family.
pub(crate) fn filter(numbers: &Numbers, family: AddressFamily) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family;

    // Tables above 255 do not fit into the header, so the attribute names the table.
    message.header.table = u8::try_from(numbers.table).unwrap_or_default();

    message
        .attributes
        .push(RouteAttribute::Table(numbers.table));
    message
}

/// The message that adds `route`, through one of `devices`.
pub(super) fn write(route: &Route, numbers: &Numbers, devices: Devices) -> RouteMessage {
    let family = if route.prefix.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let destination = RouteAddress::from(route.prefix.address());

    let mut message = filter(numbers, family);
    message.header.destination_prefix_length = route.prefix.len();
    message.header.protocol = RouteProtocol::from(protocol(route.hop, numbers));
    message.attributes.extend([
        RouteAttribute::Destination(destination),
        RouteAttribute::Priority(route.metric()),
    ]);

    match route.hop {
        Hop::Unreachable => {
            message.header.kind = RouteType::Unreachable;
            message.header.scope = RouteScope::Universe;
        }
        Hop::Tunnel { prefsrc, mtu } => {
            message.header.kind = RouteType::Unicast;
            // Like ip-route(8) for a route without a next hop.
            message.header.scope = RouteScope::Link;

            let source = prefsrc.map(|source| RouteAttribute::PrefSource(source.into()));
            let metrics = mtu.map(|mtu| RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)]));

            // Only `purge` has no device, and it adds no routes.
            let oif = devices.tun.map(RouteAttribute::Oif);
            message.attributes.extend(oif);
            message.attributes.extend(source);
            message.attributes.extend(metrics);
        }
        Hop::Down { prefsrc } | Hop::WireGuard { prefsrc } => {
            message.header.kind = RouteType::Unicast;
            message.header.scope = RouteScope::Link;

            let device = match route.hop {
                Hop::WireGuard { .. } => devices.wireguard,
                _ => devices.tun,
            };
            let source = prefsrc.map(|source| RouteAttribute::PrefSource(source.into()));
            message.attributes.extend(device.map(RouteAttribute::Oif));
            message.attributes.extend(source);
        }
    }
    message
}

fn protocol(hop: Hop, numbers: &Numbers) -> u8 {
    match hop {
        Hop::Tunnel { .. } | Hop::WireGuard { .. } | Hop::Unreachable => numbers.protocol,
        Hop::Down { .. } => down_protocol(numbers),
    }
}

/// True if `message` is of our table.
pub(crate) fn is_of_table(message: &RouteMessage, numbers: &Numbers) -> bool {
    let table = find(message, |attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });

    // The header holds numbers up to 255; a higher one is in the attribute.
    table.unwrap_or(message.header.table.into()) == numbers.table
}

/// True if `message` is of our table and protocols.
pub(crate) fn is_ours(message: &RouteMessage, numbers: &Numbers) -> bool {
    is_of_table(message, numbers)
        && [numbers.protocol, down_protocol(numbers)]
            .map(RouteProtocol::from)
            .contains(&message.header.protocol)
}

/// The route in `message`, if it has the form that [`write`] gives it for `devices`.
pub(super) fn read(message: &RouteMessage, numbers: &Numbers, devices: Devices) -> Option<Route> {
    let is_on = |device: Option<u32>| device.is_some_and(|device| is_on_link(message, device));
    let hop = match (message.header.kind, metric(message)?) {
        (RouteType::Unreachable, UNREACHABLE_METRIC) => Hop::Unreachable,
        (RouteType::Unicast, TUNNEL_METRIC) if is_on(devices.tun) => Hop::Tunnel {
            prefsrc: prefsrc(message),
            mtu: mtu(message),
        },
        (RouteType::Unicast, TUNNEL_METRIC)
            if is_on(devices.wireguard) && mtu(message).is_none() =>
        {
            Hop::WireGuard {
                prefsrc: prefsrc(message),
            }
        }
        (RouteType::Unicast, DOWN_METRIC) if is_on(devices.tun) && mtu(message).is_none() => {
            Hop::Down {
                prefsrc: prefsrc(message),
            }
        }
        // Ours, but of another version or an earlier TUN: it will be removed.
        _ => return None,
    };

    // With the other protocol number, it would look live while no tunnel is up, or the reverse.
    let is_right = message.header.protocol == RouteProtocol::from(protocol(hop, numbers));
    is_right.then_some(Route {
        prefix: prefix(message)?,
        hop,
    })
}

pub(crate) fn metric(message: &RouteMessage) -> Option<u32> {
    find(message, |attribute| match attribute {
        RouteAttribute::Priority(metric) => Some(*metric),
        _ => None,
    })
}

/// The destination. The kernel leaves out the address of a default route.
pub(crate) fn prefix(message: &RouteMessage) -> Option<Prefix> {
    let unspecified = match message.header.address_family {
        AddressFamily::Inet => IpAddr::from([0; 4]),
        AddressFamily::Inet6 => IpAddr::from([0; 16]),
        _ => return None,
    };

    let address = find(message, |attribute| match attribute {
        RouteAttribute::Destination(address) => ip(address),
        _ => None,
    });

    Prefix::holding(
        address.unwrap_or(unspecified),
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
    let metrics = find(message, |attribute| match attribute {
        RouteAttribute::Metrics(metrics) => Some(metrics),
        _ => None,
    });

    metrics?.iter().find_map(|metric| match metric {
        RouteMetric::Mtu(mtu) => Some(*mtu),
        _ => None,
    })
}

/// True if the route leads to `device` without a next hop.
fn is_on_link(message: &RouteMessage, device: u32) -> bool {
    let has_next_hop = message.attributes.iter().any(|attribute| {
        matches!(
            attribute,
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) | RouteAttribute::MultiPath(_)
        )
    });

    !has_next_hop && message.attributes.contains(&RouteAttribute::Oif(device))
}

fn find<'m, T>(
    message: &'m RouteMessage,
    wanted: impl Fn(&'m RouteAttribute) -> Option<T>,
) -> Option<T> {
    message.attributes.iter().find_map(wanted)
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: Numbers = Numbers {
        table: 4600,
        protocol: 146,
        mark: 1,
    };
    const DEVICES: Devices = Devices {
        tun: Some(7),
        wireguard: Some(8),
    };

    fn routes() -> Vec<Route> {
        let tunnel = |prefsrc: Option<&str>, mtu| Hop::Tunnel {
            prefsrc: prefsrc.map(|source| source.parse().unwrap()),
            mtu,
        };
        let down = |prefsrc: Option<&str>| Hop::Down {
            prefsrc: prefsrc.map(|source| source.parse().unwrap()),
        };
        [
            ("10.2.0.0/16", Hop::Unreachable),
            ("fd00:2::/48", Hop::Unreachable),
            ("10.2.0.0/16", tunnel(Some("10.1.0.2"), Some(1440))),
            ("fd00:2::/48", tunnel(Some("fd00:1::2"), None)),
            ("0.0.0.0/0", tunnel(None, None)),
            ("10.2.0.0/16", down(Some("10.1.0.2"))),
            ("fd00:2::/48", down(None)),
            ("10.1.9.1/32", Hop::WireGuard { prefsrc: None }),
        ]
        .map(|(prefix, hop)| Route {
            prefix: prefix.parse().unwrap(),
            hop,
        })
        .into()
    }

    #[test]
    fn a_route_reads_back_as_it_was_written() {
        for route in routes() {
            let message = write(&route, &NUMBERS, DEVICES);
            assert!(is_ours(&message, &NUMBERS));
            assert_eq!(read(&message, &NUMBERS, DEVICES), Some(route));
        }
    }

    #[test]
    fn a_route_through_an_earlier_device_or_a_next_hop_is_of_unknown_form() {
        let tunnel = routes()[2];
        let earlier = Devices {
            tun: Some(6),
            ..DEVICES
        };
        assert_eq!(
            read(&write(&tunnel, &NUMBERS, earlier), &NUMBERS, DEVICES),
            None
        );

        let mut message = write(&tunnel, &NUMBERS, DEVICES);
        let gateway = RouteAddress::from(IpAddr::from([10, 1, 0, 1]));
        message.attributes.push(RouteAttribute::Gateway(gateway));
        assert_eq!(read(&message, &NUMBERS, DEVICES), None);
    }

    #[test]
    fn routes_of_another_table_or_protocol_are_not_ours() {
        let message = write(&routes()[0], &NUMBERS, DEVICES);
        let other_table = Numbers {
            table: 4601,
            ..NUMBERS
        };
        let other_protocol = Numbers {
            protocol: 148,
            ..NUMBERS
        };
        assert!(!is_ours(&message, &other_table));
        assert!(!is_ours(&message, &other_protocol));
    }
}
