//! Packets for tests.

use std::net::IpAddr;

use crate::packet::protocol::{ICMP, ICMPV6, TCP, UDP};

/// Both addresses of packets.
#[derive(Clone, Copy)]
pub(crate) struct Between {
    source: IpAddr,
    destination: IpAddr,
}

pub(crate) fn v4(source: &str, destination: &str) -> Between {
    between(source, destination)
}

pub(crate) fn v6(source: &str, destination: &str) -> Between {
    between(source, destination)
}

pub(crate) fn between(source: &str, destination: &str) -> Between {
    Between {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

impl Between {
    pub(crate) fn back(self) -> Between {
        Between {
            source: self.destination,
            destination: self.source,
        }
    }

    /// A packet of any protocol.
    pub(crate) fn raw(self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
                packet.extend(source.octets());
                packet.extend(destination.octets());
                packet
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut packet = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
                packet.extend(source.octets());
                packet.extend(destination.octets());
                packet
            }
            _ => panic!("two families"),
        };

        packet.extend(payload);
        fix_length(&mut packet);
        packet
    }

    pub(crate) fn udp(self, from: u16, to: u16, data: &[u8]) -> Vec<u8> {
        let mut payload = [from.to_be_bytes(), to.to_be_bytes()].concat();
        payload.extend((8 + data.len() as u16).to_be_bytes());
        payload.extend([0, 0]);
        payload.extend(data);
        self.raw(UDP, &payload)
    }

    pub(crate) fn tcp(self, from: u16, to: u16, flags: u8, ack: u32) -> Vec<u8> {
        let mut payload = [from.to_be_bytes(), to.to_be_bytes()].concat();
        payload.extend([0; 4]);
        payload.extend(ack.to_be_bytes());
        payload.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
        self.raw(TCP, &payload)
    }

    pub(crate) fn echo_request(self, id: u16) -> Vec<u8> {
        self.icmp(if self.is_v6() { 128 } else { 8 }, id, &[1; 8])
    }

    pub(crate) fn echo_reply(self, id: u16) -> Vec<u8> {
        self.icmp(if self.is_v6() { 129 } else { 0 }, id, &[1; 8])
    }

    /// An error of a type about a packet.
    pub(crate) fn icmp_error(self, kind: u8, about: &[u8]) -> Vec<u8> {
        self.icmp(kind, 0, about)
    }

    pub(crate) fn icmp(self, kind: u8, id: u16, body: &[u8]) -> Vec<u8> {
        let mut payload = vec![kind, 0, 0, 0];
        payload.extend(id.to_be_bytes());
        payload.extend([0, 1]);
        payload.extend(body);
        self.raw(if self.is_v6() { ICMPV6 } else { ICMP }, &payload)
    }

    pub(crate) fn is_v6(self) -> bool {
        self.source.is_ipv6()
    }
}

/// Writes the length into the header.
pub(crate) fn fix_length(packet: &mut [u8]) {
    let len = packet.len() as u16;
    if packet[0] >> 4 == 4 {
        packet[2..4].copy_from_slice(&len.to_be_bytes());
    } else {
        packet[4..6].copy_from_slice(&(len - 40).to_be_bytes());
    }
}

/// A packet without extension headers in two fragments, of which the first holds `split` bytes.
pub(crate) fn fragments(packet: &[u8], id: u32, split: usize) -> [Vec<u8>; 2] {
    let start = if packet[0] >> 4 == 4 { 20 } else { 40 };
    let (front, back) = packet[start..].split_at(split);
    [
        fragment(packet, id, 0, true, front),
        fragment(packet, id, split, false, back),
    ]
}

/// One fragment of a packet without extension headers.
pub(crate) fn fragment(packet: &[u8], id: u32, offset: usize, more: bool, data: &[u8]) -> Vec<u8> {
    let mut fragment;
    if packet[0] >> 4 == 4 {
        fragment = packet[..20].to_vec();
        fragment[4..6].copy_from_slice(&(id as u16).to_be_bytes());
        let field = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
        fragment[6..8].copy_from_slice(&field.to_be_bytes());
    } else {
        fragment = packet[..40].to_vec();
        let next = std::mem::replace(&mut fragment[6], 44);
        fragment.extend([next, 0]);
        fragment.extend((offset as u16 | u16::from(more)).to_be_bytes());
        fragment.extend(id.to_be_bytes());
    }

    fragment.extend(data);
    fix_length(&mut fragment);
    fragment
}
