//! The 16-byte header of a data packet: the additional data of its AEAD.
//!
//! Owns the layout and the classification of datagrams. `ip` and `probe` read the payload.
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

/// Flag bit 0, of types 1 and 4 only: [`Checksum::Partial`].
const PARTIAL_CHECKSUM: u8 = 1;

/// The TCP or UDP checksum of an IP packet on its way through the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// As its sender made it: complete, if the sender made no mistake.
    Complete,
    /// The sum of the pseudo-header only, not inverted. The AEAD protects the bytes on the way, and
    /// the far host's kernel completes the checksum if it needs one. Only in an unfragmented TCP or
    /// UDP packet.
    Partial,
}

/// What a sealed payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Type 1: one IP packet.
    Packet(Checksum),
    /// Type 2: a probe or its echo.
    Probe,
    /// Type 3: records of flows, from another gateway of the same site.
    Flows,
    /// Type 4: one IP packet that another gateway of the same site has received.
    Handed(Checksum),
}

impl Kind {
    /// Type and flags.
    fn encode(self) -> [u8; 2] {
        match self {
            Kind::Packet(Checksum::Complete) => [1, 0],
            Kind::Packet(Checksum::Partial) => [1, PARTIAL_CHECKSUM],
            Kind::Probe => [2, 0],
            Kind::Flows => [3, 0],
            Kind::Handed(Checksum::Complete) => [4, 0],
            Kind::Handed(Checksum::Partial) => [4, PARTIAL_CHECKSUM],
        }
    }

    fn decode(bytes: [u8; 2]) -> Result<Kind, DropReason> {
        match bytes {
            [1, 0] => Ok(Kind::Packet(Checksum::Complete)),
            [1, PARTIAL_CHECKSUM] => Ok(Kind::Packet(Checksum::Partial)),
            [2, 0] => Ok(Kind::Probe),
            [3, 0] => Ok(Kind::Flows),
            [4, 0] => Ok(Kind::Handed(Checksum::Complete)),
            [4, PARTIAL_CHECKSUM] => Ok(Kind::Handed(Checksum::Partial)),
            [1..=4, _] => Err(DropReason::UnknownFlags),
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
        // Byte 3 stays zero: receivers drop anything else.
        bytes[4..8].copy_from_slice(&self.index.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_be_bytes());

        bytes
    }

    /// Reads the header of a datagram. Errors: [`DropReason::Short`], also if there is no room for
    /// a tag behind it; [`DropReason::UnknownType`]; [`DropReason::UnknownFlags`].
    pub fn decode(datagram: &[u8]) -> Result<Header, DropReason> {
        let bytes = datagram
            .first_chunk::<HEADER_LEN>()
            .filter(|_| datagram.len() >= OVERHEAD)
            .ok_or(DropReason::Short)?;

        let [kind, flags, phase, reserved, rest @ ..] = bytes;
        let kind = Kind::decode([*kind, *flags])?;

        // Later versions may use it for something that must not be ignored.
        if *reserved != 0 {
            return Err(DropReason::UnknownFlags);
        }

        let [a, b, c, d, number @ ..] = rest;
        Ok(Header {
            kind,
            phase: *phase,
            index: u32::from_be_bytes([*a, *b, *c, *d]),
            number: u64::from_be_bytes(*number),
        })
    }
}

/// True if a datagram is ours: its top two bits are 0. Everything else is QUIC, whose fixed bit is
/// set (RFC 9443, section 3, keeps protocols on one port apart in the same way).
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
            Kind::Flows,
            Kind::Handed(Checksum::Complete),
            Kind::Handed(Checksum::Partial),
        ];
        proptest::sample::select(kinds.to_vec())
    }

    proptest! {
        #[test]
        fn a_header_reads_back_as_it_was_written(
            kind in any_kind(), phase: u8, index: u32, number: u64, rest in 16usize..64,
        ) {
            let header = Header { kind, phase, index, number };
            let mut datagram = header.encode().to_vec();
            datagram.resize(HEADER_LEN + rest, 0xaa);
            prop_assert!(is_data(&datagram));
            prop_assert_eq!(Header::decode(&datagram), Ok(header));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(
            datagram in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let _ = Header::decode(&datagram);
        }
    }

    #[test]
    fn refuses_types_and_flags_that_this_version_does_not_know() {
        let header = Header {
            kind: Kind::Probe,
            phase: 0,
            index: 1,
            number: 2,
        };
        let good = [&header.encode()[..], &[0; 16]].concat();
        let with = |changes: &[(usize, u8)]| {
            let mut bad = good.clone();
            for (at, value) in changes {
                bad[*at] = *value;
            }
            Header::decode(&bad).map(|header| header.kind)
        };
        assert_eq!(with(&[(0, 1)]), Ok(Kind::Packet(Checksum::Complete)));
        assert_eq!(
            with(&[(0, 1), (1, PARTIAL_CHECKSUM)]),
            Ok(Kind::Packet(Checksum::Partial))
        );
        assert_eq!(with(&[(0, 0)]), Err(DropReason::UnknownType));
        assert_eq!(with(&[(0, 3)]), Ok(Kind::Flows));
        assert_eq!(with(&[(0, 3), (1, 1)]), Err(DropReason::UnknownFlags));
        assert_eq!(with(&[(0, 5)]), Err(DropReason::UnknownType));
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
            Header::decode(&good[..OVERHEAD - 1]),
            Err(DropReason::Short)
        );
    }

    #[test]
    fn quic_differs_in_the_first_byte() {
        // RFC 9000, section 17: long headers start 0b11, short ones 0b01.
        assert!(!is_data(&[0xc3]) && !is_data(&[0x40]) && !is_data(&[]));
        assert!(is_data(&[1]) && is_data(&[0x3f]));
    }
}
