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

/// Flag bit 0, of packets only: [`Checksum::Partial`].
pub const PARTIAL_CHECKSUM: u8 = 1;

/// The TCP or UDP checksum of an IP packet on its way through the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// As it must be in the end, for all that is known.
    Complete,
    /// The sum of the pseudo-header only, not inverted: the AEAD protects the bytes, and whoever needs the
    /// checksum at last makes it. Only in an unfragmented TCP or UDP packet.
    Partial,
}

/// What a sealed payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Type 1: one IP packet.
    Packet(Checksum),
    /// Type 2: a probe or its echo.
    Probe,
}

impl Kind {
    /// Type and flags.
    fn encode(self) -> [u8; 2] {
        match self {
            Kind::Packet(Checksum::Complete) => [1, 0],
            Kind::Packet(Checksum::Partial) => [1, PARTIAL_CHECKSUM],
            Kind::Probe => [2, 0],
        }
    }

    fn decode(bytes: [u8; 2]) -> Result<Kind, DropReason> {
        match bytes {
            [1, 0] => Ok(Kind::Packet(Checksum::Complete)),
            [1, PARTIAL_CHECKSUM] => Ok(Kind::Packet(Checksum::Partial)),
            [2, 0] => Ok(Kind::Probe),
            [1 | 2, _] => Err(DropReason::UnknownFlags),
            _ => Err(DropReason::UnknownType),
        }
    }
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
        bytes[..2].copy_from_slice(&self.kind.encode());
        bytes[2] = self.phase;
        bytes[4..8].copy_from_slice(&self.index.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    /// Splits a datagram into its header, the header's bytes and the sealed payload with its tag.
    pub fn split(
        datagram: &mut [u8],
    ) -> Result<(Header, &[u8; HEADER_LEN], &mut [u8]), DropReason> {
        let (bytes, sealed) = datagram
            .split_first_chunk_mut::<HEADER_LEN>()
            .ok_or(DropReason::Short)?;
        if sealed.len() < TAG_LEN {
            return Err(DropReason::Short);
        }
        let kind = Kind::decode([bytes[0], bytes[1]])?;
        if bytes[3] != 0 {
            return Err(DropReason::UnknownFlags);
        }
        let [.., a, b, c, d] = bytes[..8] else {
            return Err(DropReason::Short);
        };
        let index = u32::from_be_bytes([a, b, c, d]);
        let number = bytes[8..]
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte));
        Ok((
            Header {
                kind,
                phase: bytes[2],
                index,
                number,
            },
            bytes,
            sealed,
        ))
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

    fn any_kind() -> impl Strategy<Value = Kind> {
        let kinds = [
            Kind::Packet(Checksum::Complete),
            Kind::Packet(Checksum::Partial),
            Kind::Probe,
        ];
        proptest::sample::select(kinds.to_vec())
    }

    proptest! {
        #[test]
        fn a_header_reads_back_as_it_was_written(kind in any_kind(), phase: u8, index: u32, number: u64, rest in 16usize..64) {
            let header = Header { kind, phase, index, number };
            let mut datagram = header.encode().to_vec();
            datagram.resize(HEADER_LEN + rest, 0xaa);
            prop_assert!(is_data(&datagram));
            let (read, bytes, sealed) = Header::split(&mut datagram).unwrap();
            prop_assert_eq!(read, header);
            prop_assert_eq!(bytes, &header.encode());
            prop_assert_eq!(sealed.len(), rest);
        }

        #[test]
        fn any_bytes_are_split_or_refused(mut datagram in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Header::split(&mut datagram);
        }
    }

    #[test]
    fn refuses_what_this_version_does_not_know() {
        let header = Header {
            kind: Kind::Probe,
            phase: 0,
            index: 1,
            number: 2,
        };
        let good = [&header.encode()[..], &[0; 16]].concat();
        let with = |changes: &[(usize, u8)]| {
            let mut bad = good.clone();
            changes.iter().for_each(|(at, value)| bad[*at] = *value);
            Header::split(&mut bad).map(|(header, ..)| header.kind)
        };
        assert_eq!(with(&[(0, 1)]), Ok(Kind::Packet(Checksum::Complete)));
        assert_eq!(
            with(&[(0, 1), (1, PARTIAL_CHECKSUM)]),
            Ok(Kind::Packet(Checksum::Partial))
        );
        assert_eq!(with(&[(0, 0)]), Err(DropReason::UnknownType));
        assert_eq!(with(&[(0, 3)]), Err(DropReason::UnknownType));
        for flags in 1..=255 {
            assert_eq!(
                with(&[(1, flags)]),
                Err(DropReason::UnknownFlags),
                "probe, {flags}"
            );
            let packet = with(&[(0, 1), (1, flags)]);
            assert_eq!(packet.is_ok(), flags == PARTIAL_CHECKSUM, "packet, {flags}");
        }
        assert_eq!(with(&[(3, 1)]), Err(DropReason::UnknownFlags));
        assert_eq!(
            Header::split(&mut good.clone()[..31]).map(|_| ()),
            Err(DropReason::Short)
        );
    }

    #[test]
    fn quic_is_told_apart_by_the_first_byte() {
        // RFC 9000, section 17: long headers start 0b11, short ones 0b01.
        assert!(!is_data(&[0xc3]) && !is_data(&[0x40]) && !is_data(&[]));
        assert!(is_data(&[1]) && is_data(&[0x3f]));
    }
}
