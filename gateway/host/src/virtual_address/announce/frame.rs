//! Frames that claim or probe for an address. Pure.
//!
//! ```text
//!   Ethernet  to 6  from 6  type 2
//!   ARP       hardware 2  protocol 2  lengths 1 1  operation 2
//!             sender 6 4  target 6 4                                  (RFC 826)
//!   IPv6 40   type 1  code 1  checksum 2  flags 4  target 16  options (RFC 4861, section 4.3, 4.4)
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The broadcast address.
const EVERYBODY: [u8; 6] = [0xff; 6];

const ETHERNET: usize = 14;
const TYPE_ARP: [u8; 2] = [0x08, 0x06];
const TYPE_IPV6: [u8; 2] = [0x86, 0xdd];

/// Hardware type Ethernet, protocol IPv4, and the lengths of their addresses.
const ARP_HEAD: [u8; 6] = [0, 1, 8, 0, 6, 4];
const REQUEST: [u8; 2] = [0, 1];
const ARP: usize = 28;

const IPV6: usize = 40;
const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Type, code, checksum, flags and target.
const MESSAGE: usize = 24;

/// RFC 4861, section 4.4.
const ROUTER: u8 = 0x80;
const OVERRIDE: u8 = 0x20;
/// RFC 4861, section 4.6.1: the target's link-layer address, in units of eight bytes.
const TARGET_ADDRESS: [u8; 2] = [2, 1];

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// RFC 5227, section 2.3: a request with the address as sender and target.
pub(super) fn announcement(hardware: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    arp(hardware, address, address)
}

/// RFC 5227, section 2.1.1: a request without a sender's address.
pub(super) fn probe(hardware: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    arp(hardware, Ipv4Addr::UNSPECIFIED, address)
}

fn arp(hardware: [u8; 6], sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    [
        &EVERYBODY[..],
        &hardware,
        &TYPE_ARP,
        &ARP_HEAD,
        &REQUEST,
        &hardware,
        &sender.octets(),
        &[0; 6],
        &target.octets(),
    ]
    .concat()
}

/// RFC 4861, section 7.2.6: unsolicited, to all nodes, and overrides their caches.
pub(super) fn advertisement(hardware: [u8; 6], address: Ipv6Addr, is_router: bool) -> Vec<u8> {
    let flags = if is_router {
        OVERRIDE | ROUTER
    } else {
        OVERRIDE
    };
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
    message.extend(address.octets());
    message.extend(TARGET_ADDRESS);
    message.extend(hardware);

    icmpv6(hardware, address, ALL_NODES, message)
}

/// RFC 4862, section 5.4.2: from the unspecified address, without an option.
pub(super) fn solicitation(hardware: [u8; 6], address: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend(address.octets());

    // RFC 4291, section 2.7.1: the solicited-node multicast address.
    let [.., a, b, c] = address.octets();
    let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c];
    icmpv6(hardware, Ipv6Addr::UNSPECIFIED, group.into(), message)
}

fn icmpv6(hardware: [u8; 6], from: Ipv6Addr, to: Ipv6Addr, mut message: Vec<u8>) -> Vec<u8> {
    let [sum, more] = checksum(from, to, &message).to_be_bytes();
    message[2] = sum;
    message[3] = more;

    // RFC 2464, section 7.
    let [.., a, b, c, d] = to.octets();
    let group = [0x33, 0x33, a, b, c, d];
    let length = (message.len() as u16).to_be_bytes();
    // RFC 4861, section 7.1: a hop limit of 255 proves that no router has passed it on.
    let head = [0x60, 0, 0, 0, length[0], length[1], ICMPV6, 255];
    [
        &group[..],
        &hardware,
        &TYPE_IPV6,
        &head,
        &from.octets(),
        &to.octets(),
        &message,
    ]
    .concat()
}

/// RFC 8200, section 8.1, of a message with an even number of bytes.
fn checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let length = message.len() as u32;
    let all = [&from.octets(), &to.octets(), message].concat();
    let words = all
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));

    let mut sum = words.sum::<u32>() + length + u32::from(ICMPV6);
    // RFC 1071: the carry is added at the low end.
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The address that `frame` claims, and for whom; `None` if it claims none.
pub(super) fn holder(frame: &[u8]) -> Option<(IpAddr, [u8; 6])> {
    let (ethernet, rest) = frame.split_first_chunk::<ETHERNET>()?;
    let hardware = *ethernet[6..].first_chunk()?;

    match *ethernet.last_chunk()? {
        TYPE_ARP => holder_by_arp(rest),
        TYPE_IPV6 => Some((holder_by_advertisement(rest)?.into(), hardware)),
        _ => None,
    }
}

fn holder_by_arp(rest: &[u8]) -> Option<(IpAddr, [u8; 6])> {
    let arp: &[u8; ARP] = rest.first_chunk()?;
    let hardware = *arp[8..].first_chunk()?;
    let sender: [u8; 4] = *arp[14..].first_chunk()?;

    // A probe has no sender address.
    (arp.starts_with(&ARP_HEAD) && sender != [0; 4])
        .then_some((Ipv4Addr::from(sender).into(), hardware))
}

fn holder_by_advertisement(rest: &[u8]) -> Option<Ipv6Addr> {
    let (head, message) = rest.split_first_chunk::<IPV6>()?;
    let message: &[u8; MESSAGE] = message.first_chunk()?;
    let target: [u8; 16] = *message.last_chunk()?;

    // RFC 4861, section 7.1.2.
    let is_valid = head[6] == ICMPV6 && head[7] == 255 && message[0] == ADVERTISEMENT;
    is_valid.then_some(target.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: [u8; 6] = [2, 0, 0, 0, 0, 1];

    #[test]
    fn an_announcement_has_the_sender_as_owner_of_the_address_and_a_probe_has_none() {
        let v4 = Ipv4Addr::new(10, 1, 0, 250);
        let frame = announcement(US, v4);
        assert_eq!(frame.len(), ETHERNET + ARP);
        assert_eq!(holder(&frame), Some((v4.into(), US)));
        assert_eq!(holder(&probe(US, v4)), None);

        let v6: Ipv6Addr = "fd00:1::250".parse().unwrap();
        let frame = advertisement(US, v6, true);
        assert_eq!(holder(&frame), Some((v6.into(), US)));
        assert_eq!(frame[ETHERNET + IPV6 + 4], ROUTER | OVERRIDE);
        assert_eq!(holder(&solicitation(US, v6)), None);
    }

    #[test]
    fn a_message_with_its_checksum_sums_up_to_nothing() {
        let v6: Ipv6Addr = "fd00:1::250".parse().unwrap();
        for frame in [advertisement(US, v6, false), solicitation(US, v6)] {
            let message = &frame[ETHERNET + IPV6..];
            let address = |at: usize| {
                let octets: [u8; 16] = frame[ETHERNET + at..][..16].try_into().unwrap();
                Ipv6Addr::from(octets)
            };
            assert_eq!(checksum(address(8), address(24), message), 0);
        }
    }

    #[test]
    fn truncated_or_routed_frames_are_ignored() {
        let v6: Ipv6Addr = "fd00:1::250".parse().unwrap();
        for frame in [
            announcement(US, Ipv4Addr::new(10, 1, 0, 250)),
            advertisement(US, v6, true),
        ] {
            let least = frame.len().min(ETHERNET + IPV6 + MESSAGE);
            for length in 0..least {
                assert_eq!(holder(&frame[..length]), None, "{length} bytes");
            }
        }

        let mut routed = advertisement(US, v6, true);
        routed[ETHERNET + 7] = 254;
        assert_eq!(holder(&routed), None);
    }
}
