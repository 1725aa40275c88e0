//! [`Split`]: a super-packet from the TUN device, cut into the segments that it stands for. Pure.
//!
//! Owns what the kernel's segmentation would do (tcp_gso_segment, __udp_gso_segment): lengths, the
//! IPv4 identification and checksum, sequence numbers, flags. The transport checksums of the
//! segments are partial.
//!
//! ```text
//!  +---------+--------------------+      +---------+------+ +---------+------+ +---------+---+
//!  | headers | payload            |  =>  | adapted | size | | adapted | size | | adapted |   |
//!  +---------+--------------------+      +---------+------+ +---------+------+ +---------+---+
//! ```
//! Each byte is copied once: from the buffer that was read to where its segment is sealed.

use crate::checksum::{add, pseudo_header, sum};
use crate::counters::DropReason;
use crate::ip::u16_at;
use crate::offload::{Gso, GsoType};
use crate::transport::tcp_flags::{CWR, FIN, PSH};
use crate::transport::{Protocol, Transport};

/// A super-packet, and how to adapt its headers to each segment.
pub(crate) struct Split<'a> {
    headers: &'a mut [u8],
    payload: &'a [u8],
    /// Bytes of payload of every segment but the last.
    size: usize,
    transport: Transport,
    /// Sum of the IPv4 header without length, identification and checksum; 0 for IPv6.
    header_sum: u16,
    /// Sum of the pseudo-header without the length.
    pseudo_sum: u16,
    first_id: u16,
    tcp: Tcp,
}

/// Fields of the TCP header that differ between segments; zero for UDP.
#[derive(Default)]
struct Tcp {
    sequence: u32,
    flags: u8,
}

impl<'a> Split<'a> {
    /// A super-packet that `ip` has let through. TCP, which has no message boundaries, is cut into
    /// packets of at most `max_packet` bytes. Error: [`DropReason::Malformed`], if the packet is
    /// not what `gso` says.
    pub(crate) fn new(
        packet: &'a mut [u8],
        gso: &Gso,
        max_packet: usize,
    ) -> Result<Split<'a>, DropReason> {
        let transport = Transport::locate(packet)
            .filter(|transport| GsoType::of(transport) == gso.kind && gso.size > 0)
            .ok_or(DropReason::Malformed)?;

        let pseudo_sum = pseudo_header(packet, &transport);
        let (headers, payload) = packet.split_at_mut(transport.payload);

        // The fields that each segment fills in count as zero in the sum of the rest.
        let first_id = u16_at(headers, 4) as u16;
        let mut header_sum = 0;
        if !transport.v6 {
            headers[2..6].fill(0);
            headers[10..12].fill(0);
            header_sum = sum(&headers[..transport.start]);
        }

        let mut size = gso.size;
        let mut tcp = Tcp::default();
        if transport.protocol == Protocol::Tcp {
            // At least one byte, so that the number of segments stays finite.
            size = size.min(max_packet.saturating_sub(transport.payload).max(1));
            tcp = Tcp {
                sequence: transport.tcp_sequence(headers),
                flags: transport.tcp_flags(headers),
            };
        }

