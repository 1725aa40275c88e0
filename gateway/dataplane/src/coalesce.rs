//! [`Coalesce`]: neighbours of a flow joined into one super-packet for the TUN device. Pure but for `write`.
//!
//! Owns when packets may be joined, by the rules of the kernel's own receive offload (inet_gro_receive,
//! tcp_gro_receive, udp_gro_receive), so that what is cut again later is what came. `flow` compares headers.
//!
//! ```text
//!  push ─► continues the run? ─ yes ─► joins it ─► short or PSH: the run is written
//!            └─ no: the run is written ─► may start one? ─ yes ─► a run of one
//!                                            └─ no: written alone
//! ```
//! There is one run at a time, and it never outlives the buffer: no packet overtakes another, none waits.
//! Packets with complete checksums join only if these are right, and never those with partial ones.

mod flow;
#[cfg(test)]
mod tests;

use std::io::IoSlice;

use self::flow::Flow;
use crate::checksum::{add, is_header_right, is_transport_right, pseudo_header, sum};
use crate::header::Checksum;
use crate::ip::u16_at;
use crate::offload::{Cut, OFFLOAD_LEN, Offload, Pieces, Sum};
use crate::transport::{Protocol, Transport};

/// Packets in one run: as many as the kernel joins of UDP (UDP_GRO_CNT_MAX).
const MOST: usize = 64;

/// The longest IP packet.
const MAX_PACKET: usize = 0xffff;

/// Joins the packets of one buffer. `W` is given the parts of one write and the number of packets in it.
pub(crate) struct Coalesce<'b, W> {
    write: W,
    joins_udp: bool,
    run: Option<Run<'b>>,
    /// The first is left free for the head.
    parts: [IoSlice<'b>; MOST],
}

/// Packets that are written together.
struct Run<'b> {
    /// Room for the offload header, and the first packet.
    head: &'b mut [u8],
    checksum: Checksum,
    transport: Transport,
    flow: Flow,
    /// Bytes of payload of each packet but the last.
    size: usize,
    /// Bytes of the whole packet.
    len: usize,
    count: usize,
    /// The first packet's complete checksum was found right.
    verified: bool,
}

impl<'b, W: FnMut(&[IoSlice<'_>], usize)> Coalesce<'b, W> {
    pub(crate) fn new(joins_udp: bool, write: W) -> Self {
        Coalesce {
            write,
            joins_udp,
            run: None,
            parts: [IoSlice::new(&[]); MOST],
        }
    }

    /// Takes a packet that lies behind [`OFFLOAD_LEN`] bytes to be overwritten. `transport` was found in it.
    pub(crate) fn push(
        &mut self,
        bytes: &'b mut [u8],
        checksum: Checksum,
        transport: Option<Transport>,
    ) {
        let packet = &bytes[OFFLOAD_LEN..];
        let flow =
            transport.and_then(|transport| self.joinable(packet, &transport).zip(Some(transport)));
        let Some((flow, transport)) = flow else {
            self.flush();
            return self.write_alone(bytes, checksum, transport.as_ref());
        };
        let payload = packet.len() - transport.payload;
        if let Some(run) = &mut self.run
            && run.takes(packet, checksum, &transport, &flow)
        {
            run.flow = flow;
            run.len += payload;
            self.parts[run.count] = IoSlice::new(&bytes[OFFLOAD_LEN + transport.payload..]);
            run.count += 1;
            if flow.ends || payload < run.size || run.count == MOST {
                self.flush();
            }
            return;
        }
        self.flush();
        if flow.ends {
            return self.write_alone(bytes, checksum, Some(&transport));
        }
        let len = packet.len();
        let run = Run {
            head: bytes,
            checksum,
            transport,
            flow,
            size: payload,
            len,
            count: 1,
            verified: false,
        };
        self.run = Some(run);
    }

    /// Writes what has been joined.
    pub(crate) fn flush(&mut self) {
        let Some(mut run) = self.run.take() else {
            return;
        };
        if run.count == 1 {
            return self.write_alone(run.head, run.checksum, Some(&run.transport));
        }
        run.finish();
        let mut parts: [IoSlice<'_>; MOST] = self.parts;
        parts[0] = IoSlice::new(run.head);
        (self.write)(&parts[..run.count], run.count);
    }

    fn write_alone(&mut self, bytes: &mut [u8], checksum: Checksum, transport: Option<&Transport>) {
        let checksum = transport
            .filter(|_| checksum == Checksum::Partial)
            .map(Sum::of);
        bytes[..OFFLOAD_LEN].copy_from_slice(
            &Offload {
                checksum,
                cut: None,
            }
            .encode(),
        );
        (self.write)(&[IoSlice::new(bytes)], 1);
    }

    /// The packet's place in its flow, if any packet could ever join it or be joined by it.
    fn joinable(&self, packet: &[u8], transport: &Transport) -> Option<Flow> {
        let known = transport.protocol == Protocol::Tcp || self.joins_udp;
        let flow =
            Flow::of(packet, transport).filter(|_| known && packet.len() > transport.payload)?;
        is_header_right(packet, transport).then_some(flow)
    }
}

impl Run<'_> {
    /// True if the packet is the next of the run.
    fn takes(
        &mut self,
        packet: &[u8],
        checksum: Checksum,
        transport: &Transport,
        flow: &Flow,
    ) -> bool {
        let payload = packet.len() - transport.payload;
        let fits = self.checksum == checksum
            && self.transport == *transport
            && payload <= self.size
            && self.len + payload <= MAX_PACKET
            && self.flow.is_followed_by(flow, self.size)
            && flow::same(&self.head[OFFLOAD_LEN..], packet, transport);
        fits && (checksum == Checksum::Partial
            || self.is_first_right() && is_transport_right(packet, transport))
    }

    fn is_first_right(&mut self) -> bool {
        self.verified =
            self.verified || is_transport_right(&self.head[OFFLOAD_LEN..], &self.transport);
        self.verified
    }

    /// Makes the first packet's headers those of the whole, with a partial checksum.
    fn finish(&mut self) {
        let Transport {
            v6,
            protocol,
            start,
            payload,
        } = self.transport;
        let (offload, packet) = self.head.split_at_mut(OFFLOAD_LEN);
        let segment = (self.len - start) as u16;
        let partial = add(pseudo_header(packet, &self.transport), segment);
        if v6 {
            packet[4..6].copy_from_slice(&segment.to_be_bytes());
        } else {
            packet[2..4].copy_from_slice(&(self.len as u16).to_be_bytes());
            packet[10..12].fill(0);
            let checksum = !sum(&packet[..start]);
            packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        let checksum = Sum::of(&self.transport);
        packet[checksum.field..checksum.field + 2].copy_from_slice(&partial.to_be_bytes());
        match protocol {
            Protocol::Tcp => packet[start + 13] = self.flow.flags,
            Protocol::Udp => packet[start + 4..start + 6].copy_from_slice(&segment.to_be_bytes()),
        }
        let cut = Cut {
            pieces: Pieces::of(&self.transport),
            header_len: payload,
            size: self.size,
        };
        offload.copy_from_slice(
            &Offload {
                checksum: Some(checksum),
                cut: Some(cut),
            }
            .encode(),
        );
    }
}
