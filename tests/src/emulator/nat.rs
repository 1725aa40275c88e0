//! [`Nat`]: source address translation at the left end, with endpoint-independent mapping and
//! filtering (RFC 4787).
//!
//! It translates unfragmented TCP and UDP and drops everything else, as many translators do. A
//! family without an external address passes unchanged.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::packet::{Packet, Side};

/// External ports, assigned in ascending order.
const PORTS: std::ops::Range<u16> = 20_000..60_000;

/// The external addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct External {
    /// For IPv4; `None` if it is not translated.
    pub v4: Option<Ipv4Addr>,
    /// For IPv6; `None` if it is not translated.
    pub v6: Option<Ipv6Addr>,
}

/// A protocol number and an address with port.
type Flow = (u8, SocketAddr);

/// The translator with its entries.
#[derive(Debug)]
pub struct Nat {
    external: External,
    /// External socket by internal flow.
    outside: BTreeMap<Flow, SocketAddr>,
    /// Internal socket by external flow.
    inside: BTreeMap<Flow, SocketAddr>,
    next_port: u16,
}

impl Nat {
    /// A translator without entries.
    pub fn new(external: External) -> Nat {
        Nat {
            external,
            outside: BTreeMap::new(),
            inside: BTreeMap::new(),
            next_port: PORTS.start,
        }
    }

    /// Forgets every flow. Its next packet gets another external port.
    pub fn rebind(&mut self) {
        self.outside.clear();
        self.inside.clear();
    }

    /// Translates the source of a packet from left to right; false if it must be dropped.
    pub fn translate_out(&mut self, packet: &mut Packet) -> bool {
        let Some(external) = self.external(packet.is_v4()) else {
            return true;
        };
        let Some(flow @ (protocol, inside)) = packet.socket(Side::Source) else {
            return false;
        };

        let outside = match self.outside.get(&flow) {
            Some(outside) => *outside,
            None => {
                let outside = SocketAddr::new(external, self.assign_port());
                // Once all ports have been assigned, another flow has this one and loses it.
                if let Some(old) = self.inside.insert((protocol, outside), inside) {
                    self.outside.remove(&(protocol, old));
                }
                self.outside.insert(flow, outside);
                outside
            }
        };
        packet.redirect(Side::Source, outside);
        true
    }

    /// Translates the destination of a packet from right to left; false if no flow matches.
    pub fn translate_back(&mut self, packet: &mut Packet) -> bool {
        if self.external(packet.is_v4()).is_none() {
            return true;
        }

        let flow = packet.socket(Side::Destination);
        let Some(inside) = flow.and_then(|flow| self.inside.get(&flow)) else {
            return false;
        };
        packet.redirect(Side::Destination, *inside);
        true
    }

    fn external(&self, is_v4: bool) -> Option<IpAddr> {
        if is_v4 {
            self.external.v4.map(IpAddr::V4)
        } else {
            self.external.v6.map(IpAddr::V6)
        }
    }

    /// The next port in the range. After the last one the first is assigned again, and the flow
    /// that had it loses it.
    fn assign_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = if port + 1 < PORTS.end {
            port + 1
        } else {
            PORTS.start
        };
        port
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::tests::{is_sound, udp};
    use super::*;

    const PEER: &str = "203.0.113.6:4600";

    fn nat() -> Nat {
        Nat::new(External {
            v4: Some(Ipv4Addr::new(198, 51, 100, 1)),
            v6: None,
        })
    }

    fn sent(nat: &mut Nat, from: &str) -> SocketAddr {
        let mut packet = udp(from, PEER, b"x");
        assert!(nat.translate_out(&mut packet) && is_sound(&packet));
        packet.socket(Side::Source).unwrap().1
    }

    fn answered(nat: &mut Nat, to: SocketAddr) -> Option<SocketAddr> {
        let mut packet = udp(PEER, &to.to_string(), b"x");
        nat.translate_back(&mut packet)
            .then(|| packet.socket(Side::Destination).unwrap().1)
    }

    #[test]
    fn answers_reach_the_inside_and_other_packets_do_not() {
        let mut nat = nat();
        let outside = sent(&mut nat, "203.0.113.2:4600");
        assert_eq!(
            outside,
            sent(&mut nat, "203.0.113.2:4600"),
            "a flow does not keep its port"
        );
        assert_ne!(outside, sent(&mut nat, "203.0.113.2:4601"));
        assert_eq!(
            answered(&mut nat, outside),
            Some("203.0.113.2:4600".parse().unwrap())
        );
        assert_eq!(
            answered(&mut nat, "198.51.100.1:59999".parse().unwrap()),
            None
        );
        assert_eq!(
            answered(&mut nat, "203.0.113.2:4600".parse().unwrap()),
            None,
            "the internal address is reachable from outside"
        );
    }

    #[test]
    fn after_rebinding_the_old_port_is_closed() {
        let mut nat = nat();
        let before = sent(&mut nat, "203.0.113.2:4600");
        nat.rebind();
        assert_eq!(answered(&mut nat, before), None);
        let after = sent(&mut nat, "203.0.113.2:4600");
        assert_ne!(before, after);
        assert_eq!(
            answered(&mut nat, after),
            Some("203.0.113.2:4600".parse().unwrap())
        );
    }

    #[test]
    fn a_family_without_an_external_address_passes_unchanged() {
        let mut packet = udp("[2001:db8::2]:1", "[2001:db8::6]:2", b"x");
        let before = packet.clone();
        assert!(nat().translate_out(&mut packet) && nat().translate_back(&mut packet));
        assert_eq!(packet, before);
    }
}