        Ok(Split {
            headers,
            payload,
            size,
            transport,
            header_sum,
            pseudo_sum,
            first_id,
            tcp,
        })
    }

    /// How many segments there are: at least one.
    pub(crate) fn count(&self) -> usize {
        self.payload.len().div_ceil(self.size).max(1)
    }

    /// Bytes of segment `at`.
    pub(crate) fn len(&self, at: usize) -> usize {
        self.headers.len() + self.size.min(self.payload.len() - at * self.size)
    }

    /// Writes segment `at` to `out`, which has [`Split::len`] bytes.
    pub(crate) fn write(&mut self, at: usize, out: &mut [u8]) {
        self.adapt_ip(at, out.len());
        self.adapt_transport(at, out.len());

        let (headers, payload) = out.split_at_mut(self.headers.len());
        headers.copy_from_slice(self.headers);
        payload.copy_from_slice(&self.payload[at * self.size..][..payload.len()]);
    }

    fn adapt_ip(&mut self, at: usize, len: usize) {
        // A segment is shorter than the super-packet, whose length fits.
        let len = len as u16;
        if self.transport.v6 {
            return self.headers[4..6].copy_from_slice(&(len - 40).to_be_bytes());
        }

        let id = self.first_id.wrapping_add(at as u16);
        let checksum = !add(add(self.header_sum, len), id);

        self.headers[2..4].copy_from_slice(&len.to_be_bytes());
        self.headers[4..6].copy_from_slice(&id.to_be_bytes());
        self.headers[10..12].copy_from_slice(&checksum.to_be_bytes());
    }

    fn adapt_transport(&mut self, at: usize, len: usize) {
        let is_last = at + 1 == self.count();
        let segment = (len - self.transport.start) as u16;
        let header = &mut self.headers[self.transport.start..];

        match self.transport.protocol {
            Protocol::Tcp => {
                let offset = (at * self.size) as u32;
                let sequence = self.tcp.sequence.wrapping_add(offset);
                header[4..8].copy_from_slice(&sequence.to_be_bytes());

                let not_last = if is_last { 0 } else { FIN | PSH };
                // Only the first segment reports the reduction (RFC 3168, section 6.1.2).
                let not_first = if at == 0 { 0 } else { CWR };
                header[13] = self.tcp.flags & !not_last & !not_first;
            }
            Protocol::Udp => header[4..6].copy_from_slice(&segment.to_be_bytes()),
        }

        let partial = add(self.pseudo_sum, segment).to_be_bytes();
        let field = self.transport.protocol.checksum_at();
        header[field..field + 2].copy_from_slice(&partial);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::craft::{self, Shape, any_shape};

    fn type_of(shape: &Shape) -> GsoType {
        match (shape.tcp, shape.v6) {
            (false, _) => GsoType::Udp,
            (true, false) => GsoType::TcpV4,
            (true, true) => GsoType::TcpV6,
        }
    }

    /// All segments of a super-packet, if it is one.
    fn split(packet: &mut [u8], gso: &Gso, max_packet: usize) -> Option<Vec<Vec<u8>>> {
        let mut split = Split::new(packet, gso, max_packet).ok()?;
        let mut segments = Vec::new();
        for at in 0..split.count() {
            let mut segment = vec![0xee; split.len(at)];
            split.write(at, &mut segment);
            segments.push(segment);
        }
        Some(segments)
    }

    proptest! {
        #[test]
        fn the_segments_are_the_packets_that_a_host_without_offload_would_send(
            shape in any_shape(), len in 1usize..20_000, size in 48usize..9000,
            max_packet in 1000usize..9000, seed: u8,
        ) {
            let payload: Vec<u8> = (0..len)
                .map(|at| (at as u8).wrapping_mul(31) ^ seed ^ (at >> 8) as u8)
                .collect();
            let gso = Gso { kind: type_of(&shape), header_len: shape.headers(), size };
            let segments = split(&mut shape.packet(&payload), &gso, max_packet).unwrap();

            let size = if shape.tcp { size.min(max_packet - shape.headers()) } else { size };
            let last = len.div_ceil(size) - 1;
            prop_assert_eq!(segments.len(), last + 1);
            let chunks = payload.chunks(size);
            for (at, (mut segment, chunk)) in segments.into_iter().zip(chunks).enumerate() {
                let not_last = if at < last { FIN | PSH } else { 0 };
                let not_first = if at > 0 { CWR } else { 0 };
                let alone = Shape {
                    id: shape.id.wrapping_add(at as u16),
                    sequence: shape.sequence.wrapping_add((at * size) as u32),
                    flags: shape.flags & !not_last & !not_first,
                    ..shape.clone()
                };
                let mut expected = alone.packet(chunk);
                craft::make_partial(&mut expected);
                prop_assert_eq!(segment.len(), expected.len());

                // 0 and 0xffff are the same sum: only complete checksums are compared.
                craft::complete(&mut expected);
                let place = Transport::locate(&segment).unwrap().checksum_place();
                prop_assert!(crate::checksum::complete(&mut segment, place.start, place.field));
                prop_assert!(craft::is_right(&segment));
                prop_assert_eq!(segment, expected, "segment {}", at);
            }
        }

        #[test]
        fn whatever_the_kernel_says_is_cut_or_refused(
            shape in any_shape(), payload in proptest::collection::vec(any::<u8>(), 0..300),
            size in 0usize..400, header_len in 0usize..200, kept in 0usize..400,
            damage in proptest::collection::vec((0usize..80, any::<u8>()), 0..4),
        ) {
            let mut packet = shape.packet(&payload);
            packet.truncate(kept);
            for (at, value) in damage {
                if let Some(byte) = packet.get_mut(at) {
                    *byte = value;
                }
            }
            for kind in [GsoType::TcpV4, GsoType::TcpV6, GsoType::Udp] {
                let _ = split(&mut packet.clone(), &Gso { kind, header_len, size }, 1000);
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
                let gso = Gso {
                    kind: GsoType::Udp,
                    header_len: 28,
                    size: 9,
                };
                let segments = split(&mut alone.clone(), &gso, 1000).unwrap();
                assert_eq!(segments[0][..20], alone[..20]);
                [alone[10], alone[11]]
            })
            .collect();
        // Only a sum of zeros is zero (RFC 1624, section 3).
        assert!(checksums.contains(&[0, 0]) && !checksums.contains(&[0xff, 0xff]));
    }
}
