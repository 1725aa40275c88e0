//! A router's answer to a packet that is longer than the next link's MTU: "fragmentation needed"
//! (RFC 1191, 4) and "packet too big" (RFC 4443, 3.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum;
use super::packet::{Packet, Side};

/// Source addresses of the emulator's own packets (RFC 5737, RFC 3849).
const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0xfe);

/// Protocol numbers.
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Most bytes of the packet that are quoted: the answer has at most 576 bytes (RFC 1812, 4.3.2.3).
const V4_QUOTE: usize = 576 - 28;
/// In IPv6, the answer fits into the smallest MTU (RFC 4443, 2.4).
const V6_QUOTE: usize = 1280 - 48;

/// The message to the sender of `packet` that only `mtu` bytes pass.
pub fn too_big(packet: &Packet, mtu: u16) -> Option<Packet> {
    match packet.address(Side::Source) {
        IpAddr::V4(to) => too_big_v4(packet, to, mtu),
        IpAddr::V6(to) => too_big_v6(packet, to, mtu),
    }
}

fn too_big_v4(packet: &Packet, to: Ipv4Addr, mtu: u16) -> Option<Packet> {
    let quote = &packet.bytes()[..packet.bytes().len().min(V4_QUOTE)];
    let [high, low] = mtu.to_be_bytes();
    let mut message = [&[3, 4, 0, 0, 0, 0, high, low], quote].concat();
    let sum = !checksum::sum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());

    let mut header = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, ICMP, 0, 0];
    header[2..4].copy_from_slice(&(20 + message.len() as u16).to_be_bytes());
    header.extend([V4.octets(), to.octets()].concat());
    let sum = !checksum::sum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    Packet::new([header, message].concat())
}

fn too_big_v6(packet: &Packet, to: Ipv6Addr, mtu: u16) -> Option<Packet> {
    let quote = &packet.bytes()[..packet.bytes().len().min(V6_QUOTE)];
    let [high, low] = mtu.to_be_bytes();
    let mut message = [&[2, 0, 0, 0, 0, 0, high, low], quote].concat();

    // ICMPv6's checksum covers a pseudo-header (RFC 8200, 8.1).
    let len = (message.len() as u16).to_be_bytes();
    let addresses = [V6.octets(), to.octets()].concat();
    let sum = !checksum::sum(&[&addresses[..], &[0, ICMPV6], &len, &message].concat());
    message[2..4].copy_from_slice(&sum.to_be_bytes());

    let header = [0x60, 0, 0, 0, len[0], len[1], ICMPV6, 64];
    Packet::new([&header[..], &addresses, &message].concat())
}

#[cfg(test)]
mod tests {
    use super::super::packet::tests::udp;
    use super::*;

    #[test]
    fn the_message_goes_to_the_sender_with_the_mtu_and_a_quote() {
        for (from, to, header) in [
            ("192.0.2.1:1", "192.0.2.2:2", 20),
            ("[2001:db8::1]:1", "[2001:db8::2]:2", 40),
        ] {
            let packet = udp(from, to, &[7; 1400]);
            let message = too_big(&packet, 1280).unwrap();
            assert_eq!(
                message.address(Side::Destination),
                packet.address(Side::Source)
            );
            let icmp = &message.bytes()[header..];
            assert_eq!(icmp[6..8], 1280u16.to_be_bytes());
            assert!(packet.bytes().starts_with(&icmp[8..]));
        }
    }

    #[test]
    fn both_checksums_of_an_ipv4_message_are_right() {
        let packet = udp("192.0.2.1:1", "192.0.2.2:2", &[7; 1400]);
        let message = too_big(&packet, 1280).unwrap();
        let (header, icmp) = message.bytes().split_at(20);
        assert_eq!(checksum::sum(header), 0xffff);
        assert_eq!(checksum::sum(icmp), 0xffff);
    }
}
