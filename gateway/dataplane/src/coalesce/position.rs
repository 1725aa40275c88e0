//! [`Position`]: a packet's place in its flow, and whether another packet comes next.

use crate::ip::u16_at;
use crate::transport::tcp_flags::{ACK, ECE, PSH};
use crate::transport::{Protocol, Transport};

/// Don't Fragment, in the seventh byte of an IPv4 header (RFC 791, section 3.1).
const DONT_FRAGMENT: u8 = 0x40;

/// Header fields that change from packet to packet of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// IPv4 identification; 0 for IPv6.
    id: u16,
    /// Don't Fragment is set; true for IPv6.
    is_atomic: bool,
    /// TCP sequence number.
    sequence: Option<u32>,
    /// TCP flags; 0 for UDP.
    pub(super) flags: u8,
    /// Nothing may be joined behind it: TCP's PSH.
    pub(super) is_last: bool,
}

impl Position {
    /// `None` if the packet must travel alone: it has IPv4 options, or TCP flags that segmentation
    /// would not give back.
    pub(super) fn of(packet: &[u8], transport: &Transport) -> Option<Position> {
        // An option may concern one packet alone. The kernel's own GRO joins none that has options.
        if !transport.v6 && transport.start != 20 {
            return None;
        }

        let mut position = Position {
            id: 0,
            is_atomic: true,
            sequence: None,
            flags: 0,
            is_last: false,
        };
        if !transport.v6 {
            position.id = u16_at(packet, 4) as u16;
            position.is_atomic = packet[6] & DONT_FRAGMENT != 0;
        }

        if transport.protocol == Protocol::Tcp {
            let flags = transport.tcp_flags(packet);
            // Segmentation repeats ECE in every segment and keeps PSH for the last. It would leave
            // CWR to the first one alone, and SYN, FIN, RST and URG each mean one place in the
            // stream.
            if flags & !(PSH | ECE) != ACK {
                return None;
            }
            position.sequence = Some(transport.tcp_sequence(packet));
            position.flags = flags;
            position.is_last = flags & PSH != 0;
        }

        Some(position)
    }

    /// True if `next` comes directly behind this packet, whose payload has `size` bytes.
    pub(super) fn is_followed_by(&self, next: &Position, size: usize) -> bool {
        // In an atomic packet the identification means nothing (RFC 6864, section 4.1), and many
        // senders leave it constant; segmentation will count it up.
        let id_follows = next.id == self.id.wrapping_add(1) || self.is_atomic && next.id == self.id;

        let expected = self
            .sequence
            .map(|sequence| sequence.wrapping_add(size as u32));

        id_follows && next.sequence == expected && self.flags | PSH == next.flags | PSH
    }
}

/// True if both packets have the same headers except for lengths, checksums and what [`Position`]
/// holds. `transport` is that of both.
pub(super) fn same_headers(first: &[u8], next: &[u8], transport: &Transport) -> bool {
    let equal = |from: usize, to: usize| first[from..to] == next[from..to];

    // Version, traffic class and flow label; hop limit, next header, addresses, fragment bits.
    let same_ip = if transport.v6 {
        equal(0, 4) && equal(6, 40)
    } else {
        equal(0, 2) && equal(6, 10) && equal(12, 20)
    };

    let start = transport.start;
    let same_transport = match transport.protocol {
        // Ports; acknowledgement and length; window; urgent pointer and options, timestamps among
        // them.
        Protocol::Tcp => {
            equal(start, start + 4)
                && equal(start + 8, start + 13)
                && equal(start + 14, start + 16)
                && equal(start + 18, transport.payload)
        }
        Protocol::Udp => equal(start, start + 4),
    };

    same_ip && same_transport
}
