//! [`Flow`]: which packets must stay in order. Pure.
//!
//! Reads no more than it needs, of packets that nobody has checked yet: what it takes for a flow decides an order, and
//! nothing else.

use crate::transport::Transport;

/// IANA protocol numbers.
const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;

/// The flow of an IP packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flow {
    /// Source and destination; those of IPv4 are followed by zeros.
    ends: [u8; 32],
    within: Within,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Within {
    /// TCP or UDP, by protocol number and ports.
    Ports(u8, [u8; 4]),
    Icmp,
    /// Fragments, and whatever else may belong to any flow between two ends.
    Any,
}

impl Flow {
    /// `None` if it is too short for an IP header.
    pub(super) fn of(packet: &[u8]) -> Option<Flow> {
        let (protocol, addresses) = match packet.first()? >> 4 {
            4 => (*packet.get(9)?, packet.get(12..20)?),
            6 => (*packet.get(6)?, packet.get(8..40)?),
            _ => return None,
        };
        let mut ends = [0; 32];
        ends[..addresses.len()].copy_from_slice(addresses);
        let ports = |at: usize| packet.get(at..at + 4)?.try_into().ok();
        let within = match Transport::locate(packet) {
            Some(found) => Within::Ports(protocol, ports(found.start)?),
            None if [ICMP, ICMP_V6].contains(&protocol) => Within::Icmp,
            None => Within::Any,
        };
        Some(Flow { ends, within })
    }

    /// True if a packet of the one may be of the other's flow.
    pub(super) fn may_be_of(&self, other: &Flow) -> bool {
        let vague = self.within == Within::Any || other.within == Within::Any;
        self.ends == other.ends && (vague || self.within == other.within)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::craft::any_shape;

    proptest! {
        #[test]
        fn a_flow_is_known_by_its_ends_and_ports_and_a_fragment_may_be_of_any(
            shape in any_shape(), port: u16, payload in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let packet = shape.packet(&payload);
            let flow = Flow::of(&packet).unwrap();
            let of = |port| Flow::of(&crate::craft::Shape { port, ..shape.clone() }.packet(b"else")).unwrap();
            prop_assert!(flow.may_be_of(&of(shape.port)));
            prop_assert_eq!(flow.may_be_of(&of(port)), port == shape.port);
            let mut part = packet.clone();
            if shape.v6 { part[6] = 44 } else { part[6] |= 0x20 }
            let part = Flow::of(&part).unwrap();
            prop_assert!(part.may_be_of(&flow) && flow.may_be_of(&part));
            let mut elsewhere = packet.clone();
            elsewhere[if shape.v6 { 39 } else { 19 }] ^= 1;
            prop_assert!(!Flow::of(&elsewhere).unwrap().may_be_of(&part));
        }

        #[test]
        fn icmp_passes_tcp_and_udp_between_the_same_ends(shape in any_shape()) {
            let flow = Flow::of(&shape.packet(b"x")).unwrap();
            let mut ping = shape.packet(b"x");
            ping[if shape.v6 { 6 } else { 9 }] = if shape.v6 { ICMP_V6 } else { ICMP };
            let ping = Flow::of(&ping).unwrap();
            prop_assert!(!ping.may_be_of(&flow) && ping.may_be_of(&ping.clone()));
        }

        #[test]
        fn any_bytes_will_do(mut packet in proptest::collection::vec(any::<u8>(), 0..100), v6: bool) {
            if let Some(first) = packet.first_mut() {
                *first = if v6 { 0x60 } else { 0x45 };
            }
            let _ = Flow::of(&packet);
        }
    }
}
