//! [`Split`]: a super-packet from the TUN device, cut into the packets that it stands for. Pure.
//!
//! Owns what the kernel's segmentation would do (tcp_gso_segment, __udp_gso_segment): lengths, the IPv4
//! identification and checksum, sequence numbers, flags. The transport checksums of the pieces are partial.
//!
//! ```text
//!  +---------+-------------------------------+        +---------+------+  +---------+------+  +---------+---+
//!  | headers | payload                       |   =>   | adapted | size |  | adapted | size |  | adapted |   |
//!  +---------+-------------------------------+        +---------+------+  +---------+------+  +---------+---+
//! ```
//! One copy per byte: out of the buffer that was read, to where the piece is sealed.

use crate::checksum::{add, pseudo_header, sum};
use crate::counters::DropReason;
use crate::ip::u16_at;
use crate::offload::{Cut, Pieces};
use crate::transport::{Protocol, Transport};

// TCP flags (RFC 9293, section 3.1; RFC 3168, section 6.1.2).
const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

/// A super-packet, and how to adapt its headers to each piece.
pub(crate) struct Split<'a> {
    headers: &'a mut [u8],
    payload: &'a [u8],
    size: usize,
    transport: Transport,
    /// Of the IPv4 header without length, identification and checksum.
    header_sum: u16,
    /// Of the pseudo-header without the length.
    pseudo_sum: u16,
    first_id: u16,
    first_sequence: u32,
    flags: u8,
}

