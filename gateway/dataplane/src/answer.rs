//! [`Answer`]: what this gateway says to a host of its site in place of a peer that cannot be
//! reached. Pure.
//!
//! ```text
//!   TCP              ─► RST that the host accepts (RFC 9293, section 3.10.7.1)
//!   everything else  ─► destination unreachable (RFC 792, RFC 4443)
//!   RST, ICMP error, fragment, multicast ─► nothing (RFC 1122, section 3.2.2; RFC 4443, 2.4 (e))
//! ```
//! An answer bears the address that was written to. The TUN device would take an IPv4 packet with
//! an address of this host for a martian, and a host takes a reset only from its peer.
//!
//! Invariants: no answer causes another one, and none is longer than every path carries. How many
//! are given is the caller's to limit.

mod segment;
mod upper_layer;

use std::net::{IpAddr, SocketAddr};

pub(crate) use self::segment::Segment;
pub(crate) use self::upper_layer::UpperLayer;
use self::upper_layer::{ICMP_V4, ICMP_V6, TCP};
use crate::checksum;
use crate::ip::{self, Addresses};
use crate::offload::OFFLOAD_LEN;
use crate::transport::tcp_flags::{ACK, FIN, RST, SYN};

/// Bytes of the longest answer that quotes an IPv4 packet (RFC 1812, section 4.3.2.3).
const MAX_V4: usize = 576;

/// Bytes of the longest answer that quotes an IPv6 packet (RFC 4443, section 2.4 (c)).
const MAX_V6: usize = 1280;

const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;
const ICMP_HEADER: usize = 8;

/// Type and code: host unreachable, and address unreachable. Clients take both for
/// `EHOSTUNREACH`.
const UNREACHABLE: Codes = Codes {
    v4: [3, 1],
    v6: [1, 3],
};

/// Type and code: communication administratively prohibited (RFC 1812, section 5.2.7.1; RFC 4443,
/// section 3.1).
const PROHIBITED: Codes = Codes {
    v4: [3, 13],
    v6: [1, 1],
};

/// Hop limit of answers.
const HOPS: u8 = 64;

/// Type and code of an ICMP error in both families.
#[derive(Clone, Copy)]
struct Codes {
    v4: [u8; 2],
    v6: [u8; 2],
}

/// An IP packet for the TUN device.
pub(crate) struct Answer {
    /// The offload header, all zero: nothing is left to do. Then the packet.
    bytes: [u8; OFFLOAD_LEN + MAX_V6],
    len: usize,
}

impl Answer {
    /// The answer to a packet that `ip` has let through, or `None` if it must not have one.
    pub(crate) fn to(packet: &[u8]) -> Option<Answer> {
        Answer::with(packet, UNREACHABLE)
    }

    /// The same to a packet that the policy does not let pass.
    pub(crate) fn to_denied(packet: &[u8]) -> Option<Answer> {
        Answer::with(packet, PROHIBITED)
    }

    fn with(packet: &[u8], codes: Codes) -> Option<Answer> {
        let Addresses {
            source,
            destination,
        } = ip::parse(packet).ok()?;
        // RFC 1122, section 3.2.2: no error about a packet whose source is not a single host, or
        // that was sent to many.
        if ip::is_never_carried(source) || ip::is_never_carried(destination) {
            return None;
        }

        let upper = UpperLayer::of(packet)?;
        match upper.protocol {
            TCP => reset(packet, &upper, source, destination),
            ICMP_V4 | ICMP_V6 if upper.is_icmp_error(packet) => None,
            _ => Some(error(packet, codes, source, destination)),
        }
    }

    /// A packet that holds nothing but a TCP header. Both ends are of one family.
    pub(crate) fn segment(segment: &Segment) -> Answer {
        let Segment { from, to, .. } = *segment;
        let mut answer = Answer::between(from.ip(), to.ip(), TCP, Segment::LEN);

        let payload = answer.payload();
        payload.copy_from_slice(&segment.header());
        answer.complete_checksum(16);
        answer
    }

