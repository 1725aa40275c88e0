//! [`Packet`]: one IP packet, and changes to it that keep its checksums right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use super::checksum;

/// Protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Bytes of an IPv6 header (RFC 8200, 3).
const V6_HEADER: usize = 40;

/// A whole IPv4 or IPv6 packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    bytes: Vec<u8>,
}

/// One of a packet's two addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The sender's address.
    Source,
    /// The receiver's address.
    Destination,
}

/// A TCP or UDP header directly after the IP header of an unfragmented packet.
#[derive(Debug, Clone, Copy)]
struct Transport {
    protocol: u8,
    /// Offset of the header in the packet.
    at: usize,
}

impl Packet {
    /// `None` if the length in the header is not that of `bytes`. A TUN device never returns that.
    pub fn new(bytes: Vec<u8>) -> Option<Packet> {
        let len = match bytes.first()? >> 4 {
            4 => {
                let header = usize::from(bytes[0] & 15) * 4;
                let total = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
                (header >= 20 && total >= header).then_some(total)?
            }
            6 => V6_HEADER + usize::from(u16::from_be_bytes([*bytes.get(4)?, *bytes.get(5)?])),
            _ => return None,
        };
        (bytes.len() == len).then_some(Packet { bytes })
    }

    /// The packet's bytes, from the IP header on.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// True if it is IPv4.
    pub fn is_v4(&self) -> bool {
        self.bytes[0] >> 4 == 4
    }

    /// Length of the IP header in bytes, without IPv6 extension headers.
    pub fn header_len(&self) -> usize {
        if self.is_v4() {
            usize::from(self.bytes[0] & 15) * 4
        } else {
            V6_HEADER
        }
    }

    /// The address of `side`.
    pub fn address(&self, side: Side) -> IpAddr {
        let octets = &self.bytes[self.address_range(side)];
        match *octets {
            [a, b, c, d] => Ipv4Addr::new(a, b, c, d).into(),
            _ => {
                let octets: [u8; 16] = octets.try_into().expect("an IPv6 address has 16 octets");
                Ipv6Addr::from(octets).into()
            }
        }
    }

    /// Protocol number, address and port of `side`; `None` for other protocols and fragments.
    pub fn socket(&self, side: Side) -> Option<(u8, SocketAddr)> {
        let transport = self.transport()?;
        let at = port_offset(transport.at, side);
        let port = u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]]);
        Some((
            transport.protocol,
            SocketAddr::new(self.address(side), port),
        ))
    }

    /// Replaces the address of `side` by `address`, which has the same family.
    pub fn readdress(&mut self, side: Side, address: IpAddr) {
        let octets = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let range = self.address_range(side);
        assert_eq!(
            range.len(),
            octets.len(),
            "the address is of the other family"
        );

        let before = self.bytes[range.clone()].to_vec();
        self.bytes[range].copy_from_slice(&octets);
        if self.is_v4() {
            self.update_checksum(10, &before, &octets);
        }
        self.update_transport_checksum(&before, &octets);
    }

    /// Replaces address and port of `side`; of a packet without ports only the address.
    pub fn redirect(&mut self, side: Side, socket: SocketAddr) {
        self.readdress(side, socket.ip());
        let Some(transport) = self.transport() else {
            return;
        };

        let at = port_offset(transport.at, side);
        let before = [self.bytes[at], self.bytes[at + 1]];
        let after = socket.port().to_be_bytes();
        self.bytes[at..at + 2].copy_from_slice(&after);
        self.update_transport_checksum(&before, &after);
    }

    /// Flips bit `number`, modulo their count, of the payload of UDP or TCP, and adjusts the
    /// checksum. Returns false if there is no payload.
    pub fn flip(&mut self, number: u64) -> bool {
        let Some(body) = self.body().filter(|body| !body.is_empty()) else {
            return false;
        };
        let bit = number % (body.len() as u64 * 8);
        let at = body.start + (bit / 8) as usize;

        // The checksum is over words of two bytes from the start of the transport header, which has
        // an even offset.
        let word = at & !1;
        let before = self.word(word);
        self.bytes[at] ^= 1 << (bit % 8);
        let after = self.word(word);
        self.update_transport_checksum(&before, &after);
        true
    }

    /// Two bytes from the offset `at`; zero stands for a byte after the end (RFC 1071, 1).
    fn word(&self, at: usize) -> [u8; 2] {
        [self.bytes[at], self.bytes.get(at + 1).copied().unwrap_or(0)]
    }

    /// True if a router may fragment it: IPv4 without Don't Fragment.
    pub fn may_be_fragmented(&self) -> bool {
        self.is_v4() && self.bytes[6] & 0x40 == 0
    }

    fn address_range(&self, side: Side) -> Range<usize> {
        match (self.is_v4(), side) {
            (true, Side::Source) => 12..16,
            (true, Side::Destination) => 16..20,
            (false, Side::Source) => 8..24,
            (false, Side::Destination) => 24..40,
        }
    }

    fn is_fragment(&self) -> bool {
        // "More fragments", or an offset other than 0 (RFC 791, 3.1).
        self.is_v4() && u16::from_be_bytes([self.bytes[6], self.bytes[7]]) & 0x3fff != 0
    }

    fn transport(&self) -> Option<Transport> {
        let protocol = self.bytes[if self.is_v4() { 9 } else { 6 }];
        let at = self.header_len();
        let header = match protocol {
            TCP => 20,
            UDP => 8,
            _ => return None,
        };
        (!self.is_fragment() && self.bytes.len() >= at + header)
            .then_some(Transport { protocol, at })
    }

    /// The payload of TCP or UDP.
    fn body(&self) -> Option<Range<usize>> {
        let Transport { protocol, at } = self.transport()?;
        let header = if protocol == TCP {
            usize::from(self.bytes[at + 12] >> 4) * 4
        } else {
            8
        };
        (self.bytes.len() >= at + header).then_some(at + header..self.bytes.len())
    }

    fn update_transport_checksum(&mut self, before: &[u8], after: &[u8]) {
        let Some(transport) = self.transport() else {
            return;
        };
        if transport.protocol == TCP {
            self.update_checksum(transport.at + 16, before, after);
            return;
        }

        // In UDP, 0 means that there is no checksum, and a sum of 0 is sent as 0xffff, which is the
        // same number in ones' complement (RFC 768).
        let at = transport.at + 6;
        if self.bytes[at..at + 2] != [0, 0] {
            self.update_checksum(at, before, after);
            if self.bytes[at..at + 2] == [0, 0] {
                self.bytes[at..at + 2].fill(0xff);
            }
        }
    }

    /// Updates the checksum at the offset `at` after `before` was replaced by `after`.
    fn update_checksum(&mut self, at: usize, before: &[u8], after: &[u8]) {
        let old = u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]]);
        self.bytes[at..at + 2]
            .copy_from_slice(&checksum::updated(old, before, after).to_be_bytes());
    }
}

