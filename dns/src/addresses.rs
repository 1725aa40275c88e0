//! [`prefixes_in`]: the addresses in a record's data, for every type that has some.
//!
//! An organization may name only its own addresses. Otherwise its names could send a member's
//! clients anywhere: to their own metadata service, to their site, or to a third organization.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ringway_config::Prefix;

use crate::name::wire_len;
use crate::rdata::kind;
use crate::rdata::prefixes::items;
use crate::rdata::service::{check, key, params};

/// RFC 1035, section 3.4.2.
const WKS: u16 = 11;
/// RFC 2874; historic.
const A6: u16 = 38;
/// RFC 3123.
const APL: u16 = 42;
/// RFC 4025.
const IPSECKEY: u16 = 45;
/// RFC 6742: locators, which hosts use as the upper half of addresses.
const L32: u16 = 105;
const L64: u16 = 106;
/// RFC 8777.
const AMTRELAY: u16 = 260;

/// What `data` says about addresses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// Every address or range in the data; none in most types.
    Known(Vec<Prefix>),
    /// The data has addresses that cannot be read.
    Unreadable,
}

/// The addresses in the data of a record of `kind`.
pub(crate) fn prefixes_in(kind: u16, data: &[u8]) -> Addresses {
    let read = match kind {
        kind::A => v4(data).map(|address| vec![address]),
        kind::AAAA => v6(data).map(|address| vec![address]),
        WKS => data.get(..4).and_then(v4).map(|address| vec![address]),
        A6 => a6(data),
        APL => apl(data),
        IPSECKEY => relay(data.get(1).copied(), data.get(3..)),
        // RFC 8777, section 4.2: the kind shares its octet with the D bit.
        AMTRELAY => relay(data.get(1).map(|kind| kind & 0x7f), data.get(2..)),
        L32 => data.get(2..).and_then(v4).map(|address| vec![address]),
        L64 => data.get(2..).and_then(l64).map(|range| vec![range]),
        kind::SVCB | kind::HTTPS => hints(data),
        _ => Some(Vec::new()),
    };

    read.map_or(Addresses::Unreadable, Addresses::Known)
}

fn v4(bytes: &[u8]) -> Option<Prefix> {
    let octets: [u8; 4] = bytes.try_into().ok()?;
    Some(Prefix::host(Ipv4Addr::from(octets).into()))
}

fn v6(bytes: &[u8]) -> Option<Prefix> {
    let octets: [u8; 16] = bytes.try_into().ok()?;
    Some(Prefix::host(Ipv6Addr::from(octets).into()))
}

/// The range of a 64-bit locator.
fn l64(bytes: &[u8]) -> Option<Prefix> {
    let upper: [u8; 8] = bytes.try_into().ok()?;
    let mut octets = [0; 16];
    octets[..8].copy_from_slice(&upper);
    Prefix::holding(Ipv6Addr::from(octets).into(), 64)
}

/// RFC 2874, section 3.1: the number of bits that come from another name, then the others.
fn a6(data: &[u8]) -> Option<Vec<Prefix>> {
    let (bits, rest) = data.split_first()?;
    // Without the other name, what remains is no address yet.
    if *bits > 0 {
        return None;
    }
    Some(vec![v6(rest.get(..16)?)?])
}

/// RFC 3123, section 4.
fn apl(data: &[u8]) -> Option<Vec<Prefix>> {
    let mut prefixes = Vec::new();
    let mut read = 0;
    for item in items(data) {
        // Trailing zeros are left out.
        let address: IpAddr = match item.family {
            1 => Ipv4Addr::from(padded::<4>(item.address)?).into(),
            2 => Ipv6Addr::from(padded::<16>(item.address)?).into(),
            _ => return None,
        };
        prefixes.push(Prefix::holding(address, item.prefix_len)?);
        read += 4 + item.address.len();
    }

    (read == data.len()).then_some(prefixes)
}

fn padded<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let mut octets = [0; N];
    octets.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(octets)
}

