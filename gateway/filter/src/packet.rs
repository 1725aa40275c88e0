//! [`Packet`]: the parts of an IP packet that verdicts depend on. Parsed or dropped, never guessed.
//!
//! The shape is checked again here, although `admit` and `route` have looked at it: a verdict must
//! not depend on who was asked before. Left to them: IPv4 options, options within IPv6 headers, and
//! which addresses a tunnel may carry.

mod chain;
mod quote;
mod transport;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) use self::chain::is_extension;
pub(crate) use self::quote::{Quote, Quoted};
pub(crate) use self::transport::{Icmp, IcmpKind, TCP_HEADER, Tcp, Transport, tcp_flags};
use crate::verdict::Reason;

/// Protocol numbers (IANA).
pub(crate) mod protocol {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ICMPV6: u8 = 58;
}

const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;

/// An address: 32 bits of IPv4 or 128 of IPv6. Which of them is said beside it.
pub(crate) type Bits = u128;

/// What every packet has, and where its payload lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header<'p> {
    pub(crate) v6: bool,
    pub(crate) source: Bits,
    pub(crate) destination: Bits,
    /// The protocol behind all extension headers; of a later fragment, what its header says.
    pub(crate) protocol: u8,
    /// `None` for a whole packet, an atomic fragment (RFC 6946) included.
    pub(crate) fragment: Option<Fragment>,
    /// From the transport header on; of a later fragment, its data.
    pub(crate) payload: &'p [u8],
}

/// Which part of a packet a fragment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// Identification, with IPv4 beside the protocol.
    pub(crate) id: u32,
    /// Bytes of the fragmentable part before this one; 0 for the first fragment.
    pub(crate) offset: usize,
    /// Bytes of extension headers of the fragmentable part before the payload.
    pub(crate) skipped: usize,
}

impl Fragment {
    pub(crate) fn is_first(&self) -> bool {
        self.offset == 0
    }
}

impl<'p> Header<'p> {
    /// Reads `packet`, which must be as long as it says.
    #[inline(always)]
    pub(crate) fn parse(packet: &'p [u8]) -> Result<Header<'p>, Reason> {
        match packet.first().map(|first| first >> 4) {
            Some(4) => {
                if packet.len() < V4_HEADER || u16_at(packet, 2) != packet.len() {
                    return Err(Reason::Malformed);
                }
                parse_v4(packet)
            }
            Some(6) => {
                // A jumbogram (RFC 2675) has payload length 0 and fails here.
                if packet.len() < V6_HEADER || V6_HEADER + u16_at(packet, 4) != packet.len() {
                    return Err(Reason::Malformed);
                }
                chain::parse_v6(packet)
            }
            _ => Err(Reason::Malformed),
        }
    }

    pub(crate) fn source_address(&self) -> IpAddr {
        address(self.v6, self.source)
    }

    pub(crate) fn destination_address(&self) -> IpAddr {
        address(self.v6, self.destination)
    }
}

/// Reads the header of a packet of which the end may be missing.
#[inline(always)]
fn parse_v4(packet: &[u8]) -> Result<Header<'_>, Reason> {
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    // In an ICMP error only the front of the packet is there: the total length is compared with the
    // header's and not with what follows.
    if header_len < V4_HEADER || packet.len() < header_len || u16_at(packet, 2) < header_len {
        return Err(Reason::Malformed);
    }

    const MORE_FRAGMENTS: usize = 0x2000;
    const FRAGMENT_OFFSET: usize = 0x1fff;
    let field = u16_at(packet, 6);
    let is_fragment = field & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0;

    let fragment = Fragment {
        id: u32::from(u16::from_be_bytes([packet[4], packet[5]])),
        offset: (field & FRAGMENT_OFFSET) * 8,
        skipped: 0,
    };

    Ok(Header {
        v6: false,
        source: bits_v4(packet, 12),
        destination: bits_v4(packet, 16),
        protocol: packet[9],
        fragment: is_fragment.then_some(fragment),
        payload: &packet[header_len..],
    })
}

#[inline(always)]
fn bits_v4(packet: &[u8], at: usize) -> Bits {
    let octets = [packet[at], packet[at + 1], packet[at + 2], packet[at + 3]];
    Bits::from(u32::from_be_bytes(octets))
}

/// The big-endian u16 at `at`; the caller has checked the length.
#[inline(always)]
fn u16_at(packet: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]))
}

/// The bits of an address, and whether it is IPv6.
pub(crate) fn bits(address: IpAddr) -> (bool, Bits) {
    match address {
        IpAddr::V4(address) => (false, Bits::from(address.to_bits())),
        IpAddr::V6(address) => (true, address.to_bits()),
    }
}

/// The address of some bits.
pub(crate) fn address(v6: bool, bits: Bits) -> IpAddr {
    if v6 {
        Ipv6Addr::from_bits(bits).into()
    } else {
        Ipv4Addr::from_bits(bits as u32).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::craft::{self, v4, v6};

    #[test]
    fn lengths_must_agree() {
        for good in [
            v4("10.2.0.1", "10.1.0.1").udp(5, 7, b"x"),
            v6("fd02::1", "fd01::1").udp(5, 7, b"x"),
        ] {
            assert!(Header::parse(&good).is_ok());
            for bad in [
                good[..good.len() - 1].to_vec(),
                [&good[..], &[0]].concat(),
                vec![],
            ] {
                assert_eq!(Header::parse(&bad), Err(Reason::Malformed));
            }
        }
    }

    #[test]
    fn options_are_skipped_and_lengths_below_the_header_refused() {
        let mut packet = v4("10.2.0.1", "10.1.0.1").udp(5, 7, b"");
        packet.splice(20..20, [1, 1, 1, 0]);
        packet[0] = 0x46;
        craft::fix_length(&mut packet);
        let header = Header::parse(&packet).unwrap();
        assert_eq!(header.payload.len(), 8);

        packet[0] = 0x44;
        assert_eq!(Header::parse(&packet), Err(Reason::Malformed));
        packet[0] = 0x4f;
        assert_eq!(Header::parse(&packet), Err(Reason::Malformed));
    }

    #[test]
    fn a_fragment_says_which_one_it_is() {
        let whole = v4("10.2.0.1", "10.1.0.1").udp(5, 7, &[0; 40]);
        assert_eq!(Header::parse(&whole).unwrap().fragment, None);

        let [first, later] = craft::fragments(&whole, 9, 16);
        let fragment = Header::parse(&first).unwrap().fragment.unwrap();
        assert_eq!((fragment.id, fragment.offset), (9, 0));
        let fragment = Header::parse(&later).unwrap().fragment.unwrap();
        assert_eq!((fragment.id, fragment.offset), (9, 16));
    }
}
