//! [`Coalesce`]: neighbours of a flow joined into one super-packet for the TUN device. Pure but for
//! `write`.
//!
//! Owns when packets may be joined, by the rules of the kernel's own receive offload
//! (inet_gro_receive, tcp_gro_receive, udp_gro_receive), so that segmenting a super-packet gives
//! back the packets that came. `position` compares headers.
//!
//! ```text
//!  push ─► continues the run? ─ yes ─► joins it ─► short or PSH: the run is written
//!            └─ no: the run is written ─► may start one? ─ yes ─► a run of one
//!                                            └─ no: written alone
//! ```
//! There is one run at a time, and it never outlives the buffer: no packet overtakes another, none
//! waits. Packets with complete checksums are joined only if these are right, and never with
//! partial ones.

mod position;
#[cfg(test)]
mod tests;

use std::io::IoSlice;

use self::position::Position;
use crate::checksum::{add, is_header_right, is_transport_right, pseudo_header, sum};
use crate::header::Checksum;
use crate::offload::{Gso, GsoType, OFFLOAD_LEN, Offload};
use crate::transport::{Protocol, Transport};

/// Packets in one run: as many as the kernel joins of UDP (UDP_GRO_CNT_MAX).
const MAX_PACKETS: usize = 64;

/// Bytes of the longest super-packet: what the length field of IPv4 can say.
const MAX_LEN: usize = 0xffff;

/// Joins the packets of one buffer. `W` gets the parts of one write and the number of packets in
/// it.
pub(crate) struct Coalesce<'b, W> {
    write: W,
    segments_udp: bool,
    run: Option<Run<'b>>,
    /// Payloads of the run's packets. The first place is free for the run's head.
    parts: [IoSlice<'b>; MAX_PACKETS],
}

/// Packets that are written together.
struct Run<'b> {
    /// Headroom for the offload header, and the first packet.
    head: &'b mut [u8],
    checksum: Checksum,
    transport: Transport,
    /// That of the last packet.
    position: Position,
    /// Bytes of payload of each packet but the last.
    size: usize,
    /// Bytes of the whole super-packet.
    len: usize,
    count: usize,
    /// The first packet's complete checksum was found right.
    is_verified: bool,
}

impl<'b, W: FnMut(&[IoSlice<'_>], usize)> Coalesce<'b, W> {
    /// Nothing is joined yet. `segments_udp`: the TUN device cuts UDP super-packets, too.
    pub(crate) fn new(segments_udp: bool, write: W) -> Self {
        Coalesce {
            write,
            segments_udp,
            run: None,
            parts: [IoSlice::new(&[]); MAX_PACKETS],
        }
    }

    /// Takes a packet with [`OFFLOAD_LEN`] bytes of headroom. `transport` was found in it.
    pub(crate) fn push(
        &mut self,
        bytes: &'b mut [u8],
        checksum: Checksum,
        transport: Option<Transport>,
    ) {
        let packet = &bytes[OFFLOAD_LEN..];
        let Some(transport) = transport else {
            // What came before is written before it.
            self.flush();
            return self.write_alone(bytes, checksum, None);
        };

        let Some(position) = self.position_of(packet, &transport) else {
            self.flush();
            return self.write_alone(bytes, checksum, Some(&transport));
        };

        let payload = packet.len() - transport.payload;
        if let Some(run) = &mut self.run
            && run.accepts(packet, checksum, &transport, &position)
        {
            run.position = position;
            run.len += payload;
            self.parts[run.count] = IoSlice::new(&bytes[OFFLOAD_LEN + transport.payload..]);
            run.count += 1;
            // Segmentation makes all packets but the last equally long.
            if position.is_last || payload < run.size || run.count == MAX_PACKETS {
                self.flush();
            }
            return;
        }

        self.flush();
        // Nothing may be joined behind it.
        if position.is_last {
            return self.write_alone(bytes, checksum, Some(&transport));
        }

        let len = packet.len();
        self.run = Some(Run {
            head: bytes,
            checksum,
            transport,
            position,
            size: payload,
            len,
            count: 1,
            is_verified: false,
        });
    }

    /// Writes the run.
    pub(crate) fn flush(&mut self) {
        let Some(mut run) = self.run.take() else {
            return;
        };

        if run.count == 1 {
            return self.write_alone(run.head, run.checksum, Some(&run.transport));
        }
        run.finish();

        // The first packet with its headers, then the payloads of the others from where they lie.
        let mut parts: [IoSlice<'_>; MAX_PACKETS] = self.parts;
        parts[0] = IoSlice::new(run.head);
        (self.write)(&parts[..run.count], run.count);
    }

    fn write_alone(&mut self, bytes: &mut [u8], checksum: Checksum, transport: Option<&Transport>) {
        let place = transport
            .filter(|_| checksum == Checksum::Partial)
            .map(Transport::checksum_place);

        let offload = Offload {
            checksum: place,
            gso: None,
        };

        bytes[..OFFLOAD_LEN].copy_from_slice(&offload.encode());
        (self.write)(&[IoSlice::new(bytes)], 1);
    }

    /// The packet's position in its flow; `None` if no packet can ever be joined with it.
    fn position_of(&self, packet: &[u8], transport: &Transport) -> Option<Position> {
        // A bare acknowledgement must not wait in a run, and UDP needs a kernel that cuts it.
        let is_segmented = transport.protocol == Protocol::Tcp || self.segments_udp;
        let has_payload = packet.len() > transport.payload;
        if !is_segmented || !has_payload {
            return None;
        }

        Position::of(packet, transport).filter(|_| is_header_right(packet, transport))
    }
}

