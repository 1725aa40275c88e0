//! [`Offload`]: what stands in front of each packet that a TUN device with IFF_VNET_HDR gives and takes.
//!
//! Owns `struct virtio_net_hdr` (virtio 1.2, section 5.1.6; linux/virtio_net.h), in native byte order.
//!
//! ```text
//!  0       1          2            4              6           8            10
//!  +-------+----------+------------+--------------+-----------+-------------+--------
//!  | flags | GSO type | header len | size of each | sum from  | and put it  | packet
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
/// On top of the type: the first piece carries CWR.
const GSO_ECN: u8 = 0x80;

/// What is left to do to a packet before it is one for the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Offload {
    /// The checksum is partial.
    pub(crate) checksum: Option<Sum>,
    /// It is a super-packet.
    pub(crate) cut: Option<Cut>,
}

/// How to complete a partial checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sum {
    /// What to sum: all from here on.
    pub(crate) start: usize,
    /// Where the checksum lies.
    pub(crate) field: usize,
}

impl Sum {
    /// As the protocols say.
    pub(crate) fn of(transport: &Transport) -> Sum {
        Sum {
            start: transport.start,
            field: transport.start + transport.protocol.checksum_at(),
        }
    }
}

/// What pieces a super-packet is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pieces {
    TcpV4,
    TcpV6,
    /// Over either family.
    Udp,
}

impl Pieces {
    /// As the packet's own headers say.
    pub(crate) fn of(transport: &Transport) -> Pieces {
        match (transport.protocol, transport.v6) {
            (Protocol::Tcp, false) => Pieces::TcpV4,
            (Protocol::Tcp, true) => Pieces::TcpV6,
            (Protocol::Udp, _) => Pieces::Udp,
        }
    }
}

/// How to cut a super-packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) pieces: Pieces,
    /// Bytes of headers in front of the payload. Only a hint, when read.
    pub(crate) header_len: usize,
    /// Bytes of payload of every piece but the last.
    pub(crate) size: usize,
}

/// True if what was read, header first, is a super-packet.
pub(crate) fn is_super(read: &[u8]) -> bool {
    read.len() > OFFLOAD_LEN && read[1] != GSO_NONE
}

impl Offload {
    /// Reads the header. Error: [`DropReason::Malformed`].
    pub(crate) fn decode(bytes: &[u8; OFFLOAD_LEN]) -> Result<Offload, DropReason> {
        let word = |at: usize| usize::from(u16::from_ne_bytes([bytes[at], bytes[at + 1]]));
        let sum = Sum {
            start: word(6),
            field: word(6) + word(8),
        };
        let pieces = match bytes[1] & !GSO_ECN {
            GSO_NONE => None,
            GSO_TCP_V4 => Some(Pieces::TcpV4),
            GSO_TCP_V6 => Some(Pieces::TcpV6),
            GSO_UDP => Some(Pieces::Udp),
            _ => return Err(DropReason::Malformed),
        };
        let cut = pieces.map(|pieces| Cut {
            pieces,
            header_len: word(2),
            size: word(4),
        });
        Ok(Offload {
            checksum: (bytes[0] & NEEDS_CHECKSUM != 0).then_some(sum),
            cut,
        })
    }

    /// Writes the header.
    pub(crate) fn encode(&self) -> [u8; OFFLOAD_LEN] {
        let mut bytes = [0; OFFLOAD_LEN];
        // All of them are offsets and lengths within an IP packet.
        let mut put = |at: usize, value: usize| {
            bytes[at..at + 2].copy_from_slice(&(value as u16).to_ne_bytes());
        };
        if let Some(Sum { start, field }) = self.checksum {
            put(6, start);
            put(8, field - start);
        }
        if let Some(cut) = self.cut {
            put(2, cut.header_len);
            put(4, cut.size);
        }
        bytes[0] = if self.checksum.is_some() {
            NEEDS_CHECKSUM
        } else {
            0
        };
        bytes[1] = match self.cut.map(|cut| cut.pieces) {
            None => GSO_NONE,
            Some(Pieces::TcpV4) => GSO_TCP_V4,
            Some(Pieces::TcpV6) => GSO_TCP_V6,
            Some(Pieces::Udp) => GSO_UDP,
        };
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn writes_what_the_kernel_reads() {
        let checksum = Some(Sum {
            start: 0x28,
            field: 0x38,
        });
        let cut = Some(Cut {
            pieces: Pieces::TcpV6,
            header_len: 0x3c,
            size: 0x55a,
        });
        let words = |words: [u16; 4]| words.map(u16::to_ne_bytes).concat();
        let expected = [&[1, 4][..], &words([0x3c, 0x55a, 0x28, 16])].concat();
        assert_eq!(Offload { checksum, cut }.encode()[..], expected);
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
        fn what_is_read_is_what_is_written(bytes: [u8; OFFLOAD_LEN]) {
            if let Ok(offload) = Offload::decode(&bytes) {
                prop_assert_eq!(Offload::decode(&offload.encode()), Ok(offload));
            }
        }
    }
}
