//! [`RRset`]: the records of one name and type (RFC 2181, section 5), stored as a response to a
//! question for that name contains them, so that most answers are one copy.

use crate::name::POINTER;
use crate::rdata::CLASS_IN;

/// The records of one type at one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RRset {
    kind: u16,
    ttl: u32,
    count: u32,
    /// Each record: [`HEADER`] octets, then its data, without compression.
    packed: Box<[u8]>,
}

/// Octets of a record before its data: owner, type, class, TTL, length (RFC 1035, section 3.2.1).
const HEADER: usize = 12;
/// The owner: a pointer to the question's name, which comes right after the header of the message.
const OWNER: u16 = POINTER | 12;

impl RRset {
    /// Packs the data of each record, at most 65,535 octets, in the given order.
    pub(crate) fn pack<'d>(kind: u16, ttl: u32, data: impl IntoIterator<Item = &'d [u8]>) -> RRset {
        let mut packed = Vec::new();
        let mut count = 0;
        for datum in data {
            // The fields of RFC 1035, section 3.2.1, in their order.
            let len = u16::try_from(datum.len()).expect("rdata::check bounds the length");
            packed.extend_from_slice(&OWNER.to_be_bytes());
            packed.extend_from_slice(&kind.to_be_bytes());
            packed.extend_from_slice(&CLASS_IN.to_be_bytes());
            packed.extend_from_slice(&ttl.to_be_bytes());
            packed.extend_from_slice(&len.to_be_bytes());
            packed.extend_from_slice(datum);
            count += 1;
        }

        RRset {
            kind,
            ttl,
            count,
            packed: packed.into(),
        }
    }

    /// Number of the type.
    pub fn kind(&self) -> u16 {
        self.kind
    }

    /// Seconds; the same for all records (RFC 2181, section 5.2).
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// Number of records, at least 1.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// The data of each record in wire format.
    pub fn data(&self) -> impl Iterator<Item = &[u8]> {
        self.records().map(data_of)
    }

    /// Each record as it is in the response to a question for its owner.
    pub(crate) fn records(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.packed;
        std::iter::from_fn(move || {
            let len: &[u8; 2] = rest.get(HEADER - 2..)?.first_chunk()?;
            let (record, tail) = rest.split_at(HEADER + usize::from(u16::from_be_bytes(*len)));
            rest = tail;
            Some(record)
        })
    }

    /// All [`RRset::records`], one after the other.
    pub(crate) fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// The data of the first record.
    pub(crate) fn first(&self) -> &[u8] {
        // A set is never empty; the default spares a panic.
        self.data().next().unwrap_or(&[])
    }
}

/// The data of one of [`RRset::records`].
pub(crate) fn data_of(record: &[u8]) -> &[u8] {
    &record[HEADER..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_the_data_that_was_packed() {
        let set = RRset::pack(1, 5, [&[10, 0, 0, 1][..], &[], &[10, 0, 0, 2]]);
        let data: Vec<_> = set.data().collect();
        assert_eq!(data, [&[10, 0, 0, 1][..], &[], &[10, 0, 0, 2]]);
        assert_eq!((set.kind(), set.ttl(), set.count()), (1, 5, 3));
    }

    #[test]
    fn a_record_is_packed_as_a_response_has_it() {
        let set = RRset::pack(16, 5, [&b"\x02hi"[..]]);
        let expected = b"\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x05\x00\x03\x02hi";
        assert_eq!(set.packed(), expected);
    }
}
