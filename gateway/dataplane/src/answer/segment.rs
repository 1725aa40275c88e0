//! [`Segment`]: a TCP segment without options and payload.

use std::net::SocketAddr;

/// What its header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The end that it claims to come from.
    pub(crate) from: SocketAddr,
    /// The end that is to take it.
    pub(crate) to: SocketAddr,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) flags: u8,
}

impl Segment {
    /// Bytes of the header (RFC 9293, section 3.1).
    pub(super) const LEN: usize = 20;

    /// The header, with a window and a checksum of 0.
    pub(super) fn header(&self) -> [u8; Segment::LEN] {
        const WORDS: u8 = (Segment::LEN / 4) as u8;

        let mut header = [0; Segment::LEN];
        header[..2].copy_from_slice(&self.from.port().to_be_bytes());
        header[2..4].copy_from_slice(&self.to.port().to_be_bytes());
        header[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        header[8..12].copy_from_slice(&self.acknowledgement.to_be_bytes());
        // RFC 9293, section 3.1: the data offset counts words of four bytes.
        header[12] = WORDS << 4;
        header[13] = self.flags;
        header
    }
}
