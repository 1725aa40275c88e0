//! [`Services`]: what one kind of site may open here: destinations, protocols, ports.

use std::collections::BTreeMap;

use ringway_config::{PortRange, Prefix, Service};

use crate::packet::{Bits, bits, is_extension, protocol};

/// What is asked of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Tcp(u16),
    Udp(u16),
    Echo,
    /// By its number; of the family's own ICMP, a message that is neither echo nor an error.
    Protocol(u8),
}

impl Wanted {
    /// All that can be wanted in one order, in which the ports of a protocol are neighbours: the
    /// kind above sixteen bits of port or number. So one comparison with each end of a range tells
    /// whether a packet is in it.
    #[inline(always)]
    fn order(self) -> u32 {
        let (kind, number): (u32, u16) = match self {
            Wanted::Tcp(port) => (1, port),
            Wanted::Udp(port) => (2, port),
            Wanted::Echo => (3, 0),
            Wanted::Protocol(number) => (4, number.into()),
        };
        kind << 16 | u32::from(number)
    }
}

/// Destinations of both families, and what is offered there.
#[derive(Default)]
pub(crate) struct Services {
    v4: Destinations,
    v6: Destinations,
}

/// One entry for each prefix length in use, the longest first: few, in any real policy.
#[derive(Default)]
struct Destinations {
    lengths: Vec<Length>,
    offers: Vec<Offer>,
}

struct Length {
    mask: Bits,
    /// Networks of this length in order.
    networks: Vec<Bits>,
    /// Where the offers of each lie.
    ranges: Vec<std::ops::Range<usize>>,
}

/// A service at a destination.
#[derive(Clone)]
pub(crate) struct Offer {
    /// The first and the last of what it offers, by [`Wanted::order`].
    first: u32,
    last: u32,
    /// Sources that it is for; empty for every address of the site.
    sources: Vec<Prefix>,
    /// Who offers it.
    pub(crate) rule: usize,
}

impl Offer {
    /// The offers of a service in one family.
    pub(crate) fn of(service: &Service, v6: bool, sources: &[Prefix], rule: usize) -> Vec<Offer> {
        let ranges = wanted_ranges(service, v6).into_iter();
        ranges
            .map(|(first, last)| Offer {
                first: first.order(),
                last: last.order(),
                sources: sources.to_vec(),
                rule,
            })
            .collect()
    }

    #[inline(always)]
    fn covers(&self, v6: bool, source: Bits, wanted: u32) -> bool {
        let is_offered = self.first <= wanted && wanted <= self.last;
        is_offered && (self.sources.is_empty() || contains(&self.sources, v6, source))
    }
}

/// What a service offers in one family: from the first to the last of each range.
fn wanted_ranges(service: &Service, v6: bool) -> Vec<(Wanted, Wanted)> {
    let own_icmp = if v6 { protocol::ICMPV6 } else { protocol::ICMP };

    match service {
        Service::Tcp(ports) => port_ranges(Wanted::Tcp, ports),
        Service::Udp(ports) => port_ranges(Wanted::Udp, ports),
        Service::Protocol(protocol::TCP) => port_ranges(Wanted::Tcp, &[]),
        Service::Protocol(protocol::UDP) => port_ranges(Wanted::Udp, &[]),
        Service::Icmp => vec![(Wanted::Echo, Wanted::Echo)],
        Service::Protocol(number) if can_be_named(v6, *number) => {
            let by_number = Wanted::Protocol(*number);
            let mut ranges = vec![(by_number, by_number)];
            // ICMP by number contains echo.
            if *number == own_icmp {
                ranges.push((Wanted::Echo, Wanted::Echo));
            }
            ranges
        }
        Service::Protocol(_) => Vec::new(),
    }
}

/// No ports at all stand for every port.
fn port_ranges(of: fn(u16) -> Wanted, ports: &[PortRange]) -> Vec<(Wanted, Wanted)> {
    if ports.is_empty() {
        return vec![(of(0), of(u16::MAX))];
    }

    let ports = ports.iter();
    ports
        .map(|range| (of(range.first), of(range.last)))
        .collect()
}

/// True for a protocol that a rule can allow by its number: neither a header that stands before
/// another one, nor the ICMP of the other family.
pub(crate) fn can_be_named(v6: bool, number: u8) -> bool {
    const NO_NEXT_HEADER: u8 = 59;
    let foreign_icmp = if v6 { protocol::ICMP } else { protocol::ICMPV6 };

    number != foreign_icmp && number != NO_NEXT_HEADER && !is_extension(number)
}

/// True if one of `prefixes` holds the address.
pub(crate) fn contains(prefixes: &[Prefix], v6: bool, address: Bits) -> bool {
    prefixes.iter().any(|prefix| {
        let (prefix_v6, first) = bits(prefix.address());
        prefix_v6 == v6 && address & mask(v6, prefix.len()) == first
    })
}

fn mask(v6: bool, len: u8) -> Bits {
    let width: u32 = if v6 { 128 } else { 32 };
    let all = Bits::MAX >> (128 - width);
    let host = Bits::MAX
        .checked_shr(128 - width + u32::from(len))
        .unwrap_or(0);
    all & !host
}

