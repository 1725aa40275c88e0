//! [`Packet`]: one IP packet, and the changes that the way may make to it, checksums mended.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use super::checksum;

/// RFC 9293.
const TCP: u8 = 6;
/// RFC 768.
const UDP: u8 = 17;
/// Header of an IPv6 packet (RFC 8200).
const V6_HEADER: usize = 40;

/// A whole IPv4 or IPv6 packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    bytes: Vec<u8>,
}

/// Which of its two addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The sender's.
    Source,
    /// The receiver's.
    Destination,
}

/// A TCP or UDP header that follows the IP header directly, in a packet that is no fragment.
#[derive(Debug, Clone, Copy)]
struct Transport {
    protocol: u8,
    at: usize,
}

impl Packet {
    /// `None` if the header contradicts the length: a TUN device gives no such packet.
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

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// True if it is IPv4.
    pub fn is_v4(&self) -> bool {
        self.bytes[0] >> 4 == 4
    }

    /// Bytes of its IP header, without IPv6 extension headers.
    pub fn header_len(&self) -> usize {
        if self.is_v4() {
            usize::from(self.bytes[0] & 15) * 4
        } else {
            V6_HEADER
        }
    }

    /// The address of `side`.
    pub fn address(&self, side: Side) -> IpAddr {
        let range = self.address_range(side);
        match <[u8; 16]>::try_from(&self.bytes[range.clone()]) {
            Ok(v6) => Ipv6Addr::from(v6).into(),
            Err(_) => {
                let [a, b, c, d] = [0, 1, 2, 3].map(|n| self.bytes[range.start + n]);
                Ipv4Addr::new(a, b, c, d).into()
            }
        }
    }

    /// Address, port and protocol number of `side`, of whole TCP and UDP packets.
    pub fn socket(&self, side: Side) -> Option<(u8, SocketAddr)> {
        let Transport { protocol, at } = self.transport()?;
        let at = port_at(at, side);
        let port = u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]]);
        Some((protocol, SocketAddr::new(self.address(side), port)))
    }

    /// Puts `address`, of its own family, in the place of `side`'s.
    pub fn readdress(&mut self, side: Side, address: IpAddr) {
        let octets = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let range = self.address_range(side);
        assert_eq!(
            range.len(),
            octets.len(),
            "an address of the packet's family"
        );
        let before = self.bytes[range.clone()].to_vec();
        self.bytes[range].copy_from_slice(&octets);
        if self.is_v4() {
            self.update_checksum(10, &before, &octets);
        }
        self.update_transport_checksum(&before, &octets);
    }

    /// Puts `socket` in the place of `side`'s, of a whole TCP or UDP packet.
    pub fn redirect(&mut self, side: Side, socket: SocketAddr) {
        self.readdress(side, socket.ip());
        let Some(Transport { at, .. }) = self.transport() else {
            return;
        };
        let at = port_at(at, side);
        let before = [self.bytes[at], self.bytes[at + 1]];
        let after = socket.port().to_be_bytes();
        self.bytes[at..at + 2].copy_from_slice(&after);
        self.update_transport_checksum(&before, &after);
    }

    /// Flips bit `number` (modulo their count) of what UDP or TCP carries; the checksum does not show it. False
    /// if there is nothing to flip.
    pub fn flip(&mut self, number: u64) -> bool {
        let Some(body) = self.body().filter(|body| !body.is_empty()) else {
            return false;
        };
        let bit = number % (body.len() as u64 * 8);
        let at = body.start + (bit / 8) as usize;
        // The checksum counts words from the start of the transport header, which lies at an even offset.
        let word = at & !1;
        let pair = |bytes: &[u8]| [bytes[word], bytes.get(word + 1).copied().unwrap_or(0)];
        let before = pair(&self.bytes);
        self.bytes[at] ^= 1 << (bit % 8);
        let after = pair(&self.bytes);
        self.update_transport_checksum(&before, &after);
        true
    }

    /// True if it is IPv4 and routers may cut it.
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

    /// More fragments, or an offset (RFC 791).
    fn is_fragment(&self) -> bool {
        self.is_v4() && u16::from_be_bytes([self.bytes[6], self.bytes[7]]) & 0x3fff != 0
    }

    fn transport(&self) -> Option<Transport> {
        let (protocol, at) = (
            self.bytes[if self.is_v4() { 9 } else { 6 }],
            self.header_len(),
        );
        let header = match protocol {
            TCP => 20,
            UDP => 8,
            _ => return None,
        };
        (!self.is_fragment() && self.bytes.len() >= at + header)
            .then_some(Transport { protocol, at })
    }

    /// Where that lies what TCP or UDP carries.
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
        match self.transport() {
            Some(Transport { protocol: TCP, at }) => self.update_checksum(at + 16, before, after),
            // 0 says that there is no checksum (RFC 768); a sum of 0 is sent as its twin.
            Some(Transport { at, .. }) if self.bytes[at + 6..at + 8] != [0, 0] => {
                self.update_checksum(at + 6, before, after);
                if self.bytes[at + 6..at + 8] == [0, 0] {
                    self.bytes[at + 6..at + 8].copy_from_slice(&[0xff, 0xff]);
                }
            }
            _ => {}
        }
    }

    /// Mends the checksum at `at`.
    fn update_checksum(&mut self, at: usize, before: &[u8], after: &[u8]) {
        let old = u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]]);
        self.bytes[at..at + 2]
            .copy_from_slice(&checksum::updated(old, before, after).to_be_bytes());
    }
}

fn port_at(transport: usize, side: Side) -> usize {
    if side == Side::Source {
        transport
    } else {
        transport + 2
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A UDP packet with right checksums.
    pub(crate) fn udp(from: &str, to: &str, body: &[u8]) -> Packet {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
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
            _ => panic!("two families"),
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
        Packet::new([header, datagram].concat()).expect("a sane packet")
    }

    /// True if both checksums of a UDP packet are right.
    pub(crate) fn is_sound(packet: &Packet) -> bool {
        let (bytes, at) = (packet.bytes(), packet.header_len());
        let addresses = if packet.is_v4() { 12 } else { 8 };
        let len = ((bytes.len() - at) as u16).to_be_bytes();
        let pseudo = [&bytes[addresses..at], &[0, UDP], &len, &bytes[at..]].concat();
        let header = !packet.is_v4() || checksum::sum(&bytes[..at]) == 0xffff;
        header && checksum::sum(&pseudo) == 0xffff
    }

    #[test]
    fn changed_addresses_and_ports_leave_right_checksums() {
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
    fn a_flipped_bit_changes_the_body_only_and_no_checksum_tells() {
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
    fn what_contradicts_its_length_is_no_packet() {
        let whole = udp("192.0.2.1:1", "192.0.2.2:2", b"body").bytes().to_vec();
        assert!(Packet::new(whole[..whole.len() - 1].to_vec()).is_none());
        assert!(Packet::new(Vec::new()).is_none() && Packet::new(vec![0x45]).is_none());
    }
}
