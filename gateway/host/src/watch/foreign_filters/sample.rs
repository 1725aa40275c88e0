//! [`Sample`]: a packet as an nftables rule sees it, with unknown parts. It is the first packet of
//! a connection, or an answer.

use std::net::IpAddr;

use super::expression::Ports;

/// An interface that a packet passes.
#[derive(Debug, Clone)]
pub(super) struct Interface {
    pub(super) name: String,
    /// `None` if it does not exist now.
    pub(super) index: Option<u32>,
}

/// See the head of this file.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// The input interface; `None` for a packet of this host, or if it may be any interface except
    /// loopback.
    pub(super) input: Option<Interface>,
    /// The output interface; `None` before the routing decision, or if the packet is for this host.
    pub(super) output: Option<Interface>,
    /// The packet is for this host.
    pub(super) is_local: bool,
    pub(super) is_v4: bool,
    pub(super) source: Option<IpAddr>,
    pub(super) destination: Option<IpAddr>,
    pub(super) protocol: u8,
    /// `None` if it may be any.
    pub(super) source_port: Option<u16>,
    /// The destination port; `None` if it may be any.
    pub(super) port: Option<u16>,
    /// The flags of TCP; `None` if they may be any.
    pub(super) flags: Option<u8>,
    /// The mark; `None` if it may be any.
    pub(super) mark: Option<u32>,
    pub(super) state: State,
}

/// Protocol numbers.
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMP: u8 = 1;
pub(super) const ICMPV6: u8 = 58;

/// Flags of TCP (RFC 9293, section 3.1): of the first packet, of the answer to it, and of most
/// others.
pub(super) const SYN: u8 = 0x02;
pub(super) const ACK: u8 = 0x10;
pub(super) const SYN_ACK: u8 = 0x12;

/// The state of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// This is its first packet.
    New,
    /// Packets in both directions have passed.
    Established,
    /// Connection tracking has not seen the packet yet.
    Untracked,
}

impl State {
    /// Its bit in a register (linux/netfilter/nf_conntrack_common.h, `NF_CT_STATE_BIT`) and in the
    /// mask of the iptables match.
    pub(super) fn bit(self) -> Option<u32> {
        match self {
            State::Established => Some(1 << 1),
            State::New => Some(1 << 3),
            State::Untracked => None,
        }
    }
}

/// Types of addresses, as bits of the iptables match `addrtype` (linux/rtnetlink.h, `RTN_*`).
const UNICAST: u16 = 1 << 1;
const LOCAL: u16 = 1 << 2;

impl Sample {
    /// True if the type of the destination is one of `types`.
    pub(super) fn has_destination_type(&self, types: u16) -> bool {
        let own_type = if self.is_local { LOCAL } else { UNICAST };

        types & own_type != 0
    }

    /// True if it has one of `ports`; `None` if that depends on a port that is not known.
    pub(super) fn has_port(&self, ports: &Ports) -> Option<bool> {
        let sides = [
            (ports.source, self.source_port),
            (ports.destination, self.port),
        ];
        let compared = sides.into_iter().filter(|(is_compared, _)| *is_compared);
        let found: Vec<Option<bool>> = compared
            .map(|(_, port)| port.map(|port| ports.ranges.iter().any(|it| it.contains(&port))))
            .collect();

        let has_one = if found.contains(&Some(true)) {
            true
        } else if found.contains(&None) {
            return None;
        } else {
            false
        };
        Some(has_one != ports.is_inverted)
    }

    /// Bytes of the network header from `offset`, each of them known or not; `None` if the header
    /// is shorter.
    pub(super) fn network(&self, offset: usize, length: usize) -> Option<Vec<Option<u8>>> {
        let mut header = vec![None; if self.is_v4 { 20 } else { 40 }];

        // RFC 791, section 3.1; RFC 8200, section 3.
        let (protocol, source, destination) = if self.is_v4 { (9, 12, 16) } else { (6, 8, 24) };
        header[protocol] = Some(self.protocol);
        for (at, address) in [(source, self.source), (destination, self.destination)] {
            if let Some(address) = address {
                put(&mut header, at, &bytes(address));
            }
        }

        part(&header, offset, length)
    }

    /// Bytes of the transport header, each of them known or not.
    pub(super) fn transport(&self, offset: usize, length: usize) -> Option<Vec<Option<u8>>> {
        // RFC 9293, section 3.1. UDP's header is shorter and has the ports at the same offsets.
        let mut header = vec![None; 20];
        header[13] = self.flags;
        // The type of an echo (RFC 792, RFC 4443, section 4).
        header[0] = match (self.protocol, self.state) {
            (ICMP, State::New) => Some(8),
            (ICMP, _) => Some(0),
            (ICMPV6, State::New) => Some(128),
            (ICMPV6, _) => Some(129),
            _ => None,
        };
        for (at, port) in [(0, self.source_port), (2, self.port)] {
            if let Some(port) = port {
                put(&mut header, at, &port.to_be_bytes());
            }
        }

        part(&header, offset, length)
    }
}

fn part(header: &[Option<u8>], offset: usize, length: usize) -> Option<Vec<Option<u8>>> {
    let part = header.get(offset..offset.checked_add(length)?)?;

    Some(part.to_vec())
}

fn put(header: &mut [Option<u8>], at: usize, bytes: &[u8]) {
    for (place, byte) in header[at..].iter_mut().zip(bytes) {
        *place = Some(*byte);
    }
}

fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().into(),
        IpAddr::V6(v6) => v6.octets().into(),
    }
}

/// A packet from the site into the tunnel, to any port.
#[cfg(test)]
pub(super) fn outbound(state: State) -> Sample {
    let interface = |name: &str| {
        Some(Interface {
            name: name.into(),
            index: Some(7),
        })
    };

    Sample {
        is_local: false,
        input: interface("lan0"),
        output: interface("ringway0"),
        is_v4: true,
        source: Some("10.1.0.2".parse().unwrap()),
        destination: Some("10.2.0.1".parse().unwrap()),
        protocol: 6,
        source_port: None,
        port: None,
        flags: None,
        mark: None,
        state,
    }
}