impl Services {
    /// Offers by destination. Where two cover the same packet, the first in the list counts.
    pub(crate) fn new(offers: Vec<(Prefix, Offer)>) -> Services {
        let (v4, v6) = offers.into_iter().partition(|(prefix, _)| prefix.is_ipv4());
        Services {
            v4: Destinations::new(false, v4),
            v6: Destinations::new(true, v6),
        }
    }

    /// The offer that covers what `source` wants of `destination`.
    #[inline(always)]
    pub(crate) fn find(
        &self,
        v6: bool,
        source: Bits,
        destination: Bits,
        wanted: Wanted,
    ) -> Option<&Offer> {
        let wanted = wanted.order();
        let destinations = if v6 { &self.v6 } else { &self.v4 };
        for length in &destinations.lengths {
            let network = destination & length.mask;
            // Networks of one length do not overlap: at most one holds the address.
            let Ok(at) = length.networks.binary_search(&network) else {
                continue;
            };

            let offers = &destinations.offers[length.ranges[at].clone()];
            if let Some(offer) = offers.iter().find(|offer| offer.covers(v6, source, wanted)) {
                return Some(offer);
            }
        }

        None
    }
}

impl Destinations {
    fn new(v6: bool, offers: Vec<(Prefix, Offer)>) -> Destinations {
        let mut by_length: BTreeMap<u8, BTreeMap<Bits, Vec<Offer>>> = BTreeMap::new();
        for (prefix, offer) in offers {
            let networks = by_length.entry(prefix.len()).or_default();
            networks
                .entry(bits(prefix.address()).1)
                .or_default()
                .push(offer);
        }

        let mut all = Destinations::default();
        for (len, networks) in by_length.into_iter().rev() {
            let mut length = Length {
                mask: mask(v6, len),
                networks: Vec::with_capacity(networks.len()),
                ranges: Vec::with_capacity(networks.len()),
            };
            for (network, offers) in networks {
                let start = all.offers.len();
                all.offers.extend(offers);
                length.networks.push(network);
                length.ranges.push(start..all.offers.len());
            }
            all.lengths.push(length);
        }

        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn services(list: &[(&str, Service, &[Prefix])]) -> Services {
        let mut offers = Vec::new();
        for (rule, (to, service, sources)) in list.iter().enumerate() {
            let to = prefix(to);
            for offer in Offer::of(service, !to.is_ipv4(), sources, rule) {
                offers.push((to, offer));
            }
        }
        Services::new(offers)
    }

    fn find(services: &Services, from: &str, to: &str, wanted: Wanted) -> Option<usize> {
        let (v6, source) = bits(from.parse().unwrap());
        let (_, destination) = bits(to.parse().unwrap());
        services
            .find(v6, source, destination, wanted)
            .map(|offer| offer.rule)
    }

    #[test]
    fn nested_destinations_are_all_looked_at() {
        let ports = |first, last| Service::Tcp(vec![PortRange { first, last }]);
        let services = services(&[
            ("10.1.0.0/16", ports(7050, 7054), &[]),
            ("10.1.0.9/32", ports(443, 443), &[]),
            ("0.0.0.0/0", Service::Udp(vec![]), &[]),
        ]);
        for (to, wanted, rule) in [
            ("10.1.0.9", Wanted::Tcp(7051), Some(0)),
            ("10.1.0.9", Wanted::Tcp(443), Some(1)),
            ("10.1.0.8", Wanted::Tcp(443), None),
            ("10.1.0.8", Wanted::Tcp(7049), None),
            ("10.1.0.8", Wanted::Tcp(7055), None),
            ("10.1.0.8", Wanted::Udp(0), Some(2)),
            ("10.9.0.8", Wanted::Echo, None),
        ] {
            assert_eq!(
                find(&services, "10.2.0.1", to, wanted),
                rule,
                "{to} {wanted:?}"
            );
        }
    }

    #[test]
    fn sources_are_checked_where_a_rule_names_them() {
        let only = [prefix("10.2.0.0/24"), prefix("fd02::/64")];
        let services = services(&[
            ("10.1.0.0/16", Service::Icmp, &only),
            ("::/0", Service::Icmp, &only),
        ]);
        let echo = Wanted::Echo;
        assert!(find(&services, "10.2.0.1", "10.1.0.1", echo).is_some());
        assert!(find(&services, "10.2.1.1", "10.1.0.1", echo).is_none());
        assert!(find(&services, "fd02::1", "fd01::1", echo).is_some());
        assert!(find(&services, "fd02:0:0:1::1", "fd01::1", echo).is_none());
    }

    #[test]
    fn a_protocol_that_none_can_name_is_never_offered() {
        for number in [
            0,
            43,
            44,
            51,
            59,
            60,
            135,
            139,
            140,
            253,
            254,
            protocol::ICMPV6,
        ] {
            assert!(Offer::of(&Service::Protocol(number), false, &[], 0).is_empty());
        }
        assert!(Offer::of(&Service::Protocol(protocol::ICMP), true, &[], 0).is_empty());
        assert_eq!(Offer::of(&Service::Protocol(47), true, &[], 0).len(), 1);
    }
}