impl Run<'_> {
    /// True if the packet is the next of the run.
    fn accepts(
        &mut self,
        packet: &[u8],
        checksum: Checksum,
        transport: &Transport,
        position: &Position,
    ) -> bool {
        let payload = packet.len() - transport.payload;
        let follows = self.checksum == checksum
            && self.transport == *transport
            && payload <= self.size
            && self.len + payload <= MAX_LEN
            && self.position.is_followed_by(position, self.size)
            && position::same_headers(&self.head[OFFLOAD_LEN..], packet, transport);

        // A wrong checksum must stay wrong: joining would replace it by a right one.
        follows
            && (checksum == Checksum::Partial
                || self.is_first_right() && is_transport_right(packet, transport))
    }

    fn is_first_right(&mut self) -> bool {
        self.is_verified =
            self.is_verified || is_transport_right(&self.head[OFFLOAD_LEN..], &self.transport);
        self.is_verified
    }

    /// Turns the first packet's headers into those of the super-packet, with a partial checksum.
    fn finish(&mut self) {
        let start = self.transport.start;
        let (header, packet) = self.head.split_at_mut(OFFLOAD_LEN);
        let segment = (self.len - start) as u16;
        let partial = add(pseudo_header(packet, &self.transport), segment);

        // Lengths are those of the whole; segmentation gives each packet its own again.
        if self.transport.v6 {
            packet[4..6].copy_from_slice(&segment.to_be_bytes());
        } else {
            packet[2..4].copy_from_slice(&(self.len as u16).to_be_bytes());
            packet[10..12].fill(0);
            let checksum = !sum(&packet[..start]);
            packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        }

        match self.transport.protocol {
            // PSH of the last packet; the other flags are equal.
            Protocol::Tcp => packet[start + 13] = self.position.flags,
            Protocol::Udp => packet[start + 4..start + 6].copy_from_slice(&segment.to_be_bytes()),
        }

        let place = self.transport.checksum_place();
        packet[place.field..place.field + 2].copy_from_slice(&partial.to_be_bytes());

        let offload = Offload {
            checksum: Some(place),
            gso: Some(Gso {
                kind: GsoType::of(&self.transport),
                header_len: self.transport.payload,
                size: self.size,
            }),
        };
        header.copy_from_slice(&offload.encode());
    }
}
