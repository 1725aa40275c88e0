//! [`Prefix`]: an IPv4 or IPv6 address range in CIDR form (RFC 4632, RFC 4291), without host bits.

use std::cmp::Ordering;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnetwork::IpNetwork;

use crate::address::address_in;

/// Why a text is not a prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Not an address, a slash and a length that the family has.
    #[error("{0:?} is not a prefix such as 10.1.0.0/16 or fd00:1::/48")]
    Syntax(String),
    /// Bits after the prefix length are set.
    #[error("{text} has host bits set; did you mean {meant}?")]
    HostBits {
        /// The text.
        text: String,
        /// The prefix that holds it.
        meant: Prefix,
    },
    /// An address alone, or one with a port.
    #[error("{text:?} is no prefix; write {meant} for that address alone")]
    Address {
        /// The text.
        text: String,
        /// The prefix that holds the address alone.
        meant: Prefix,
    },
}

/// An address range in CIDR form. Ordered by family (IPv4 first), then first address, then length.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix(IpNetwork);

impl Prefix {
    /// The prefix of `len` bits that holds `address`; `None` if the family has no such length.
    pub fn holding(address: IpAddr, len: u8) -> Option<Prefix> {
        // `IpNetwork` keeps host bits; its `network` is the first address.
        let network = IpNetwork::new(address, len).ok()?;
        Some(Prefix(IpNetwork::new(network.network(), len).ok()?))
    }

    /// The prefix that holds `address` alone (/32 or /128).
    pub fn host(address: IpAddr) -> Prefix {
        Prefix(IpNetwork::from(address))
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.0.ip()
    }

    /// The last address.
    pub fn last(&self) -> IpAddr {
        self.0.broadcast()
    }

    /// The prefix length in bits: 0 to 32, or 0 to 128.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a prefix length is no count of elements"
    )]
    pub fn len(&self) -> u8 {
        self.0.prefix()
    }

    /// True if the prefix holds one address alone.
    pub fn is_host(&self) -> bool {
        self.len() == if self.is_ipv4() { 32 } else { 128 }
    }

    /// True for IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.0.is_ipv4()
    }

    /// True if `address` lies in the range. Families never mix, mapped addresses included.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(address)
    }

    /// True if every address of `other` lies in this range.
    pub fn covers(&self, other: &Prefix) -> bool {
        // Prefixes are aligned: one that begins in a shorter one also ends in it.
        self.len() <= other.len() && self.contains(other.address())
    }

    /// True if the two ranges share an address (one covers the other).
    pub fn overlaps(&self, other: &Prefix) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// The narrower of two prefixes of which one covers the other: their common addresses.
    pub(crate) fn narrower(self, other: Prefix) -> Prefix {
        if self.len() < other.len() {
            other
        } else {
            self
        }
    }

    /// The parts of the range that have no address of `hole`: none, the range itself, or one for
    /// each bit by which `hole` is longer.
    pub fn without(self, hole: &Prefix) -> Vec<Prefix> {
        if hole.covers(&self) {
            return Vec::new();
        }
        if !self.covers(hole) {
            return vec![self];
        }

        let mut parts = Vec::new();
        let mut rest = self;
        while rest.len() < hole.len() {
            let [lower, upper] = rest.halves();
            let (with, without) = if lower.covers(hole) {
                (lower, upper)
            } else {
                (upper, lower)
            };
            parts.push(without);
            rest = with;
        }
        parts
    }

    /// The two prefixes that are one bit longer. Not to be asked of a single address.
    fn halves(&self) -> [Prefix; 2] {
        let len = self.len() + 1;
        let upper: IpAddr = match self.address() {
            IpAddr::V4(first) => {
                let bit = 1 << (32 - u32::from(len));
                Ipv4Addr::from_bits(first.to_bits() | bit).into()
            }
            IpAddr::V6(first) => {
                let bit = 1 << (128 - u32::from(len));
                Ipv6Addr::from_bits(first.to_bits() | bit).into()
            }
        };

        [self.address(), upper]
            .map(|address| Prefix::holding(address, len).expect("shorter than an address"))
    }

    /// The range as an [`IpNetwork`], for tables that are keyed by it.
    pub fn network(&self) -> IpNetwork {
        self.0
    }
}

impl Ord for Prefix {
    fn cmp(&self, other: &Self) -> Ordering {
        // Address first: a prefix follows all that cover it, which the sweep in `overlap` needs.
        match (&self.0, &other.0) {
            (IpNetwork::V4(a), IpNetwork::V4(b)) => {
                (a.ip().to_bits(), a.prefix()).cmp(&(b.ip().to_bits(), b.prefix()))
            }
            (IpNetwork::V6(a), IpNetwork::V6(b)) => {
                (a.ip().to_bits(), a.prefix()).cmp(&(b.ip().to_bits(), b.prefix()))
            }
            (IpNetwork::V4(_), IpNetwork::V6(_)) => Ordering::Less,
            (IpNetwork::V6(_), IpNetwork::V4(_)) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Prefix {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let Some((address, len)) = parse_parts(text) else {
            return Err(match address_in(text) {
                Some(address) if !text.contains('/') => PrefixError::Address {
                    text: text.into(),
                    meant: Prefix::host(address),
                },
                _ => PrefixError::Syntax(text.into()),
            });
        };
        let Some(meant) = Prefix::holding(address, len) else {
            return Err(PrefixError::Syntax(text.into()));
        };

        // Host bits are a typing error more often than not: 10.1.0.0/8 would claim all of 10/8.
        if meant.address() != address {
            return Err(PrefixError::HostBits {
                text: text.into(),
                meant,
            });
        }

        Ok(meant)
    }
}

/// Address and length, whether or not the family has that length.
pub(crate) fn parse_parts(text: &str) -> Option<(IpAddr, u8)> {
    let (address, len) = text.split_once('/')?;
    // `u8::from_str` alone would accept a plus sign.
    if !len.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }

    Some((address.parse().ok()?, len.parse().ok()?))
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn host_bits_are_refused_with_the_prefix_that_was_meant() {
        let error = "10.0.0.5/24".parse::<Prefix>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "10.0.0.5/24 has host bits set; did you mean 10.0.0.0/24?"
        );
    }

    #[test]
    fn refuses_what_is_no_prefix() {
        for bad in [
            "",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "::/129",
            "10.0.0/8",
            "x/8",
        ] {
            assert!(
                matches!(bad.parse::<Prefix>(), Err(PrefixError::Syntax(_))),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn an_address_is_refused_with_the_prefix_that_holds_it_alone() {
        for (text, meant) in [
            ("10.0.0.5", "10.0.0.5/32"),
            ("10.0.0.5:7050", "10.0.0.5/32"),
            ("fd00::5", "fd00::5/128"),
        ] {
            let error = text.parse::<Prefix>().unwrap_err();
            assert!(
                error
                    .to_string()
                    .ends_with(&format!("; write {meant} for that address alone")),
                "{error}"
            );
        }
    }

    #[test]
    fn overlap_is_nesting_in_one_family() {
        assert!(prefix("10.0.0.0/8").overlaps(&prefix("10.1.0.0/16")));
        assert!(prefix("fd00::/48").overlaps(&prefix("fd00::/48")));
        assert!(!prefix("10.0.0.0/9").overlaps(&prefix("10.128.0.0/9")));
        assert!(!prefix("0.0.0.0/0").overlaps(&prefix("::/0")));
    }
}
