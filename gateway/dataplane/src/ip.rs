//! Checks that a packet is one sane IP packet, and reads its addresses. Parsed or dropped, never
//! guessed.
//!
//! Owns the shape of a packet: version, lengths, options, extension headers, fragments, and
//! addresses that no tunnel carries. `admit` and `egress` check who may use an address. Checksums
//! are left to the kernel, which verifies them when the packet leaves the TUN device.
//!
//! Refused, because the checks of the two addresses would not hold for them:
//! * IPv4 source routes (RFC 791, section 3.1): the packet would go on to another destination;
//! * IPv6 routing headers with segments left (RFC 8200, section 4.4): likewise;
//! * the Home Address option (RFC 6275, section 6.3): it replaces the source.
//!
//! Fragments pass if their offsets are sane: they carry both addresses, and the packet filter
//! behind the TUN device reassembles before it looks at ports.

mod v4;
mod v6;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) use self::v6::FRAGMENT;
use crate::counters::DropReason;

/// The two addresses of a sane packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
}

/// The addresses of `packet`, if it is one IP packet as long as it says and nothing in it leads
/// past the checks of its addresses. Errors: [`DropReason::Malformed`], [`DropReason::Options`].
pub(crate) fn parse(packet: &[u8]) -> Result<Addresses, DropReason> {
    match packet.first().map(|first| first >> 4) {
        Some(4) => v4::parse(packet),
        Some(6) => v6::parse(packet),
        _ => Err(DropReason::Malformed),
    }
}

/// True for addresses that no tunnel carries in either direction, at any site: "this network",
/// loopback, link-local, multicast, reserved and broadcast (RFC 6890, tables 1 to 16), IPv6's
/// unspecified and loopback, IPv4-compatible and IPv4-mapped ones (RFC 4291, section 2.5.5).
pub(crate) fn is_never_carried(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_never_carried_v4(address),
        IpAddr::V6(address) => is_never_carried_v6(address),
    }
}

fn is_never_carried_v4(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];

    // 240/4 is reserved and ends in the limited broadcast address (RFC 1112, section 4).
    first == 0
        || first >= 240
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
}

fn is_never_carried_v6(address: Ipv6Addr) -> bool {
    let high = address.to_bits() >> 32;
    // ::/96 holds ::, ::1 and the IPv4-compatible addresses; ::ffff:0:0/96 the mapped ones.
    high == 0 || high == 0xffff || address.is_unicast_link_local() || address.is_multicast()
}

/// The big-endian u16 at `at`. A byte beyond the end counts as 0; callers have checked the length.
pub(crate) fn u16_at(packet: &[u8], at: usize) -> usize {
    byte_at(packet, at) << 8 | byte_at(packet, at + 1)
}

fn byte_at(packet: &[u8], at: usize) -> usize {
    packet.get(at).copied().map_or(0, usize::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn special_addresses_are_never_carried_and_their_neighbours_are() {
        let never = "0.0.0.0 0.1.2.3 127.0.0.1 127.255.255.255 169.254.0.1 224.0.0.1 \
                     239.255.255.255 240.0.0.1 255.255.255.255 \
                     :: ::1 ::7f00:1 ::ffff:10.0.0.1 fe80::1 febf::1 ff02::1";
        for address in never.split_whitespace() {
            assert!(is_never_carried(address.parse().unwrap()), "{address}");
        }
        let fine = "1.0.0.1 10.0.0.1 126.0.0.1 128.0.0.1 169.253.0.1 169.255.0.1 192.168.0.1 \
                    223.255.255.255 fd00::1 2001:db8::1 fec0::1 ::1:0:0:1 64:ff9b::1";
        for address in fine.split_whitespace() {
            assert!(!is_never_carried(address.parse().unwrap()), "{address}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(
            mut packet in proptest::collection::vec(any::<u8>(), 0..200), v6: bool, fit: bool,
        ) {
            if fit && packet.len() >= 40 {
                let len = packet.len() as u16;
                if v6 {
                    packet[0] = 0x60;
                    packet[4..6].copy_from_slice(&(len - 40).to_be_bytes());
                } else {
                    packet[0] = 0x40 | packet[0] & 0x0f;
                    packet[2..4].copy_from_slice(&len.to_be_bytes());
                }
            }
            let _ = parse(&packet);
        }
    }
}
