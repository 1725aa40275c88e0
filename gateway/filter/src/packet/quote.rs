//! [`Quote`]: the packet that an ICMP error is about, of which only the front is there.

use super::transport::Icmp;
use super::{Bits, Header, V4_HEADER, V6_HEADER, chain, parse_v4, protocol, transport, u16_at};

/// The front of a packet that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quote {
    pub(crate) v6: bool,
    pub(crate) source: Bits,
    pub(crate) destination: Bits,
    pub(crate) flow: Quoted,
}

/// What the quoted packet was part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quoted {
    Tcp {
        source_port: u16,
        destination_port: u16,
    },
    Udp {
        source_port: u16,
        destination_port: u16,
    },
    EchoRequest {
        id: u16,
    },
    EchoReply,
    Other {
        protocol: u8,
    },
}

/// Both ports of TCP and UDP lie in the first eight bytes, which every error quotes (RFC 792).
const QUOTED: usize = 8;

impl Quote {
    /// Reads the quote in an error of family `v6`. `None` if it is too short to tell what it was,
    /// of the other family, a later fragment, or itself an ICMP error: none of them is ever
    /// answered with an error (RFC 1122, section 3.2.2; RFC 4443, section 2.4).
    pub(crate) fn parse(v6: bool, quoted: &[u8]) -> Option<Quote> {
        let header = match quoted.first()? >> 4 {
            4 if !v6 && quoted.len() >= V4_HEADER => parse_v4(quoted).ok()?,
            6 if v6 && quoted.len() >= V6_HEADER => chain::parse_v6(quoted).ok()?,
            _ => return None,
        };
        if header.fragment.is_some_and(|fragment| !fragment.is_first()) {
            return None;
        }

        Some(Quote {
            v6,
            source: header.source,
            destination: header.destination,
            flow: quoted_flow(&header)?,
        })
    }
}

fn quoted_flow(header: &Header<'_>) -> Option<Quoted> {
    let bytes = header.payload;

    match (header.protocol, header.v6) {
        (protocol::TCP, _) => {
            bytes.get(..QUOTED)?;
            Some(Quoted::Tcp {
                source_port: u16_at(bytes, 0) as u16,
                destination_port: u16_at(bytes, 2) as u16,
            })
        }
        (protocol::UDP, _) => {
            bytes.get(..QUOTED)?;
            Some(Quoted::Udp {
                source_port: u16_at(bytes, 0) as u16,
                destination_port: u16_at(bytes, 2) as u16,
            })
        }
        (protocol::ICMP, false) | (protocol::ICMPV6, true) => {
            let icmp = Icmp::read(header.v6, bytes)?;
            match icmp.kind {
                transport::IcmpKind::EchoRequest => Some(Quoted::EchoRequest { id: icmp.id }),
                transport::IcmpKind::EchoReply => Some(Quoted::EchoReply),
                _ => None,
            }
        }
        (protocol, _) => Some(Quoted::Other { protocol }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tcp_flags::ACK;
    use super::*;
    use crate::craft::{self, v4, v6};

    #[test]
    fn eight_bytes_of_the_transport_are_enough_and_seven_are_not() {
        for packet in [
            v4("10.1.0.1", "10.2.0.1").tcp(5, 7, ACK, 0),
            v6("fd01::1", "fd02::1").tcp(5, 7, ACK, 0),
        ] {
            let is_v6 = packet[0] >> 4 == 6;
            let header = if is_v6 { 40 } else { 20 };
            let quote = Quote::parse(is_v6, &packet[..header + 8]).unwrap();
            assert_eq!(
                quote.flow,
                Quoted::Tcp {
                    source_port: 5,
                    destination_port: 7
                }
            );
            for len in 0..header + 8 {
                assert_eq!(Quote::parse(is_v6, &packet[..len]), None, "{len}");
            }
            assert_eq!(Quote::parse(!is_v6, &packet), None);
        }
    }

    #[test]
    fn errors_and_later_fragments_are_not_quoted() {
        let dropped = v4("10.1.0.1", "10.2.0.1").udp(5, 7, &[0; 40]);
        let error = v4("10.1.0.1", "10.2.0.1").icmp_error(3, &dropped);
        assert_eq!(Quote::parse(false, &error), None);
        let [first, later] = craft::fragments(&dropped, 1, 16);
        assert!(Quote::parse(false, &first).is_some());
        assert_eq!(Quote::parse(false, &later), None);
    }
}