fn port_offset(transport: usize, side: Side) -> usize {
    match side {
        Side::Source => transport,
        Side::Destination => transport + 2,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A UDP packet with right checksums.
    pub(crate) fn udp(from: &str, to: &str, body: &[u8]) -> Packet {
        let from: SocketAddr = from.parse().unwrap();
        let to: SocketAddr = to.parse().unwrap();
        let len = (8 + body.len()) as u16;
        let mut datagram = [
            from.port().to_be_bytes(),
            to.port().to_be_bytes(),
            len.to_be_bytes(),
            [0; 2],
        ]
        .concat();
        datagram.extend_from_slice(body);
        let mut header = match (from.ip(), to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut header = vec![0x45, 0, 0, 0, 0, 7, 0x40, 0, 64, UDP, 0, 0];
                header[2..4].copy_from_slice(&(20 + len).to_be_bytes());
                header.extend([from.octets(), to.octets()].concat());
                header
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let mut header = vec![0x60, 0, 0, 0, 0, 0, UDP, 64];
                header[4..6].copy_from_slice(&len.to_be_bytes());
                header.extend([from.octets(), to.octets()].concat());
                header
            }
            _ => panic!("the addresses are of two families"),
        };
        let addresses = if from.is_ipv4() { 12 } else { 8 };
        let pseudo = [
            &header[addresses..],
            &[0, UDP],
            &len.to_be_bytes(),
            &datagram,
        ]
        .concat();
        let sum = !checksum::sum(&pseudo);
        datagram[6..8].copy_from_slice(&sum.to_be_bytes());
        if from.is_ipv4() {
            let sum = !checksum::sum(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        Packet::new([header, datagram].concat()).expect("the lengths agree")
    }

    /// True if both checksums of a UDP packet are right.
    pub(crate) fn is_sound(packet: &Packet) -> bool {
        let bytes = packet.bytes();
        let at = packet.header_len();
        let addresses = if packet.is_v4() { 12 } else { 8 };
        let len = ((bytes.len() - at) as u16).to_be_bytes();
        let pseudo = [&bytes[addresses..at], &[0, UDP], &len, &bytes[at..]].concat();
        let header = !packet.is_v4() || checksum::sum(&bytes[..at]) == 0xffff;
        header && checksum::sum(&pseudo) == 0xffff
    }

    #[test]
    fn a_changed_address_and_port_leave_the_checksums_right() {
        for (from, to, new) in [
            ("192.0.2.1:4600", "198.51.100.2:4600", "203.0.113.9:61000"),
            (
                "[2001:db8::1]:4600",
                "[2001:db8::2]:4600",
                "[2001:db8:5::9]:61000",
            ),
        ] {
            let mut packet = udp(from, to, b"a body of odd length.");
            assert!(is_sound(&packet));
            packet.redirect(Side::Source, new.parse().unwrap());
            assert_eq!(
                packet.socket(Side::Source),
                Some((UDP, new.parse().unwrap()))
            );
            assert_eq!(
                packet.socket(Side::Destination),
                Some((UDP, to.parse().unwrap()))
            );
            assert!(is_sound(&packet));
        }
    }

    #[test]
    fn a_flipped_bit_changes_the_payload_and_leaves_the_checksums_right() {
        let whole = udp("192.0.2.1:1", "192.0.2.2:2", b"odd");
        for bit in 0..24 {
            let mut packet = whole.clone();
            assert!(packet.flip(bit));
            let changed = |at: &usize| packet.bytes()[*at] != whole.bytes()[*at];
            assert_eq!((28..31).filter(changed).count(), 1);
            assert_eq!((0..26).filter(changed).count(), 0);
            assert!(is_sound(&packet));
        }
        assert!(!udp("192.0.2.1:1", "192.0.2.2:2", b"").flip(0));
    }

    #[test]
    fn refuses_bytes_that_contradict_the_length_in_the_header() {
        let whole = udp("192.0.2.1:1", "192.0.2.2:2", b"body").bytes().to_vec();
        assert!(Packet::new(whole[..whole.len() - 1].to_vec()).is_none());
        assert!(Packet::new(Vec::new()).is_none() && Packet::new(vec![0x45]).is_none());
    }
}
