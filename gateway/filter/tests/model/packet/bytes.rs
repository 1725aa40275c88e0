//! The bytes of packets.

use std::net::IpAddr;

use super::{
    ACK, Content, FRAGMENT, ICMP, ICMPV6, Piece, Quoted, QuotedPorts, Segment, TCP, UDP, segment,
};

fn icmp_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { ICMP } else { ICMPV6 }
}

pub(super) fn protocol(address: IpAddr, content: &Content) -> u8 {
    match content {
        Content::Tcp(_) => TCP,
        Content::Udp { .. } => UDP,
        Content::Echo { .. } | Content::Error(_) | Content::OtherIcmp => icmp_of(address),
        Content::Protocol(number) | Content::Later { protocol: number } => *number,
        Content::Broken => TCP,
    }
}

/// The bytes behind the IP headers.
pub(super) fn payload(address: IpAddr, content: &Content) -> Vec<u8> {
    let v4 = address.is_ipv4();
    match content {
        Content::Tcp(segment) => tcp_header(segment),
        Content::Udp { from, to } => {
            let mut bytes = Vec::new();
            bytes.extend(from.to_be_bytes());
            bytes.extend(to.to_be_bytes());
            bytes.extend([0, 12, 0, 0]);
            bytes.extend(b"data");
            bytes
        }
        Content::Echo { reply, id } => echo_message(v4, *reply, *id),
        Content::Error(quoted) => {
            // Time exceeded.
            let kind = if v4 { 11 } else { 3 };
            let mut bytes = vec![kind, 0, 0, 0, 0, 0, 0, 0];
            bytes.extend(quote(quoted));
            bytes
        }
        // A redirect.
        Content::OtherIcmp => {
            let kind = if v4 { 5 } else { 137 };
            let mut bytes = vec![kind, 0, 0, 0];
            bytes.extend([0; 36]);
            bytes
        }
        Content::Protocol(_) | Content::Later { .. } | Content::Broken => vec![0x5a; 40],
    }
}

fn tcp_header(segment: &Segment) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(segment.from.to_be_bytes());
    bytes.extend(segment.to.to_be_bytes());
    bytes.extend(segment.seq.to_be_bytes());
    bytes.extend(segment.ack.to_be_bytes());
    bytes.extend([0x50, segment.flags, 0x10, 0, 0, 0, 0, 0]);
    bytes
}

fn echo_message(v4: bool, reply: bool, id: u16) -> Vec<u8> {
    let kind = match (v4, reply) {
        (true, false) => 8,
        (true, true) => 0,
        (false, false) => 128,
        (false, true) => 129,
    };
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend(id.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(b"ping");
    bytes
}

/// The IP header and the first eight bytes behind it (RFC 792), or more (RFC 4443).
fn quote(quoted: &Quoted) -> Vec<u8> {
    let v4 = quoted.source.is_ipv4();
    let (number, payload) = match quoted.ports {
        QuotedPorts::Tcp(from, to) => (TCP, tcp_header(&segment(from, to, ACK))),
        QuotedPorts::Udp(from, to) => {
            let content = Content::Udp { from, to };
            (UDP, self::payload(quoted.source, &content))
        }
        QuotedPorts::Echo(id) => (icmp_of(quoted.source), echo_message(v4, false, id)),
        QuotedPorts::EchoReply(id) => (icmp_of(quoted.source), echo_message(v4, true, id)),
        QuotedPorts::Protocol(number) => (number, vec![0x5a; 8]),
        QuotedPorts::Missing => (TCP, vec![0, 1]),
    };
    let mut bytes = ip(quoted.source, quoted.destination, number, None, &payload);
    if v4 {
        bytes.truncate(28);
    }
    bytes
}

/// An IP packet, a fragment if `piece` says so.
pub(super) fn ip(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    piece: Option<Piece>,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
            if let Some(piece) = piece {
                bytes[4..6].copy_from_slice(&(piece.id as u16).to_be_bytes());
                let field = piece.offset | u16::from(piece.more) << 13;
                bytes[6..8].copy_from_slice(&field.to_be_bytes());
            }
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
            bytes
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let next = if piece.is_some() { FRAGMENT } else { protocol };
            let mut bytes = vec![0x60, 0, 0, 0, 0, 0, next, 64];
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
            if let Some(piece) = piece {
                let field = piece.offset << 3 | u16::from(piece.more);
                bytes.extend([protocol, 0]);
                bytes.extend(field.to_be_bytes());
                bytes.extend(piece.id.to_be_bytes());
            }
            bytes
        }
        _ => panic!("a packet has one family"),
    };
    bytes.extend(payload);
    set_length(&mut bytes);
    bytes
}

/// Writes the length of the bytes into their IP header.
pub(super) fn set_length(bytes: &mut [u8]) {
    let len = bytes.len() as u16;
    if bytes[0] >> 4 == 4 {
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
    } else {
        bytes[4..6].copy_from_slice(&(len - 40).to_be_bytes());
    }
}
