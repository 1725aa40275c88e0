//! [`Transport`]: the transport header of a packet.

use super::{Header, protocol, u16_at};
use crate::verdict::Reason;

/// TCP header flags (RFC 9293, section 3.1).
pub(crate) mod tcp_flags {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const ACK: u8 = 0x10;
}

/// What stands behind the IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport<'p> {
    Tcp(Tcp),
    Udp {
        source_port: u16,
        destination_port: u16,
    },
    /// ICMP in IPv4, ICMPv6 in IPv6.
    Icmp(Icmp<'p>),
    /// Any other protocol, the other family's ICMP included.
    Other,
}

/// A TCP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tcp {
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
}

impl Tcp {
    /// The header, and its length in bytes; `None` if it is not whole.
    #[inline(always)]
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Tcp, usize)> {
        let fixed = bytes.first_chunk::<TCP_HEADER>()?;
        let len = usize::from(fixed[12] >> 4) * 4;
        if len < TCP_HEADER || len > bytes.len() {
            return None;
        }

        let tcp = Tcp {
            source_port: u16_at(fixed, 0) as u16,
            destination_port: u16_at(fixed, 2) as u16,
            ack: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            flags: fixed[13],
        };
        Some((tcp, len))
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// True for what opens a connection: a SYN that answers nothing.
    #[inline(always)]
    pub(crate) fn is_opening(&self) -> bool {
        self.flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN
    }

    /// True for what stands in the middle of a connection: ACK without SYN or RST.
    pub(crate) fn is_midstream(&self) -> bool {
        const DECIDING: u8 = tcp_flags::SYN | tcp_flags::RST | tcp_flags::ACK;
        self.flags & DECIDING == tcp_flags::ACK
    }

    pub(crate) fn is_syn_ack(&self) -> bool {
        self.has(tcp_flags::SYN) && self.has(tcp_flags::ACK)
    }
}

/// An ICMP or ICMPv6 message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Icmp<'p> {
    pub(crate) kind: IcmpKind,
    /// Type and code, as they are on the wire.
    pub(crate) raw: (u8, u8),
    /// The identifier, of an echo message.
    pub(crate) id: u16,
    /// What follows the first eight bytes: the quoted packet, of an error.
    pub(crate) body: &'p [u8],
}

/// What an ICMP message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IcmpKind {
    EchoRequest,
    EchoReply,
    /// An error about a packet, which it quotes.
    Error,
    /// A harmless question or answer, such as a timestamp.
    Query,
    /// What has a meaning on a link only (redirects, router and neighbour discovery, multicast
    /// listeners), is deprecated, or is unknown: never in a tunnel.
    Never,
}

/// The shortest header of TCP, and that of UDP and ICMP.
pub(crate) const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

impl<'p> Transport<'p> {
    /// The transport header of a whole packet or a first fragment, and its length. Errors:
    /// [`Reason::Malformed`], [`Reason::FirstFragment`].
    #[inline(always)]
    pub(crate) fn parse(header: &Header<'p>) -> Result<(Transport<'p>, usize), Reason> {
        Transport::read(header).ok_or(if header.fragment.is_some() {
            Reason::FirstFragment
        } else {
            Reason::Malformed
        })
    }

    #[inline(always)]
    fn read(header: &Header<'p>) -> Option<(Transport<'p>, usize)> {
        let bytes = header.payload;
        match (header.protocol, header.v6) {
            (protocol::TCP, _) => {
                let (tcp, len) = Tcp::parse(bytes)?;
                Some((Transport::Tcp(tcp), len))
            }
            (protocol::UDP, _) => {
                bytes.get(..UDP_HEADER)?;
                let udp = Transport::Udp {
                    source_port: u16_at(bytes, 0) as u16,
                    destination_port: u16_at(bytes, 2) as u16,
                };
                Some((udp, UDP_HEADER))
            }
            (protocol::ICMP, false) | (protocol::ICMPV6, true) => {
                let icmp = Icmp::read(header.v6, bytes)?;
                Some((Transport::Icmp(icmp), UDP_HEADER))
            }
            _ => Some((Transport::Other, 0)),
        }
    }

