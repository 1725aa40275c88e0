//! The encoding of zones and fragments, on control streams and in a
//! [`FragmentStore`](crate::store::FragmentStore).
//!
//! ```text
//! "RWZ1" | apex | records: u32 | record...
//! record: octets: u8 | owner | type: u16 | ttl: u32 | length: u16 | data
//! owner:  its labels below the apex, in wire format without the root, lowercase
//! ```
//! Numbers are in network byte order. Records are in canonical order (owners as in RFC 4034,
//! section 6.1, then type, then data), so a zone has exactly one encoding, and equal digests mean
//! equal zones. An owner outside the apex cannot be encoded. Decoding is all or nothing, and trusts
//! no input: the octets come from another organization.

use std::ops::Range;

use ringway_config::{Digest, ZoneName};

use crate::draft::{Draft, ZoneError};
use crate::name::Name;
use crate::zone::Zone;

/// Octets of the largest zone that is accepted from another organization.
pub const MAX_SIZE: usize = 16 * 1024 * 1024;
/// Records of the largest zone that is accepted from another organization.
pub const MAX_RECORDS: usize = 100_000;
/// Names of the largest zone that is accepted from another organization, with empty non-terminals:
/// few long names could otherwise become millions of nodes.
pub const MAX_NAMES: usize = 2 * MAX_RECORDS;

const MAGIC: &[u8; 4] = b"RWZ1";

/// Why octets are no acceptable zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaError {
    /// The octets have another format, are truncated, or are followed by others.
    #[error("the bytes are not a zone of this format")]
    Format,
    /// Larger than [`MAX_SIZE`].
    #[error("{0} octets; a zone may have at most {MAX_SIZE}")]
    Size(usize),
    /// More records than [`MAX_RECORDS`].
    #[error("{0} records; a zone may have at most {MAX_RECORDS}")]
    Records(usize),
    /// More names than [`MAX_NAMES`].
    #[error("{0} names; a zone may have at most {MAX_NAMES}")]
    Names(usize),
    /// It is the zone of another apex.
    #[error("it is the zone {found}, not {expected}")]
    Apex {
        /// The apex in the encoding.
        found: String,
        /// The apex of the peer's organization.
        expected: String,
    },
    /// A record is not in canonical order, repeated, has an uppercase owner or another TTL than its
    /// RRset.
    #[error("octet {0} departs from the canonical form")]
    Form(usize),
    /// A record is not allowed in the zone, or a required one is missing.
    #[error(transparent)]
    Zone(#[from] ZoneError),
}

impl Zone {
    /// The encoding of this zone. Equal zones have equal encodings.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(self.apex().as_wire());
        bytes.extend_from_slice(&(self.records() as u32).to_be_bytes());

        let apex_len = self.apex().as_wire().len();
        self.rrsets(|owner, set| {
            // Every owner ends in the apex, which is written once, above.
            let below = &owner.as_wire()[..owner.as_wire().len() - apex_len];
            for data in set.data() {
                bytes.push(below.len() as u8);
                bytes.extend_from_slice(below);
                bytes.extend_from_slice(&set.kind().to_be_bytes());
                bytes.extend_from_slice(&set.ttl().to_be_bytes());
                bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
                bytes.extend_from_slice(data);
            }
        });

        bytes
    }

    /// Decodes a zone, whose apex must be `apex`.
    pub fn decode(bytes: &[u8], apex: &ZoneName) -> Result<Zone, ReplicaError> {
        decode(bytes, Name::from(apex))
    }

    /// The digest that an offer of this zone carries.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }
}

