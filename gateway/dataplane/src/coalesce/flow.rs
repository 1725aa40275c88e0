//! [`Flow`]: a packet's place in its flow, and whether another packet comes next.

use super::u16_at;
use crate::transport::{Protocol, Transport};

// TCP flags (RFC 9293, section 3.1; RFC 3168, section 6.1).
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const ECE: u8 = 0x40;

/// What changes from packet to packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flow {
    /// IPv4 identification; 0 for IPv6.
    id: u16,
    /// Don't Fragment; true for IPv6.
    whole: bool,
    /// TCP sequence number.
    sequence: Option<u32>,
    pub(super) flags: u8,
    /// Nothing may follow: TCP's PSH.
    pub(super) ends: bool,
}

impl Flow {
    /// `None` if the packet must travel alone: IPv4 options, and TCP flags that a cut would not give back.
    pub(super) fn of(packet: &[u8], transport: &Transport) -> Option<Flow> {
        if !transport.v6 && transport.start != 20 {
            return None;
        }
        let (id, whole) = if transport.v6 {
            (0, true)
        } else {
            (u16_at(packet, 4) as u16, packet[6] & 0x40 != 0)
        };
        if transport.protocol == Protocol::Udp {
            return Some(Flow {
                id,
                whole,
                sequence: None,
                flags: 0,
                ends: false,
            });
        }
        let tcp = &packet[transport.start..];
        let flags = tcp[13];
        let sequence = tcp[4..8]
            .iter()
            .fold(0, |number, byte| number << 8 | u32::from(*byte));
        let plain = flags & !(PSH | ECE) == ACK;
        plain.then_some(Flow {
            id,
            whole,
            sequence: Some(sequence),
            flags,
            ends: flags & PSH != 0,
        })
    }

    /// True if `next` comes directly behind this packet, whose payload has `size` bytes.
    pub(super) fn is_followed_by(&self, next: &Flow, size: usize) -> bool {
        // With Don't Fragment set, the identification means nothing (RFC 6864, section 4.1), and many leave
        // it constant; a cut counts it up.
        let counted = next.id == self.id.wrapping_add(1) || self.whole && next.id == self.id;
        let behind = self
            .sequence
            .map(|sequence| sequence.wrapping_add(size as u32));
        counted && next.sequence == behind && self.flags | PSH == next.flags | PSH
    }
}

/// True if both packets have the same headers but for lengths, checksums and what [`Flow`] holds. `transport`
/// is that of both.
pub(super) fn same(first: &[u8], next: &[u8], transport: &Transport) -> bool {
    let equal = |from: usize, to: usize| first[from..to] == next[from..to];
    // Version, traffic class and flow label; hop limit, next header, addresses, fragment bits.
    let ip = if transport.v6 {
        equal(0, 4) && equal(6, 40)
    } else {
        equal(0, 2) && equal(6, 10) && equal(12, 20)
    };
    let at = |offset: usize| transport.start + offset;
    let transport = match transport.protocol {
        // Ports; acknowledgement and length; window; urgent pointer and options, timestamps among them.
        Protocol::Tcp => {
            equal(at(0), at(4))
                && equal(at(8), at(13))
                && equal(at(14), at(16))
                && equal(at(18), transport.payload)
        }
        Protocol::Udp => equal(at(0), at(4)),
    };
    ip && transport
}
