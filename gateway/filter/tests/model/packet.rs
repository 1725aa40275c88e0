//! Packets made byte by byte, together with what they are. The model looks at [`Packet::facts`]
//! only, never at the bytes: it has no parser that could err as the filter's does.

mod bytes;

use std::net::IpAddr;

use bytes::{ip, payload, protocol, set_length};

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const GRE: u8 = 47;
pub(crate) const ESP: u8 = 50;
pub(crate) const ICMPV6: u8 = 58;
pub(crate) const SCTP: u8 = 132;

/// Extension headers of IPv6.
pub(crate) const HOP_BY_HOP: u8 = 0;
pub(crate) const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const DESTINATION_OPTIONS: u8 = 60;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

/// A packet, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    pub(crate) facts: Facts,
}

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) content: Content,
    pub(crate) fragment: Option<Piece>,
}

/// What a packet carries behind all IP headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Tcp(Segment),
    Udp {
        from: u16,
        to: u16,
    },
    Echo {
        reply: bool,
        id: u16,
    },
    /// An ICMP error about the packet that begins with these headers.
    Error(Quoted),
    /// ICMP that is neither an echo nor an error: redirects, timestamps, neighbour discovery.
    OtherIcmp,
    /// Another protocol, by its number.
    Protocol(u8),
    /// The later part of a fragmented packet, at or behind the end of the first one's headers.
    Later {
        protocol: u8,
    },
    /// Headers that are cut off, lie, or overlap: never right.
    Broken,
}

impl Content {
    /// The number of the protocol behind all IP headers, in a packet from this address.
    pub(crate) fn protocol(&self, source: IpAddr) -> u8 {
        protocol(source, self)
    }

    /// The destination port of TCP or UDP.
    pub(crate) fn destination_port(&self) -> Option<u16> {
        match self {
            Content::Tcp(segment) => Some(segment.to),
            Content::Udp { to, .. } => Some(*to),
            _ => None,
        }
    }

    /// The source port of TCP or UDP.
    pub(crate) fn source_port(&self) -> Option<u16> {
        match self {
            Content::Tcp(segment) => Some(segment.from),
            Content::Udp { from, .. } => Some(*from),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) flags: u8,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
}

/// The headers that an ICMP error quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quoted {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) ports: QuotedPorts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuotedPorts {
    Tcp(u16, u16),
    Udp(u16, u16),
    /// Echo request with this id.
    Echo(u16),
    /// Echo reply with this id.
    EchoReply(u16),
    Protocol(u8),
    /// The quote is too short for its ports, or is of a later fragment.
    Missing,
}

/// Which part of a fragmented packet this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) id: u32,
    /// In units of eight bytes.
    pub(crate) offset: u16,
    pub(crate) more: bool,
}

/// A segment without data.
pub(crate) fn segment(from: u16, to: u16, flags: u8) -> Segment {
    Segment {
        from,
        to,
        flags,
        seq: 1000,
        ack: if flags & ACK == 0 { 0 } else { 2000 },
    }
}

/// A packet of this content, whole and without options.
pub(crate) fn packet(source: IpAddr, destination: IpAddr, content: Content) -> Packet {
    let payload = payload(source, &content);
    let bytes = ip(
        source,
        destination,
        protocol(source, &content),
        None,
        &payload,
    );
    Packet {
        bytes,
        facts: Facts {
            source,
            destination,
            content,
            fragment: None,
        },
    }
}

pub(crate) fn tcp(source: IpAddr, destination: IpAddr, segment: Segment) -> Packet {
    packet(source, destination, Content::Tcp(segment))
}

pub(crate) fn udp(source: IpAddr, destination: IpAddr, from: u16, to: u16) -> Packet {
    packet(source, destination, Content::Udp { from, to })
}

pub(crate) fn echo(source: IpAddr, destination: IpAddr, id: u16) -> Packet {
    packet(source, destination, Content::Echo { reply: false, id })
}

pub(crate) fn echo_reply(source: IpAddr, destination: IpAddr, id: u16) -> Packet {
    packet(source, destination, Content::Echo { reply: true, id })
}

/// An error about a packet, as a router between its ends sends it.
pub(crate) fn error(source: IpAddr, destination: IpAddr, quoted: Quoted) -> Packet {
    packet(source, destination, Content::Error(quoted))
}

