//! [`FlowKey`]: which packets must stay in order. Pure.
//!
//! Reads packets that nothing has checked yet, and no more of them than it needs. The key only
//! decides about an order; a forged header harms no other flow.

use crate::transport::Transport;

/// IANA protocol numbers.
const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;

/// The flow of an IP packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FlowKey {
    /// Source and destination; those of IPv4 are followed by zeros.
    addresses: [u8; 32],
    class: Class,
}

/// The flow among those between two addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Class {
    /// TCP or UDP, by protocol number and ports.
    Ports(u8, [u8; 4]),
    Icmp,
    /// Fragments, and other packets that may belong to any flow.
    Any,
}

impl FlowKey {
    /// `None` if the packet is too short for an IP header.
    pub(super) fn of(packet: &[u8]) -> Option<FlowKey> {
        let (protocol, ends) = match packet.first()? >> 4 {
            4 => (*packet.get(9)?, packet.get(12..20)?),
            6 => (*packet.get(6)?, packet.get(8..40)?),
            _ => return None,
        };
        let mut addresses = [0; 32];
        addresses[..ends.len()].copy_from_slice(ends);

        let class = match Transport::locate(packet) {
            Some(transport) => {
                let ports = packet.get(transport.start..)?.first_chunk()?;
                Class::Ports(protocol, *ports)
            }
            None if [ICMP, ICMP_V6].contains(&protocol) => Class::Icmp,
            None => Class::Any,
        };

        Some(FlowKey { addresses, class })
    }

    /// True if packets with these keys may belong to one flow.
    pub(super) fn may_match(&self, other: &FlowKey) -> bool {
        let is_vague = self.class == Class::Any || other.class == Class::Any;
        self.addresses == other.addresses && (is_vague || self.class == other.class)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::craft::{Shape, any_shape};

    proptest! {
        #[test]
        fn a_flow_is_known_by_its_ends_and_ports_and_a_fragment_may_match_any(
            shape in any_shape(), port: u16,
            payload in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let packet = shape.packet(&payload);
            let flow = FlowKey::of(&packet).unwrap();
            let with_port = |port| {
                let other = Shape { port, ..shape.clone() };
                FlowKey::of(&other.packet(b"other")).unwrap()
            };
            prop_assert!(flow.may_match(&with_port(shape.port)));
            prop_assert_eq!(flow.may_match(&with_port(port)), port == shape.port);

            let mut fragment = packet.clone();
            if shape.v6 { fragment[6] = 44 } else { fragment[6] |= 0x20 }
            let fragment = FlowKey::of(&fragment).unwrap();
            prop_assert!(fragment.may_match(&flow) && flow.may_match(&fragment));

            let mut other_destination = packet.clone();
            other_destination[if shape.v6 { 39 } else { 19 }] ^= 1;
            prop_assert!(!FlowKey::of(&other_destination).unwrap().may_match(&fragment));
        }

        #[test]
        fn icmp_is_not_of_a_tcp_or_udp_flow_between_the_same_addresses(shape in any_shape()) {
            let flow = FlowKey::of(&shape.packet(b"x")).unwrap();
            let mut ping = shape.packet(b"x");
            ping[if shape.v6 { 6 } else { 9 }] = if shape.v6 { ICMP_V6 } else { ICMP };
            let ping = FlowKey::of(&ping).unwrap();
            prop_assert!(!ping.may_match(&flow) && ping.may_match(&ping.clone()));
        }

        #[test]
        fn any_bytes_have_a_key_or_none(
            mut packet in proptest::collection::vec(any::<u8>(), 0..100), v6: bool,
        ) {
            if let Some(first) = packet.first_mut() {
                *first = if v6 { 0x60 } else { 0x45 };
            }
            let _ = FlowKey::of(&packet);
        }
    }
}