fn decode(bytes: &[u8], apex: Name) -> Result<Zone, ReplicaError> {
    if bytes.len() > MAX_SIZE {
        return Err(ReplicaError::Size(bytes.len()));
    }

    let mut reader = Reader(bytes);
    if reader.array() != Some(*MAGIC) {
        return Err(ReplicaError::Format);
    }

    let (found, len) = Name::from_wire(reader.0).map_err(|_| ReplicaError::Format)?;
    // `from_wire` lowers letters, so the octets are compared too: an apex has one form only.
    if found.as_wire() != apex.as_wire() || reader.take(len) != Some(apex.as_wire()) {
        return Err(ReplicaError::Apex {
            found: found.to_string(),
            expected: apex.to_string(),
        });
    }

    let records = u32::from_be_bytes(reader.array().ok_or(ReplicaError::Format)?) as usize;
    let mut draft = Draft::new(apex);
    check_counts(records, draft.names())?;

    for _ in 0..records {
        let record = reader.record().ok_or(ReplicaError::Format)?;
        let owner = apex.prefixed(record.below).ok_or(ReplicaError::Format)?;
        // `prefixed` trusts its labels; reading the name back finds broken ones.
        let (owner, len) = Name::from_wire(owner.as_wire()).map_err(|_| ReplicaError::Format)?;
        if len != record.below.len() + apex.as_wire().len() {
            return Err(ReplicaError::Format);
        }
        draft.add(&owner, record.kind, record.ttl, record.data)?;
        // Checked after each record, so that the limits bound what a hostile peer can make us
        // store.
        check_counts(draft.records(), draft.names())?;
    }

    if !reader.0.is_empty() {
        return Err(ReplicaError::Format);
    }

    let zone = draft.finish()?;
    // A second encoding of one zone would have another digest, under the same serial.
    check_canonical(&zone, bytes)?;
    Ok(zone)
}

/// The ranges of an encoded zone: what precedes the records, then each record. From where the
/// octets are no longer an encoded zone, the rest is one range.
pub(crate) fn pieces(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let mut reader = Reader(rest);
        let read = if start == 0 {
            reader.head()
        } else {
            reader.record().map(|_| ())
        };

        // What cannot be read is one last piece, so that this ends.
        let len = read.map_or(rest.len(), |()| rest.len() - reader.0.len());
        start += len;
        Some(start - len..start)
    })
}

/// Limits on the zones of others, and on ours, which they would refuse otherwise.
pub(crate) fn check_counts(records: usize, names: usize) -> Result<(), ReplicaError> {
    match (records, names) {
        (..=MAX_RECORDS, ..=MAX_NAMES) => Ok(()),
        (..=MAX_RECORDS, names) => Err(ReplicaError::Names(names)),
        (records, _) => Err(ReplicaError::Records(records)),
    }
}

/// Checks that the zone's encoding is `bytes`.
fn check_canonical(zone: &Zone, bytes: &[u8]) -> Result<(), ReplicaError> {
    let own = zone.encode();
    if own == bytes {
        return Ok(());
    }

    let same = own.iter().zip(bytes).take_while(|(a, b)| a == b).count();
    Err(ReplicaError::Form(same))
}

