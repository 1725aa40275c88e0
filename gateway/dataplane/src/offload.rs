//! [`Offload`]: the header in front of each packet that a TUN device with IFF_VNET_HDR gives and
//! takes.
//!
//! Owns the layout of `struct virtio_net_hdr` (virtio 1.2, section 5.1.6; linux/virtio_net.h), in
//! native byte order.
//!
//! ```text
//!  0       1          2            4              6           8            10
//!  +-------+----------+------------+--------------+-----------+-------------+--------
//!  | flags | GSO type | header len | GSO size     | csum start| csum offset | packet
//!  +-------+----------+------------+--------------+-----------+-------------+--------
//! ```

use crate::counters::DropReason;
use crate::transport::{Protocol, Transport};

/// Bytes of the header.
pub(crate) const OFFLOAD_LEN: usize = 10;

const NEEDS_CHECKSUM: u8 = 1;
const GSO_NONE: u8 = 0;
const GSO_TCP_V4: u8 = 1;
const GSO_TCP_V6: u8 = 4;
const GSO_UDP: u8 = 5;
/// Added to the type: the first segment carries CWR.
const GSO_ECN: u8 = 0x80;

/// What is left to do to a packet before it is one for the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Offload {
    /// Where a partial checksum lies; `None` if the checksum is complete.
    pub(crate) checksum: Option<ChecksumPlace>,
    /// How to cut a super-packet.
    pub(crate) gso: Option<Gso>,
}

/// Where a checksum lies, and which bytes it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChecksumPlace {
    /// All bytes from here on are covered.
    pub(crate) start: usize,
    /// Offset of the checksum itself.
    pub(crate) field: usize,
}

/// What segments a super-packet is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GsoType {
    TcpV4,
    TcpV6,
    /// Over either family.
    Udp,
}

impl GsoType {
    /// The type that a packet's headers call for.
    pub(crate) fn of(transport: &Transport) -> GsoType {
        match (transport.protocol, transport.v6) {
            (Protocol::Tcp, false) => GsoType::TcpV4,
            (Protocol::Tcp, true) => GsoType::TcpV6,
            (Protocol::Udp, _) => GsoType::Udp,
        }
    }
}

/// How to cut a super-packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gso {
    pub(crate) kind: GsoType,
    /// Bytes of headers in front of the payload. Only a hint, when read.
    pub(crate) header_len: usize,
    /// Bytes of payload of every segment but the last.
    pub(crate) size: usize,
}

/// True if what was read, header first, is a super-packet.
pub(crate) fn is_super_packet(read: &[u8]) -> bool {
    read.len() > OFFLOAD_LEN && read[1] != GSO_NONE
}

impl Offload {
    /// Reads the header. Error: [`DropReason::Malformed`].
    pub(crate) fn decode(bytes: &[u8; OFFLOAD_LEN]) -> Result<Offload, DropReason> {
        let [flags, gso_type, words @ ..] = bytes;
        // The bit can be ignored: CWR is also in the TCP header, and each segment gets its flags
        // from there.
        let kind = match gso_type & !GSO_ECN {
            GSO_NONE => None,
            GSO_TCP_V4 => Some(GsoType::TcpV4),
            GSO_TCP_V6 => Some(GsoType::TcpV6),
            GSO_UDP => Some(GsoType::Udp),
            _ => return Err(DropReason::Malformed),
        };

        let (words, _) = words.as_chunks::<2>();
        let [header_len, size, start, offset] =
            [0, 1, 2, 3].map(|at| usize::from(u16::from_ne_bytes(words[at])));

        let place = ChecksumPlace {
            start,
            field: start + offset,
        };

        Ok(Offload {
            checksum: (flags & NEEDS_CHECKSUM != 0).then_some(place),
            gso: kind.map(|kind| Gso {
                kind,
                header_len,
                size,
            }),
        })
    }

    /// Writes the header.
    pub(crate) fn encode(&self) -> [u8; OFFLOAD_LEN] {
        let mut bytes = [0; OFFLOAD_LEN];

        if let Some(ChecksumPlace { start, field }) = self.checksum {
            bytes[0] = NEEDS_CHECKSUM;
            put(&mut bytes, 6, start);
            put(&mut bytes, 8, field - start);
        }

        if let Some(gso) = &self.gso {
            bytes[1] = match gso.kind {
                GsoType::TcpV4 => GSO_TCP_V4,
                GsoType::TcpV6 => GSO_TCP_V6,
                GsoType::Udp => GSO_UDP,
            };
            put(&mut bytes, 2, gso.header_len);
            put(&mut bytes, 4, gso.size);
        }

        bytes
    }
}

/// Writes an offset or a length within an IP packet, which fits 16 bits.
fn put(bytes: &mut [u8; OFFLOAD_LEN], at: usize, value: usize) {
    bytes[at..at + 2].copy_from_slice(&(value as u16).to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn writes_what_the_kernel_reads() {
        let checksum = Some(ChecksumPlace {
            start: 0x28,
            field: 0x38,
        });
        let gso = Some(Gso {
            kind: GsoType::TcpV6,
            header_len: 0x3c,
            size: 0x55a,
        });
        let words = |words: [u16; 4]| words.map(u16::to_ne_bytes).concat();
        let expected = [&[1, 4][..], &words([0x3c, 0x55a, 0x28, 16])].concat();
        assert_eq!(Offload { checksum, gso }.encode()[..], expected);
        assert_eq!(Offload::default().encode(), [0; OFFLOAD_LEN]);
    }

    #[test]
    fn fragmentation_offload_and_unknown_types_are_refused() {
        for kind in [2, 3, 6, 0x7f] {
            let bytes = [1, kind, 0, 0, 0, 0, 0, 0, 0, 0];
            assert_eq!(
                Offload::decode(&bytes),
                Err(DropReason::Malformed),
                "type {kind}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_header_reads_back_as_it_was_written(bytes: [u8; OFFLOAD_LEN]) {
            if let Ok(offload) = Offload::decode(&bytes) {
                prop_assert_eq!(Offload::decode(&offload.encode()), Ok(offload));
            }
        }
    }
}