/// RFC 4025, section 2.3, and RFC 8777, section 4.2.3, number the kinds of a gateway alike: 0 none,
/// 1 IPv4, 2 IPv6, 3 a name.
fn relay(kind: Option<u8>, rest: Option<&[u8]>) -> Option<Vec<Prefix>> {
    match kind? {
        1 => Some(vec![v4(rest?.get(..4)?)?]),
        2 => Some(vec![v6(rest?.get(..16)?)?]),
        0 | 3 => Some(Vec::new()),
        _ => None,
    }
}

/// RFC 9460, section 2.2: priority and target, then the parameters.
fn hints(data: &[u8]) -> Option<Vec<Prefix>> {
    let target = wire_len(data.get(2..)?).ok()?;
    let data = data.get(2 + target..)?;
    check(data).ok()?;

    let mut prefixes = Vec::new();
    for (key, value) in params(data) {
        match key {
            key::IPV4HINT => prefixes.extend(value.chunks(4).filter_map(v4)),
            key::IPV6HINT => prefixes.extend(value.chunks(16).filter_map(v6)),
            _ => {}
        }
    }
    Some(prefixes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(kind: u16, data: &[u8]) -> Vec<String> {
        match prefixes_in(kind, data) {
            Addresses::Known(prefixes) => prefixes.iter().map(Prefix::to_string).collect(),
            Addresses::Unreadable => panic!("type {kind} is unreadable"),
        }
    }

    #[test]
    fn finds_the_addresses_of_every_type_that_has_some() {
        let v6 = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 9).octets();
        let svcb = [
            &[0, 1, 1, b'x', 0][..],
            &[0, 3, 0, 2, 1, 187],
            &[0, 4, 0, 8, 10, 0, 0, 1, 10, 0, 0, 2],
            &[0, 6, 0, 16],
            &v6,
        ]
        .concat();
        let cases: [(u16, &[u8], &[&str]); 11] = [
            (kind::A, &[10, 0, 0, 1], &["10.0.0.1/32"]),
            (kind::AAAA, &v6, &["fd00:1::9/128"]),
            (
                kind::SVCB,
                &svcb,
                &["10.0.0.1/32", "10.0.0.2/32", "fd00:1::9/128"],
            ),
            (kind::HTTPS, &svcb[..5], &[]),
            (
                APL,
                &[0, 1, 8, 1, 10, 0, 1, 16, 0x82, 169, 254],
                &["10.0.0.0/8", "169.254.0.0/16"],
            ),
            (WKS, &[10, 0, 0, 1, 6, 0xff], &["10.0.0.1/32"]),
            (IPSECKEY, &[10, 1, 2, 10, 0, 0, 1, 9, 9], &["10.0.0.1/32"]),
            (IPSECKEY, &[10, 3, 2, 1, b'x', 0, 9], &[]),
            (AMTRELAY, &[10, 0x81, 10, 0, 0, 1], &["10.0.0.1/32"]),
            (L32, &[0, 10, 10, 0, 0, 1], &["10.0.0.1/32"]),
            (kind::TXT, b"\x0910.0.0.1", &[]),
        ];

        for (kind, data, expected) in cases {
            assert_eq!(known(kind, data), expected, "type {kind}");
        }
        let locator = [&[0, 10][..], &v6[..8]].concat();
        assert_eq!(known(L64, &locator), ["fd00:1::/64"]);
        assert_eq!(known(A6, &[&[0][..], &v6].concat()), ["fd00:1::9/128"]);
    }

    #[test]
    fn data_that_is_cut_or_of_another_family_is_unreadable() {
        let cases: [(u16, &[u8]); 6] = [
            (kind::SVCB, &[0, 1, 0, 0, 4, 0, 3, 10, 0, 0]),
            (APL, &[0, 3, 8, 1, 10]),
            (APL, &[0, 1, 8, 2, 10]),
            (AMTRELAY, &[10, 4, 1]),
            (IPSECKEY, &[10, 1, 2, 10]),
            (A6, &[64, 0, 0]),
        ];
        for (kind, data) in cases {
            assert_eq!(
                prefixes_in(kind, data),
                Addresses::Unreadable,
                "type {kind}"
            );
        }
    }
}
