//! The 16-byte header of a data packet: the additional data of its AEAD.
//!
//! Owns the layout and the classification of datagrams; what the payload means is `ip` and `probe`.
//!
//! ```text
//!  0      1      2      3      4             8                     16
//!  +------+------+------+------+-------------+---------------------+-----------+-----+
//!  | type | flags| phase| 0    | session idx | packet number (BE)  | payload   | tag |
//!  +------+------+------+------+-------------+---------------------+-----------+-----+
//!   \____________ 16 bytes, additional data _______________________/\_ AEAD sealed __/
//! ```

use crate::counters::DropReason;

/// Bytes before the sealed payload.
pub const HEADER_LEN: usize = 16;

/// Bytes of the AEAD tag behind the payload; the same for all three AEADs.
pub const TAG_LEN: usize = 16;

/// What a tunnel adds to an IP packet, without UDP and the outer IP header.
pub const OVERHEAD: usize = HEADER_LEN + TAG_LEN;

/// Flag bit 0: the inner TCP or UDP checksum covers the pseudo-header only. Reserved: nothing sends it
/// yet, and it is refused like any unknown flag.
pub const PARTIAL_CHECKSUM: u8 = 1;

/// What a sealed payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Type 1: one IP packet.
    Packet = 1,
    /// Type 2: a probe or its echo.
    Probe = 2,
}

/// The header of a data packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What is sealed behind it.
    pub kind: Kind,
    /// Key phase of the sender.
    pub phase: u8,
    /// Session index, chosen by the receiver.
    pub index: u32,
    /// Packet number, never repeated in a session.
    pub number: u64,
}

impl Header {
    /// The header as it goes over the wire.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = self.kind as u8;
        bytes[2] = self.phase;
        bytes[4..8].copy_from_slice(&self.index.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    /// Splits a datagram into its header, the header's bytes and the sealed payload with its tag.
    pub fn split(datagram: &[u8]) -> Result<(Header, &[u8; HEADER_LEN], &[u8]), DropReason> {
        let (bytes, sealed) = datagram.split_first_chunk::<HEADER_LEN>().ok_or(DropReason::Short)?;
        if sealed.len() < TAG_LEN {
            return Err(DropReason::Short);
        }
        let kind = match bytes[0] {
            1 => Kind::Packet,
            2 => Kind::Probe,
            _ => return Err(DropReason::UnknownType),
        };
        if bytes[1] != 0 || bytes[3] != 0 {
            return Err(DropReason::UnknownFlags);
        }
        let [.., a, b, c, d] = bytes[..8] else { return Err(DropReason::Short) };
        let index = u32::from_be_bytes([a, b, c, d]);
        let number = bytes[8..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Ok((Header { kind, phase: bytes[2], index, number }, bytes, sealed))
    }
}

/// True if a datagram is ours: its top two bits are 0. Everything else is QUIC, whose fixed bit is set
/// (RFC 9443, section 3, keeps protocols on one port apart in the same way).
pub(crate) fn is_data(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & 0xc0 == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_header_reads_back_as_it_was_written(probe: bool, phase: u8, index: u32, number: u64, rest in 16usize..64) {
            let kind = if probe { Kind::Probe } else { Kind::Packet };
            let header = Header { kind, phase, index, number };
            let mut datagram = header.encode().to_vec();
            datagram.resize(HEADER_LEN + rest, 0xaa);
            prop_assert!(is_data(&datagram));
            let (read, bytes, sealed) = Header::split(&datagram).unwrap();
            prop_assert_eq!(read, header);
            prop_assert_eq!(bytes, &header.encode());
            prop_assert_eq!(sealed.len(), rest);
        }

        #[test]
        fn any_bytes_are_split_or_refused(datagram in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Header::split(&datagram);
        }
    }

    #[test]
    fn refuses_what_this_version_does_not_know() {
        let good =
            [&Header { kind: Kind::Packet, phase: 0, index: 1, number: 2 }.encode()[..], &[0; 16]].concat();
        let with = |at: usize, value: u8| {
            let mut bad = good.clone();
            bad[at] = value;
            Header::split(&bad).map(|_| ())
        };
        assert_eq!(with(0, 1), Ok(()));
        assert_eq!(with(0, 0), Err(DropReason::UnknownType));
        assert_eq!(with(0, 3), Err(DropReason::UnknownType));
        assert_eq!(with(1, PARTIAL_CHECKSUM), Err(DropReason::UnknownFlags));
        assert_eq!(with(3, 1), Err(DropReason::UnknownFlags));
        assert_eq!(Header::split(&good[..31]).map(|_| ()), Err(DropReason::Short));
    }

    #[test]
    fn quic_is_told_apart_by_the_first_byte() {
        // RFC 9000, section 17: long headers start 0b11, short ones 0b01.
        assert!(!is_data(&[0xc3]) && !is_data(&[0x40]) && !is_data(&[]));
        assert!(is_data(&[1]) && is_data(&[0x3f]));
    }
}