/// The same packet with IPv4 options, or with IPv6 extension headers of these types before its
/// content. A header that bears a type of its own is eight bytes long.
pub(crate) fn with_extensions(plain: &Packet, extensions: &[u8]) -> Packet {
    let facts = plain.facts;
    let payload = payload(facts.source, &facts.content);
    let protocol = protocol(facts.source, &facts.content);
    let bytes = match facts.source {
        // No-operation options.
        IpAddr::V4(_) => {
            let mut bytes = plain.bytes[..20].to_vec();
            bytes[0] = 0x47;
            bytes.extend([1; 8]);
            bytes.extend(&payload);
            set_length(&mut bytes);
            bytes
        }
        IpAddr::V6(_) => {
            let mut chain = Vec::new();
            for (at, _) in extensions.iter().enumerate() {
                let next = extensions.get(at + 1).copied().unwrap_or(protocol);
                // PadN of four bytes fills a header with options.
                chain.extend([next, 0, 1, 4, 0, 0, 0, 0]);
            }
            for (at, kind) in extensions.iter().enumerate() {
                // Type 0 with one segment left: another destination follows.
                if *kind == ROUTING {
                    chain[at * 8 + 2..at * 8 + 4].copy_from_slice(&[0, 1]);
                }
            }
            chain.extend(&payload);
            ip(facts.source, facts.destination, extensions[0], None, &chain)
        }
    };
    Packet { bytes, facts }
}

/// Cuts a packet into two fragments, the first of which carries `units` times eight bytes.
/// `units` must hold the transport header.
pub(crate) fn fragments(whole: &Packet, id: u32, units: u16) -> [Packet; 2] {
    let facts = whole.facts;
    let mut payload = payload(facts.source, &facts.content);
    payload.resize(usize::from(units) * 8 + 40, 0x5a);
    let cut = usize::from(units) * 8;
    let first = Piece {
        id,
        offset: 0,
        more: true,
    };
    [
        piece(facts, first, &payload[..cut]),
        later(whole, id, units, false),
    ]
}

/// A later fragment of `whole` at this offset, of 40 bytes.
pub(crate) fn later(whole: &Packet, id: u32, offset: u16, more: bool) -> Packet {
    let protocol = protocol(whole.facts.source, &whole.facts.content);
    let facts = Facts {
        content: Content::Later { protocol },
        ..whole.facts
    };
    piece(facts, Piece { id, offset, more }, &[0x5a; 40])
}

/// A first fragment whose transport header is cut off after `len` bytes (a multiple of eight).
pub(crate) fn first_without_header(whole: &Packet, id: u32, len: usize) -> Packet {
    let payload = payload(whole.facts.source, &whole.facts.content);
    let number = protocol(whole.facts.source, &whole.facts.content);
    let piece = Piece {
        id,
        offset: 0,
        more: true,
    };
    let bytes = ip(
        whole.facts.source,
        whole.facts.destination,
        number,
        Some(piece),
        &payload[..len],
    );
    Packet {
        bytes,
        facts: Facts {
            content: Content::Broken,
            fragment: Some(piece),
            ..whole.facts
        },
    }
}

/// A fragment whose offset lies inside the transport header.
pub(crate) fn inside_header(whole: &Packet, id: u32) -> Packet {
    let mut packet = later(whole, id, 1, false);
    packet.facts.content = Content::Broken;
    packet
}

/// A first fragment with 40 bytes of TCP options.
pub(crate) fn first_with_options(whole: &Packet, id: u32) -> Packet {
    let mut payload = payload(whole.facts.source, &whole.facts.content);
    payload[12] = 0xf0;
    payload.extend([1; 44]);
    let first = Piece {
        id,
        offset: 0,
        more: true,
    };
    piece(whole.facts, first, &payload)
}

/// A fragment whose offset lies inside the TCP options of [`first_with_options`].
pub(crate) fn inside_options(whole: &Packet, id: u32) -> Packet {
    let mut packet = later(whole, id, 3, false);
    packet.facts.content = Content::Broken;
    packet
}

/// The first `len` bytes of a packet whose IP header says that this is all.
pub(crate) fn cut(whole: &Packet, len: usize) -> Packet {
    let mut bytes = whole.bytes[..len].to_vec();
    set_length(&mut bytes);
    broken(whole, bytes)
}

/// These bytes, which are wrong, in place of a packet's.
pub(crate) fn broken(whole: &Packet, bytes: Vec<u8>) -> Packet {
    Packet {
        bytes,
        facts: Facts {
            content: Content::Broken,
            ..whole.facts
        },
    }
}

/// Bytes of the IP header without options.
pub(crate) fn header_len(address: IpAddr) -> usize {
    if address.is_ipv4() { 20 } else { 40 }
}

fn piece(facts: Facts, piece: Piece, payload: &[u8]) -> Packet {
    let number = protocol(facts.source, &facts.content);
    Packet {
        bytes: ip(
            facts.source,
            facts.destination,
            number,
            Some(piece),
            payload,
        ),
        facts: Facts {
            fragment: Some(piece),
            ..facts
        },
    }
}
