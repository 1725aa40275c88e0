//! [`UpperLayer`]: the protocol that a whole packet carries, behind any extension headers.

use crate::ip::u16_at;

pub(super) const ICMP_V4: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const ICMP_V6: u8 = 58;

/// Extension headers in one packet that are walked, as many as `ip` lets through.
const MAX_EXTENSIONS: usize = 8;

/// Where a packet's upper layer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UpperLayer {
    pub(super) protocol: u8,
    start: usize,
}

/// The fields of a TCP header that decide about an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tcp {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    pub(crate) flags: u8,
    /// Bytes behind the header.
    pub(super) payload: usize,
}

impl UpperLayer {
    /// Finds it in a packet that `ip` has let through. `None` in fragments, the first included.
    pub(crate) fn of(packet: &[u8]) -> Option<UpperLayer> {
        match packet.first()? >> 4 {
            // Neither More Fragments nor an offset (RFC 791, section 3.1).
            4 => (u16_at(packet, 6) & 0x3fff == 0).then_some(UpperLayer {
                protocol: *packet.get(9)?,
                start: usize::from(packet[0] & 15) * 4,
            }),
            6 => behind_extensions(packet),
            _ => None,
        }
    }

    /// The TCP header, if that is what there is, and whole.
    pub(crate) fn tcp(&self, packet: &[u8]) -> Option<Tcp> {
        if self.protocol != TCP {
            return None;
        }
        let segment = packet.get(self.start..)?;
        let header: &[u8; 20] = segment.first_chunk()?;
        let len = usize::from(header[12] >> 4) * 4;
        // RFC 9293, section 3.1: at least five words of four bytes.
        if len < header.len() {
            return None;
        }

        Some(Tcp {
            source: u16::from_be_bytes([header[0], header[1]]),
            destination: u16::from_be_bytes([header[2], header[3]]),
            sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            acknowledgement: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            flags: header[13],
            payload: segment.len().checked_sub(len)?,
        })
    }

    /// True if an ICMP message must not be answered by an ICMP error: it is one itself, or too
    /// short to tell.
    pub(super) fn is_icmp_error(&self, packet: &[u8]) -> bool {
        /// RFC 4443, section 2.4 (e.2).
        const V6_REDIRECT: u8 = 137;

        let Some(kind) = packet.get(self.start) else {
            return true;
        };
        match self.protocol {
            // Unreachable, source quench, redirect, time exceeded, parameter problem.
            ICMP_V4 => matches!(kind, 3 | 4 | 5 | 11 | 12),
            // RFC 4443, section 2.1: the high bit tells informational messages from errors.
            _ => kind & 0x80 == 0 || *kind == V6_REDIRECT,
        }
    }
}

fn behind_extensions(packet: &[u8]) -> Option<UpperLayer> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const AUTHENTICATION: u8 = 51;
    const DESTINATION_OPTIONS: u8 = 60;

    let mut protocol = *packet.get(6)?;
    let mut start = 40;

    for _ in 0..=MAX_EXTENSIONS {
        // RFC 8200, section 4; RFC 4302, section 2.2.
        let unit = match protocol {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => 8,
            AUTHENTICATION => 4,
            crate::ip::FRAGMENT => return None,
            _ => return Some(UpperLayer { protocol, start }),
        };
        let [next, units, ..] = packet.get(start..)? else {
            return None;
        };
        let len = match unit {
            4 => (usize::from(*units) + 2) * 4,
            _ => (usize::from(*units) + 1) * 8,
        };
        protocol = *next;
        start += len;
    }
    None
}