struct Record<'b> {
    below: &'b [u8],
    kind: u16,
    ttl: u32,
    data: &'b [u8],
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// Reads everything before the first record: magic, apex and count.
    fn head(&mut self) -> Option<()> {
        self.take(MAGIC.len())?;
        let (_, apex) = Name::from_wire(self.0).ok()?;
        self.take(apex + 4).map(|_| ())
    }

    fn record(&mut self) -> Option<Record<'b>> {
        let [below] = self.array()?;
        let below = self.take(below.into())?;
        let kind = u16::from_be_bytes(self.array()?);
        let ttl = u32::from_be_bytes(self.array()?);
        let len = u16::from_be_bytes(self.array()?);

        Some(Record {
            below,
            kind,
            ttl,
            data: self.take(len.into())?,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rdata::kind;
    use crate::zone::tests::zone;

    const APEX: &str = "org1.example";
    const SAMPLE: &str = "@ SOA gw h 7 60 10 100 5\n@ NS gw\ngw A 10.1.0.1\n\
        a.b AAAA fd00::1\nb TXT \"x\"\n* A 10.1.0.2\n";

    fn read(bytes: &[u8]) -> Result<Zone, ReplicaError> {
        Zone::decode(bytes, &APEX.parse().unwrap())
    }

    /// A zone of these records, in this order, whatever they are.
    fn written(records: &[(&[u8], u16, u32, &[u8])]) -> Vec<u8> {
        let mut bytes = [&MAGIC[..], Name::from_text(APEX).unwrap().as_wire()].concat();
        bytes.extend((records.len() as u32).to_be_bytes());
        for (below, kind, ttl, data) in records {
            bytes.push(below.len() as u8);
            bytes.extend_from_slice(below);
            bytes.extend(kind.to_be_bytes());
            bytes.extend(ttl.to_be_bytes());
            bytes.extend((data.len() as u16).to_be_bytes());
            bytes.extend_from_slice(data);
        }
        bytes
    }

    const SOA: (&[u8], u16, u32, &[u8]) = (b"", kind::SOA, 5, &[0; 22]);
    const A: (&[u8], u16, u32, &[u8]) = (b"\x01a", kind::A, 5, &[10, 0, 0, 1]);

    #[test]
    fn a_zone_reads_back_as_it_was_written_and_only_as_its_own() {
        let zone = zone(APEX, SAMPLE);
        let bytes = zone.encode();
        let back = read(&bytes).unwrap();
        assert_eq!(
            (back.serial(), back.records(), back.digest()),
            (7, 6, zone.digest())
        );
        for other in ["org2.example", "sub.org1.example", "xorg1.example"] {
            let error = Zone::decode(&bytes, &other.parse().unwrap()).unwrap_err();
            assert!(
                matches!(error, ReplicaError::Apex { .. }),
                "{other}: {error}"
            );
        }
    }

    #[test]
    fn a_zone_cut_anywhere_or_followed_by_anything_is_no_zone() {
        let bytes = zone(APEX, SAMPLE).encode();
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "{len}");
        }
        assert_eq!(
            read(&[&bytes[..], b"x"].concat()).unwrap_err(),
            ReplicaError::Format
        );
    }

    #[test]
    fn there_is_no_second_way_to_write_a_zone() {
        assert!(read(&written(&[SOA, A])).is_ok());
        let uppercase = (&b"\x01A"[..], kind::A, 5, &[10, 0, 0, 1][..]);
        let second_ttl = (A.0, A.1, 6, &[10, 0, 0, 2][..]);
        let earlier = (A.0, A.1, 5, &[10, 0, 0, 0][..]);
        for records in [
            &[A, SOA][..],
            &[SOA, A, A],
            &[SOA, uppercase],
            &[SOA, A, second_ttl],
            &[SOA, A, earlier],
        ] {
            let error = read(&written(records)).unwrap_err();
            assert!(
                matches!(error, ReplicaError::Form(_)),
                "{records:?}: {error}"
            );
        }
    }

    #[test]
    fn what_breaks_a_rule_of_zones_is_refused_whole() {
        let broken_label = (&b"\x05a"[..], kind::A, 5, &[10, 0, 0, 1][..]);
        let root_inside = (&b"\x01a\x00\x01b"[..], kind::A, 5, &[10, 0, 0, 1][..]);
        let pointer = (&b"\xc0\x0c"[..], kind::A, 5, &[10, 0, 0, 1][..]);
        for record in [broken_label, root_inside, pointer] {
            assert_eq!(
                read(&written(&[SOA, record])).unwrap_err(),
                ReplicaError::Format,
                "{record:?}"
            );
        }
        let alias = (A.0, kind::CNAME, 5, &b"\x00"[..]);
        let compressed = (&b"\x01b"[..], kind::NS, 5, &b"\xc0\x0c"[..]);
        let pseudo = (&b"\x01b"[..], kind::OPT, 5, &b""[..]);
        let inner_soa = (&b"\x01b"[..], kind::SOA, 5, &[0; 22][..]);
        let eternal = (&b"\x01b"[..], kind::A, u32::MAX, &[10, 0, 0, 1][..]);
        for records in [
            &[A][..],
            &[SOA, A, alias],
            &[SOA, compressed],
            &[SOA, pseudo],
            &[SOA, inner_soa],
            &[SOA, eternal],
        ] {
            let error = read(&written(records)).unwrap_err();
            assert!(
                matches!(error, ReplicaError::Zone(_)),
                "{records:?}: {error}"
            );
        }
    }

    #[test]
    fn caps_hold_before_anything_is_built() {
        let mut bytes = written(&[SOA]);
        let at = bytes.len() - 22 - 9 - 4;
        bytes[at..at + 4].copy_from_slice(&1_000_000u32.to_be_bytes());
        assert_eq!(read(&bytes).unwrap_err(), ReplicaError::Records(1_000_000));
        assert_eq!(
            read(&vec![0; MAX_SIZE + 1]).unwrap_err(),
            ReplicaError::Size(MAX_SIZE + 1)
        );
    }

    #[test]
    fn long_names_cannot_become_millions_of_nodes() {
        let name = |i: u16| [&[2, (i >> 8) as u8, i as u8][..], &[1, b'x'].repeat(100)].concat();
        let reversed = |i: u16| [[1, b'x'].repeat(100), vec![2, (i >> 8) as u8, i as u8]].concat();
        let together: Vec<_> = (0..3000).map(name).collect();
        let apart: Vec<_> = (0..3000).map(reversed).collect();
        let zone = |owners: &[Vec<u8>]| {
            let records = owners
                .iter()
                .map(|owner| (&owner[..], kind::A, 5, &[10, 0, 0, 1][..]));
            written(&std::iter::once(SOA).chain(records).collect::<Vec<_>>())
        };
        assert!(!matches!(
            read(&zone(&together)),
            Err(ReplicaError::Names(_))
        ));
        assert!(matches!(read(&zone(&apart)), Err(ReplicaError::Names(_))));
    }

    pub(crate) fn any_zone() -> impl Strategy<Value = Zone> {
        let label = prop_oneof![
            Just(b"*".to_vec()),
            prop::collection::vec(any::<u8>(), 1..5)
        ];
        let owner = prop::collection::vec(label, 0..4);
        let record = (
            owner,
            any::<u32>(),
            prop::collection::vec(any::<u8>(), 0..20),
            any::<u16>(),
        );
        prop::collection::vec(record, 0..30).prop_map(|records| {
            let apex = Name::from_text(APEX).unwrap();
            let mut draft = Draft::new(apex);
            draft.add(&apex, kind::SOA, 5, SOA.3).unwrap();
            for (owner, ttl, data, kind) in records {
                let below: Vec<u8> = owner
                    .iter()
                    .flat_map(|label| [&[label.len() as u8], &label[..]].concat())
                    .collect();
                let owner = apex.prefixed(&below).unwrap();
                // Unknown and address types; what the rules refuse is simply not in the zone.
                let kind = if kind % 3 == 0 {
                    kind::A
                } else {
                    65000 + kind % 4
                };
                let _ = draft.add(&owner, kind, ttl & 0x7fff_ffff, &data);
                let _ = draft.add(&owner, kind::A, 5, &[10, 0, 0, ttl as u8]);
            }
            draft.finish().unwrap()
        })
    }

    proptest! {
        #[test]
        fn every_zone_has_one_encoding_and_it_reads_back(zone in any_zone()) {
            let bytes = zone.encode();
            let back = read(&bytes).unwrap();
            prop_assert_eq!(back.records(), zone.records());
            prop_assert_eq!(back.encode(), bytes);
        }

        #[test]
        fn damaged_bytes_are_refused_or_are_a_zone_and_never_panic(
            zone in any_zone(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut bytes = zone.encode();
            for (index, value) in damage {
                let at = index.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(zone) = read(&bytes) {
                prop_assert_eq!(zone.encode(), bytes);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(read(&bytes).is_err());
        }
    }
}