impl<'a> Split<'a> {
    /// A super-packet that `ip` has let through. TCP, which knows no boundaries, is cut into pieces of at most
    /// `room` bytes. Error: [`DropReason::Malformed`], if it is not what `cut` says.
    pub(crate) fn new(
        packet: &'a mut [u8],
        cut: &Cut,
        room: usize,
    ) -> Result<Split<'a>, DropReason> {
        let transport = Transport::locate(packet)
            .filter(|transport| Pieces::of(transport) == cut.pieces && cut.size > 0)
            .ok_or(DropReason::Malformed)?;
        let pseudo_sum = pseudo_header(packet, &transport);
        let (headers, payload) = packet.split_at_mut(transport.payload);
        let first_id = u16_at(headers, 4) as u16;
        let mut header_sum = 0;
        if !transport.v6 {
            headers[2..6].fill(0);
            headers[10..12].fill(0);
            header_sum = sum(&headers[..transport.start]);
        }
        let (mut first_sequence, mut flags, mut size) = (0, 0, cut.size);
        if transport.protocol == Protocol::Tcp {
            size = size.min(room.saturating_sub(transport.payload).max(1));
            let tcp = &headers[transport.start..];
            first_sequence = tcp[4..8]
                .iter()
                .fold(0, |number, byte| number << 8 | u32::from(*byte));
            flags = tcp[13];
        }
        Ok(Split {
            headers,
            payload,
            size,
            transport,
            header_sum,
            pseudo_sum,
            first_id,
            first_sequence,
            flags,
        })
    }

    /// How many pieces there are: one at least.
    pub(crate) fn count(&self) -> usize {
        self.payload.len().div_ceil(self.size).max(1)
    }

    /// Bytes of piece `at`.
    pub(crate) fn len(&self, at: usize) -> usize {
        self.headers.len() + self.size.min(self.payload.len() - at * self.size)
    }

    /// Writes piece `at` to `out`, which is as long as it.
    pub(crate) fn write(&mut self, at: usize, out: &mut [u8]) {
        let offset = at * self.size;
        let last = at + 1 == self.count();
        self.adapt_ip(at, out.len());
        let segment = (out.len() - self.transport.start) as u16;
        let partial = add(self.pseudo_sum, segment).to_be_bytes();
        let header = &mut self.headers[self.transport.start..];
        match self.transport.protocol {
            Protocol::Tcp => {
                let sequence = self.first_sequence.wrapping_add(offset as u32);
                header[4..8].copy_from_slice(&sequence.to_be_bytes());
                header[13] = self.flags
                    & !(if last { 0 } else { FIN | PSH })
                    // The first piece reports the reduction (RFC 3168, section 6.1.2).
                    & !(if at == 0 { 0 } else { CWR });
            }
            Protocol::Udp => header[4..6].copy_from_slice(&segment.to_be_bytes()),
        }
        let field = self.transport.protocol.checksum_at();
        header[field..field + 2].copy_from_slice(&partial);
        let (headers, payload) = out.split_at_mut(self.headers.len());
        headers.copy_from_slice(self.headers);
        payload.copy_from_slice(&self.payload[offset..][..payload.len()]);
    }

    fn adapt_ip(&mut self, at: usize, len: usize) {
        // A piece is shorter than the packet, whose length fits.
        let (header, len) = (&mut *self.headers, len as u16);
        if self.transport.v6 {
            return header[4..6].copy_from_slice(&(len - 40).to_be_bytes());
        }
        let id = self.first_id.wrapping_add(at as u16);
        let checksum = !add(add(self.header_sum, len), id);
        header[2..4].copy_from_slice(&len.to_be_bytes());
        header[4..6].copy_from_slice(&id.to_be_bytes());
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::craft::{self, Shape, any_shape};

    fn pieces_of(shape: &Shape) -> Pieces {
        match (shape.tcp, shape.v6) {
            (false, _) => Pieces::Udp,
            (true, false) => Pieces::TcpV4,
            (true, true) => Pieces::TcpV6,
        }
    }

    /// All pieces of a super-packet, if it is one.
    fn split(packet: &mut [u8], cut: &Cut, room: usize) -> Option<Vec<Vec<u8>>> {
        let mut split = Split::new(packet, cut, room).ok()?;
        let count = split.count();
        let piece = |at| {
            let mut out = vec![0xee; split.len(at)];
            split.write(at, &mut out);
            out
        };
        Some((0..count).map(piece).collect())
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_packets_that_a_host_without_offload_would_send(
            shape in any_shape(), len in 1usize..20_000, size in 48usize..9000, room in 1000usize..9000, seed: u8,
        ) {
            let payload: Vec<u8> = (0..len).map(|at| (at as u8).wrapping_mul(31) ^ seed ^ (at >> 8) as u8).collect();
            let cut = Cut { pieces: pieces_of(&shape), header_len: shape.headers(), size };
            let pieces = split(&mut shape.packet(&payload), &cut, room).unwrap();
            let size = if shape.tcp { size.min(room - shape.headers()) } else { size };
            let last = len.div_ceil(size) - 1;
            prop_assert_eq!(pieces.len(), last + 1);
            for (at, (mut piece, chunk)) in pieces.into_iter().zip(payload.chunks(size)).enumerate() {
                let alone = Shape {
                    id: shape.id.wrapping_add(at as u16),
                    sequence: shape.sequence.wrapping_add((at * size) as u32),
                    flags: shape.flags & if at < last { !(FIN | PSH) } else { 0xff } & if at > 0 { !CWR } else { 0xff },
                    ..shape.clone()
                };
                let mut expected = alone.packet(chunk);
                craft::make_partial(&mut expected);
                // 0 and 0xffff are the same sum.
                prop_assert_eq!(piece.len(), expected.len());
                craft::complete(&mut expected);
                let transport = Transport::locate(&piece).unwrap();
                let sum = crate::offload::Sum::of(&transport);
                prop_assert!(crate::checksum::complete(&mut piece, sum.start, sum.field));
                prop_assert!(craft::is_right(&piece));
                prop_assert_eq!(piece, expected, "piece {}", at);
            }
        }

        #[test]
        fn whatever_the_kernel_says_is_cut_or_refused(
            shape in any_shape(), payload in proptest::collection::vec(any::<u8>(), 0..300), size in 0usize..400,
            header_len in 0usize..200, damage in proptest::collection::vec((0usize..80, any::<u8>()), 0..4),
            kept in 0usize..400,
        ) {
            let mut packet = shape.packet(&payload);
            packet.truncate(kept);
            for (at, value) in damage {
                if let Some(byte) = packet.get_mut(at) {
                    *byte = value;
                }
            }
            for pieces in [Pieces::TcpV4, Pieces::TcpV6, Pieces::Udp] {
                let _ = split(&mut packet.clone(), &Cut { pieces, header_len, size }, 1000);
            }
        }
    }

    #[test]
    fn whatever_the_identification_the_header_is_the_one_that_a_host_would_send() {
        let udp = Shape {
            v6: false,
            tcp: false,
            options: Vec::new(),
            flags: 0,
            sequence: 0,
            id: 0,
            dont_fragment: true,
            traffic_class: 0,
            port: 7050,
        };
        let checksums: BTreeSet<[u8; 2]> = (0..=u16::MAX)
            .map(|id| {
                let alone = Shape { id, ..udp.clone() }.packet(&[7; 9]);
                let cut = Cut {
                    pieces: Pieces::Udp,
                    header_len: 28,
                    size: 9,
                };
                let pieces = split(&mut alone.clone(), &cut, 1000).unwrap();
                assert_eq!(pieces[0][..20], alone[..20]);
                [alone[10], alone[11]]
            })
            .collect();
        // No sum but that of zeros is zero (RFC 1624, section 3).
        assert!(checksums.contains(&[0, 0]) && !checksums.contains(&[0xff, 0xff]));
    }
}
