//! Ranges that no site may use, whether a file or an announcement claims them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Prefix;

/// First address, prefix length, and what to say of a prefix that overlaps the range (RFC 6890).
const V4: [(Ipv4Addr, u8, &str); 5] = [
    (
        Ipv4Addr::new(0, 0, 0, 0),
        8,
        "holds \"this network\" addresses",
    ),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "holds loopback addresses"),
    (
        Ipv4Addr::new(169, 254, 0, 0),
        16,
        "holds link-local addresses",
    ),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "holds multicast addresses"),
    (
        Ipv4Addr::new(240, 0, 0, 0),
        4,
        "holds reserved or broadcast addresses",
    ),
];

/// As [`V4`] (RFC 4291, sections 2.4 and 2.5.5).
const V6: [(Ipv6Addr, u8, &str); 5] = [
    (Ipv6Addr::UNSPECIFIED, 128, "holds unspecified addresses"),
    (Ipv6Addr::LOCALHOST, 128, "holds loopback addresses"),
    (
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0),
        96,
        "holds IPv4-mapped addresses",
    ),
    (
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0),
        10,
        "holds link-local addresses",
    ),
    (
        Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0),
        8,
        "holds multicast addresses",
    ),
];

/// Why no site may use `prefix`, such as `holds loopback addresses`; `None` if a site may.
pub fn bogon(prefix: &Prefix) -> Option<&'static str> {
    // The default route overlaps every range below, and deserves a clearer reason.
    if prefix.len() == 0 {
        return Some("is the default route");
    }

    let v4 = V4.map(|(address, len, what)| (IpAddr::from(address), len, what));
    let v6 = V6.map(|(address, len, what)| (IpAddr::from(address), len, what));
    for (address, len, what) in v4.into_iter().chain(v6) {
        // Any overlap counts: a wider prefix would attract the packets of the range too.
        if Prefix::holding(address, len).is_some_and(|range| range.overlaps(prefix)) {
            return Some(what);
        }
    }

    None
}

/// True for addresses that the Internet does not route: RFC 1918, RFC 4193, RFC 6598 and loopback.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        // RFC 1918; RFC 1122, section 3.2.1.3; RFC 6598, section 7.
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || is_shared(v4),
        // RFC 4193, section 3; RFC 4291, section 2.5.3.
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback(),
    }
}

/// True if every address of `prefix` is private in the sense of [`is_private`].
pub fn is_private_range(prefix: &Prefix) -> bool {
    // Prefixes are aligned: one that begins in a private range and is wider ends outside of all.
    is_private(prefix.address()) && is_private(prefix.last())
}

/// RFC 6598, section 7: 100.64.0.0/10.
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0xc0 == 0x40
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_ranges_that_every_host_has_or_that_are_reserved() {
        let why = |text: &str| bogon(&text.parse().unwrap());

        for bad in [
            "0.0.0.0/0",
            "::/0",
            "0.1.0.0/16",
            "127.0.0.0/8",
            "127.1.2.3/32",
            "169.254.7.0/24",
        ] {
            assert!(why(bad).is_some(), "{bad}");
        }
        for bad in [
            "224.0.0.0/24",
            "255.255.255.255/32",
            "128.0.0.0/1",
            "::/128",
            "::1/128",
            "::/64",
        ] {
            assert!(why(bad).is_some(), "{bad}");
        }
        for bad in ["::ffff:10.0.0.0/104", "fe80::/64", "ff02::/16", "8000::/1"] {
            assert!(why(bad).is_some(), "{bad}");
        }
        for good in [
            "10.0.0.0/8",
            "1.0.0.0/8",
            "203.0.113.0/24",
            "fd00::/8",
            "2001:db8::/32",
        ] {
            assert_eq!(why(good), None, "{good}");
        }
    }

    #[test]
    fn private_addresses_are_those_that_the_internet_does_not_route() {
        let private = |text: &str| is_private(text.parse().unwrap());
        for good in [
            "10.0.0.1",
            "172.31.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "fd00::1",
            "::1",
        ] {
            assert!(private(good), "{good}");
        }
        for bad in [
            "172.32.0.1",
            "100.128.0.1",
            "203.0.113.5",
            "2001:db8::1",
            "0.0.0.0",
            "::",
        ] {
            assert!(!private(bad), "{bad}");
        }
    }

    #[test]
    fn a_range_is_private_if_all_of_it_is() {
        let private = |text: &str| is_private_range(&text.parse().unwrap());
        for good in [
            "10.0.0.0/8",
            "10.1.2.0/24",
            "172.16.0.0/12",
            "100.64.0.0/10",
            "fd00::/8",
            "fc00::/7",
        ] {
            assert!(private(good), "{good}");
        }
        for bad in [
            "10.0.0.0/7",
            "172.0.0.0/8",
            "8.0.0.0/5",
            "192.168.0.0/15",
            "203.0.113.0/24",
            "2001:db8::/32",
            "fc00::/6",
        ] {
            assert!(!private(bad), "{bad}");
        }
    }
}
