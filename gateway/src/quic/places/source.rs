//! [`Source`]: the origin of a handshake, for the sharing of places.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address and its network, where everything that one host can use counts as one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    /// An IPv4 address, or the /64 of an IPv6 one: a host has a whole /64.
    pub(super) address: IpAddr,
    /// The /24 or /48: what one customer usually gets.
    pub(super) network: IpAddr,
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Source {
        match address.to_canonical() {
            IpAddr::V4(v4) => Source {
                address: v4.into(),
                network: Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << 8)).into(),
            },
            // A host may use every address of its /64 (RFC 8981).
            IpAddr::V6(v6) => Source {
                address: Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
                network: Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 80)).into(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_a_24_or_a_48_and_a_64_is_one_address() {
        let source = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());

        assert_eq!(source("192.0.2.1").network, source("192.0.2.255").network);
        assert_ne!(source("192.0.2.1").network, source("192.0.3.1").network);
        assert_ne!(source("192.0.2.1").address, source("192.0.2.2").address);
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));

        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:3::"));
        let other = source("2001:db8:1:3::1");
        assert_ne!(source("2001:db8:1:2::1").address, other.address);
        assert_eq!(source("2001:db8:1:2::1").network, other.network);
        assert_ne!(source("2001:db8:2::1").network, other.network);
    }
}
