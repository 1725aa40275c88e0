//! The answer of a router to a packet that is too big: RFC 1191, 4 and RFC 4443, 3.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum;
use super::packet::{Packet, Side};

/// The emulator speaks from these (RFC 5737, RFC 3849); nobody answers them.
const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0xfe);

/// RFC 1812, 4.3.2.3: as much of the packet as fits into 576 bytes.
const V4_QUOTE: usize = 576 - 28;
/// RFC 4443, 2.4: as much as fits into the smallest MTU.
const V6_QUOTE: usize = 1280 - 48;

/// What `packet`'s sender is told: that only `mtu` bytes pass.
pub fn too_big(packet: &Packet, mtu: u16) -> Option<Packet> {
    match packet.address(Side::Source) {
        IpAddr::V4(to) => v4(packet, to, mtu),
        IpAddr::V6(to) => v6(packet, to, mtu),
    }
}

fn v4(packet: &Packet, to: Ipv4Addr, mtu: u16) -> Option<Packet> {
    let quote = &packet.bytes()[..packet.bytes().len().min(V4_QUOTE)];
    let [high, low] = mtu.to_be_bytes();
    let mut message = [&[3, 4, 0, 0, 0, 0, high, low], quote].concat();
    let sum = !checksum::sum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut header = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0];
    header[2..4].copy_from_slice(&(20 + message.len() as u16).to_be_bytes());
    header.extend([V4.octets(), to.octets()].concat());
    let sum = !checksum::sum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    Packet::new([header, message].concat())
}

fn v6(packet: &Packet, to: Ipv6Addr, mtu: u16) -> Option<Packet> {
    let quote = &packet.bytes()[..packet.bytes().len().min(V6_QUOTE)];
    let [high, low] = mtu.to_be_bytes();
    let mut message = [&[2, 0, 0, 0, 0, 0, high, low], quote].concat();
    let len = (message.len() as u16).to_be_bytes();
    let addresses = [V6.octets(), to.octets()].concat();
    let sum = !checksum::sum(&[&addresses[..], &[0, 58], &len, &message].concat());
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let header = [0x60, 0, 0, 0, len[0], len[1], 58, 64];
    Packet::new([&header[..], &addresses, &message].concat())
}

#[cfg(test)]
mod tests {
    use super::super::packet::tests::udp;
    use super::*;

    #[test]
    fn the_sender_is_told_the_mtu_and_shown_its_packet() {
        for (from, to, header) in [
            ("192.0.2.1:1", "192.0.2.2:2", 20),
            ("[2001:db8::1]:1", "[2001:db8::2]:2", 40),
        ] {
            let packet = udp(from, to, &[7; 1400]);
            let told = too_big(&packet, 1280).unwrap();
            assert_eq!(
                told.address(Side::Destination),
                packet.address(Side::Source)
            );
            assert_eq!(told.bytes()[header + 6..header + 8], 1280u16.to_be_bytes());
            assert!(packet.bytes().starts_with(&told.bytes()[header + 8..]));
        }
        let told = too_big(&udp("192.0.2.1:1", "192.0.2.2:2", &[7; 1400]), 1280).unwrap();
        assert_eq!(
            (
                checksum::sum(&told.bytes()[..20]),
                checksum::sum(&told.bytes()[20..])
            ),
            (0xffff, 0xffff)
        );
    }
}
