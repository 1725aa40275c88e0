//! [`GsoBatch`]: datagrams to one peer that leave in one sendmsg(2), cut apart by the kernel
//! (UDP_SEGMENT, udp(7)).
//!
//! Owns the buffer that packets are sealed in, which datagrams may share a send (those of one
//! traffic class), and what is done and counted when the kernel refuses. A batch that the kernel
//! cannot cut is sent one datagram at a time, so that nothing is lost by having been batched. A
//! packet that is longer than the path takes goes alone, in fragments.
//!
//! ```text
//!  push ─► fits behind the others? ─► written and sealed in its segment ─► ... ─► flush
//!            └─ no: flush first
//! ```

use std::io;
use std::sync::Arc;

use crate::counters::DropReason;
use crate::header::{Checksum, HEADER_LEN, Kind, OVERHEAD, TAG_LEN};
use crate::outlet::Outlet;
use crate::session::Outgoing;
use crate::traffic_class::TrafficClass;
use crate::udp::{self, MAX_SEGMENTS, MAX_SEND, Udp};

/// A packet to be sealed, whose bytes the caller writes to where it is sealed.
pub(crate) struct Plaintext {
    /// From [`Outgoing::reserve`].
    pub(crate) number: u64,
    pub(crate) checksum: Checksum,
    /// Goes to the outer header, which all datagrams of a send share.
    pub(crate) class: TrafficClass,
    pub(crate) len: usize,
}

/// Datagrams of one length behind each other, the last one perhaps shorter.
pub(crate) struct GsoBatch {
    bytes: Box<[u8]>,
    /// Bytes in use.
    len: usize,
    /// `None` while the batch is empty.
    session: Option<Arc<Outgoing>>,
    class: TrafficClass,
    count: usize,
    /// Length of the first segment, which all but the last have.
    first: usize,
    last: usize,
    /// Segments that the kernel cuts: one, after it has refused to checksum them.
    max_segments: usize,
}

impl GsoBatch {
    pub(crate) fn new() -> GsoBatch {
        GsoBatch {
            bytes: vec![0; MAX_SEND].into(),
            len: 0,
            session: None,
            class: TrafficClass::default(),
            count: 0,
            first: 0,
            last: 0,
            max_segments: MAX_SEGMENTS,
        }
    }

    /// Seals one more packet of `session`, which `write` puts into the slice that it is given.
    /// Segments that it cannot share a send with are flushed first. Errors: [`DropReason::TooBig`],
    /// [`DropReason::Exhausted`].
    pub(crate) fn push<U: Udp>(
        &mut self,
        outlet: &Outlet<'_, U>,
        session: &Arc<Outgoing>,
        packet: &Plaintext,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), DropReason> {
        let len = packet.len + OVERHEAD;
        if len > MAX_SEND {
            return Err(DropReason::TooBig);
        }

        let fits_path = packet.len <= session.max_packet();
        if !fits_path || !self.accepts(session, len, packet.class) {
            self.flush(outlet);
        }

        // Sealed where it is sent from: the packet is copied only once.
        let segment = &mut self.bytes[self.len..self.len + len];
        write(&mut segment[HEADER_LEN..len - TAG_LEN]);
        session.seal(Kind::Packet(packet.checksum), packet.number, segment)?;
        self.append(session, len, packet.class);

        // Fragments may be of one datagram only.
        if !fits_path {
            self.flush_in_fragments(outlet);
        }
        Ok(())
    }

    /// True if a datagram of `len` bytes may follow: only the last may be shorter than the first.
    fn accepts(&self, session: &Arc<Outgoing>, len: usize, class: TrafficClass) -> bool {
        let Some(ours) = &self.session else {
            return true;
        };

        // A shorter segment ends the batch: the kernel cuts at multiples of the first length.
        Arc::ptr_eq(ours, session)
            && self.class == class
            && self.count < self.max_segments
            && self.last == self.first
            && len <= self.first
            && self.len + len <= MAX_SEND
    }

    /// Counts in the segment that was sealed behind the others.
    fn append(&mut self, session: &Arc<Outgoing>, len: usize, class: TrafficClass) {
        // One send has one destination and one class: those of its first segment.
        if self.session.is_none() {
            self.session = Some(session.clone());
            self.class = class;
            self.first = len;
        }

        self.last = len;
        self.len += len;
        self.count += 1;
    }

    /// Sends the one packet in the batch, which is too long for the path, in fragments.
    fn flush_in_fragments<U: Udp>(&mut self, outlet: &Outlet<'_, U>) {
        self.count = 0;
        self.len = 0;

        let Some(session) = self.session.take() else {
            return;
        };

        let bytes = &self.bytes[..self.first];
        let sent = outlet.send_in_fragments(&session, bytes, fragment_id(bytes), self.class);
        count(&session, 1, bytes.len(), sent);
    }

    /// Sends and counts what is in the batch.
    pub(crate) fn flush<U: Udp>(&mut self, outlet: &Outlet<'_, U>) {
        let segments = std::mem::take(&mut self.count);
        let bytes = &self.bytes[..std::mem::take(&mut self.len)];
        let Some(session) = self.session.take() else {
            return;
        };

        // Without a segment size the kernel has nothing to cut, and any device will do.
        if segments == 1 {
            return send_one(outlet, &session, bytes, self.class);
        }

        let size = u16::try_from(self.first).ok();
        let sent = outlet.send(&session, bytes, size, self.class);
        match sent.as_ref().err().and_then(io::Error::raw_os_error) {
            // EIO: the device cannot checksum the segments. The others: the link has become too
            // small for a segment; alone it will be fragmented.
            Some(error @ (libc::EIO | libc::EINVAL | libc::EMSGSIZE)) => {
                if error == libc::EIO {
                    self.max_segments = 1;
                }
                for segment in bytes.chunks(self.first) {
                    send_one(outlet, &session, segment, self.class);
                }
            }
            _ => count(&session, segments, bytes.len(), sent),
        }
    }
}

/// Sends one datagram, in fragments if the link has become too small for it.
fn send_one<U: Udp>(outlet: &Outlet<'_, U>, session: &Outgoing, bytes: &[u8], class: TrafficClass) {
    let mut sent = outlet.send(session, bytes, None, class);
    if let Err(error) = &sent
        && error.raw_os_error() == Some(libc::EMSGSIZE)
    {
        sent = outlet.send_in_fragments(session, bytes, fragment_id(bytes), class);
    }

    count(session, 1, bytes.len(), sent);
}

/// The identification of a sealed packet's fragments: the low half of its packet number.
fn fragment_id(bytes: &[u8]) -> u32 {
    bytes[12..HEADER_LEN]
        .iter()
        .fold(0, |id, byte| id << 8 | u32::from(*byte))
}

/// Counts `packets` datagrams of `bytes` bytes together as sent or dropped.
fn count(session: &Outgoing, packets: usize, bytes: usize, sent: io::Result<()>) {
    match sent {
        Ok(()) => session.counters().sent(packets, bytes - packets * OVERHEAD),
        Err(error) => {
            if let Some(reason) = udp::drop_reason(&error) {
                session.counters().drop_packets(reason, packets);
            }
        }
    }
}

#[cfg(test)]
mod tests;