    /// The offload header, and the packet behind it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// An IP header in front of `payload` bytes that are still zero.
    fn between(from: IpAddr, to: IpAddr, protocol: u8, payload: usize) -> Answer {
        let header = if from.is_ipv4() { V4_HEADER } else { V6_HEADER };
        let mut answer = Answer {
            bytes: [0; OFFLOAD_LEN + MAX_V6],
            len: OFFLOAD_LEN + header + payload,
        };

        let packet = &mut answer.bytes[OFFLOAD_LEN..];
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let [high, low] = ((header + payload) as u16).to_be_bytes();
                // Don't Fragment: without it, an identification of 0 could be repeated.
                packet[..10].copy_from_slice(&[0x45, 0, high, low, 0, 0, 0x40, 0, HOPS, protocol]);
                packet[12..16].copy_from_slice(&from.octets());
                packet[16..20].copy_from_slice(&to.octets());

                let sum = !checksum::sum(&packet[..V4_HEADER]);
                packet[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            // RFC 8200, section 3: the length counts what follows the header, which has no
            // checksum.
            (from, to) => {
                let [high, low] = (payload as u16).to_be_bytes();
                packet[..8].copy_from_slice(&[0x60, 0, 0, 0, high, low, protocol, HOPS]);
                packet[8..24].copy_from_slice(&v6_octets(from));
                packet[24..40].copy_from_slice(&v6_octets(to));
            }
        }
        answer
    }

    fn header_len(&self) -> usize {
        if self.bytes[OFFLOAD_LEN] >> 4 == 4 {
            V4_HEADER
        } else {
            V6_HEADER
        }
    }

    /// What stands behind the IP header.
    fn payload(&mut self) -> &mut [u8] {
        let start = OFFLOAD_LEN + self.header_len();
        &mut self.bytes[start..self.len]
    }

    /// Writes the checksum of TCP or ICMPv6, which lies at `field` of the payload and covers a
    /// pseudo-header too.
    fn complete_checksum(&mut self, field: usize) {
        let is_v4 = self.header_len() == V4_HEADER;
        let packet = &self.bytes[OFFLOAD_LEN..];
        let (addresses, protocol) = if is_v4 {
            (&packet[12..20], packet[9])
        } else {
            (&packet[8..40], packet[6])
        };
        let addresses = checksum::sum(addresses);

        let payload = self.payload();
        // The pseudo-header of RFC 9293, section 3.1, and RFC 8200, section 8.1: addresses,
        // protocol, length.
        let pseudo = checksum::add(addresses, u16::from(protocol));
        let pseudo = checksum::add(pseudo, payload.len() as u16);
        payload[field..field + 2].copy_from_slice(&pseudo.to_be_bytes());
        checksum::complete(payload, 0, field);
    }
}

/// The reset that RFC 9293 (section 3.10.7.1) lets a closed connection answer with.
fn reset(packet: &[u8], upper: &UpperLayer, source: IpAddr, destination: IpAddr) -> Option<Answer> {
    let tcp = upper.tcp(packet)?;
    // A reset is never answered, or two closed ends would answer each other for ever.
    if tcp.flags & RST != 0 {
        return None;
    }

    let from = SocketAddr::new(destination, tcp.destination);
    let to = SocketAddr::new(source, tcp.source);
    let segment = if tcp.flags & ACK != 0 {
        // The number that the host expects next: any other one in its window draws only a challenge
        // ACK (RFC 5961, section 3.2).
        Segment {
            from,
            to,
            sequence: tcp.acknowledgement,
            acknowledgement: 0,
            flags: RST,
        }
    } else {
        // SYN and FIN take a place in the sequence each.
        let places = u32::from(tcp.flags & SYN != 0) + u32::from(tcp.flags & FIN != 0);
        let len = tcp.payload as u32 + places;
        Segment {
            from,
            to,
            sequence: 0,
            acknowledgement: tcp.sequence.wrapping_add(len),
            flags: RST | ACK,
        }
    };

    Some(Answer::segment(&segment))
}

fn error(packet: &[u8], codes: Codes, source: IpAddr, destination: IpAddr) -> Answer {
    let (protocol, kind, most) = if source.is_ipv4() {
        (ICMP_V4, codes.v4, MAX_V4 - V4_HEADER - ICMP_HEADER)
    } else {
        (ICMP_V6, codes.v6, MAX_V6 - V6_HEADER - ICMP_HEADER)
    };
    let quoted = &packet[..packet.len().min(most)];

    let mut answer = Answer::between(destination, source, protocol, ICMP_HEADER + quoted.len());
    let payload = answer.payload();
    payload[..2].copy_from_slice(&kind);
    payload[ICMP_HEADER..].copy_from_slice(quoted);

    if protocol == ICMP_V6 {
        answer.complete_checksum(2);
    } else {
        // RFC 792: no pseudo-header.
        let sum = !checksum::sum(payload);
        payload[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    answer
}

fn v6_octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

#[cfg(test)]
mod tests;