    /// True unless nothing may be sent in answer: a reset, or an ICMP error (RFC 9293, section
    /// 3.10.7; RFC 1122, section 3.2.2).
    pub(crate) fn may_be_answered(&self) -> bool {
        match self {
            Transport::Tcp(tcp) => !tcp.has(tcp_flags::RST),
            Transport::Icmp(icmp) => icmp.kind == IcmpKind::EchoRequest,
            Transport::Udp { .. } | Transport::Other => true,
        }
    }

    /// Ports as reports show them: of ICMP type and code, of other protocols zeros.
    pub(crate) fn shown_ports(&self) -> (u16, u16) {
        match self {
            Transport::Tcp(tcp) => (tcp.source_port, tcp.destination_port),
            Transport::Udp {
                source_port,
                destination_port,
            } => (*source_port, *destination_port),
            Transport::Icmp(icmp) => (icmp.raw.0.into(), icmp.raw.1.into()),
            Transport::Other => (0, 0),
        }
    }
}

impl<'p> Icmp<'p> {
    /// Reads a message of the family's own ICMP.
    pub(super) fn read(v6: bool, bytes: &'p [u8]) -> Option<Icmp<'p>> {
        let (fixed, body) = bytes.split_first_chunk::<UDP_HEADER>()?;
        Some(Icmp {
            kind: icmp_kind(v6, fixed[0]),
            raw: (fixed[0], fixed[1]),
            id: u16_at(fixed, 4) as u16,
            body,
        })
    }
}

/// What a message of a type is for (IANA, "ICMP Type Numbers", "ICMPv6 Parameters").
pub(crate) fn icmp_kind(v6: bool, kind: u8) -> IcmpKind {
    match (v6, kind) {
        (false, 8) | (true, 128) => IcmpKind::EchoRequest,
        (false, 0) | (true, 129) => IcmpKind::EchoReply,
        // Source quench (4) is deprecated (RFC 6633); a redirect (5) names a router of a link.
        (false, 3 | 11 | 12) | (true, 1..=4) => IcmpKind::Error,
        // Timestamp, information, address mask; node information; extended echo (RFC 8335).
        (false, 13..=18 | 42 | 43) | (true, 139 | 140 | 160 | 161) => IcmpKind::Query,
        _ => IcmpKind::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::craft::{v4, v6};

    #[test]
    fn a_header_must_be_whole() {
        let tcp = v4("10.2.0.1", "10.1.0.1").tcp(5, 7, tcp_flags::SYN, 0);
        for len in [20, 39] {
            let mut cut = tcp[..len].to_vec();
            crate::craft::fix_length(&mut cut);
            let header = Header::parse(&cut).unwrap();
            assert_eq!(Transport::parse(&header), Err(Reason::Malformed), "{len}");
        }

        let mut options = tcp.clone();
        options[20 + 12] = 0x60;
        let header = Header::parse(&options).unwrap();
        assert_eq!(Transport::parse(&header), Err(Reason::Malformed));
        options[20 + 12] = 0x40;
        let header = Header::parse(&options).unwrap();
        assert_eq!(Transport::parse(&header), Err(Reason::Malformed));
    }

    #[test]
    fn the_other_familys_icmp_is_another_protocol() {
        let packet = v4("10.2.0.1", "10.1.0.1").raw(protocol::ICMPV6, &[128, 0, 0, 0, 0, 1, 0, 1]);
        let header = Header::parse(&packet).unwrap();
        assert_eq!(Transport::parse(&header).unwrap().0, Transport::Other);
        let packet = v6("fd02::1", "fd01::1").raw(protocol::ICMP, &[8, 0, 0, 0, 0, 1, 0, 1]);
        let header = Header::parse(&packet).unwrap();
        assert_eq!(Transport::parse(&header).unwrap().0, Transport::Other);
    }

    #[test]
    fn messages_of_a_link_are_never_carried() {
        for kind in [4, 5, 9, 10, 30, 255] {
            assert_eq!(icmp_kind(false, kind), IcmpKind::Never, "{kind}");
        }
        for kind in [
            0, 5, 100, 127, 130, 131, 132, 133, 134, 135, 136, 137, 138, 141, 143, 151,
        ] {
            assert_eq!(icmp_kind(true, kind), IcmpKind::Never, "{kind}");
        }
    }
}
