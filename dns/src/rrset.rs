//! [`RRset`]: the records of one name and type (RFC 2181, section 5), packed as a message holds them
//! behind a question for that name, so that most answers are one copy.

/// One type's records at one name. Order of data is that of their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RRset {
    kind: u16,
    ttl: u32,
    count: u32,
    /// Each record: [`HEADER`] octets, then its data, uncompressed.
    packed: Box<[u8]>,
}

/// Octets of a record before its data: owner, type, class, TTL, length (RFC 1035, section 3.2.1).
const HEADER: usize = 12;
/// The owner: a pointer to the question, which is always the first name of a message.
const QUESTION: [u8; 2] = [0xc0, 0x0c];
const CLASS_IN: [u8; 2] = [0, 1];

impl RRset {
    /// Packs `data`, each at most 65,535 octets.
    pub(crate) fn pack<'d>(kind: u16, ttl: u32, data: impl IntoIterator<Item = &'d [u8]>) -> RRset {
        let (mut packed, mut count) = (Vec::new(), 0);
        for datum in data {
            let len = u16::try_from(datum.len()).expect("rdata::check bounds the length");
            packed.extend_from_slice(&QUESTION);
            packed.extend_from_slice(&kind.to_be_bytes());
            packed.extend_from_slice(&CLASS_IN);
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

    /// Seconds; one value for the whole set (RFC 2181, section 5.2).
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// Number of records.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// The records' data in wire form.
    pub fn data(&self) -> impl Iterator<Item = &[u8]> {
        self.records().map(data_of)
    }

    /// The records as they stand in an answer to a question for their owner.
    pub(crate) fn records(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.packed;
        std::iter::from_fn(move || {
            let len: &[u8; 2] = rest.get(HEADER - 2..)?.first_chunk()?;
            let (record, tail) = rest.split_at(HEADER + usize::from(u16::from_be_bytes(*len)));
            rest = tail;
            Some(record)
        })
    }

    /// All [`RRset::records`] in one piece.
    pub(crate) fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// The first record's data; a set is never empty.
    pub(crate) fn first(&self) -> &[u8] {
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
    fn data_come_back_as_they_were_packed() {
        let set = RRset::pack(1, 5, [&[10, 0, 0, 1][..], &[], &[10, 0, 0, 2]]);
        assert_eq!(
            set.data().collect::<Vec<_>>(),
            [&[10, 0, 0, 1][..], &[], &[10, 0, 0, 2]]
        );
        assert_eq!((set.kind(), set.ttl(), set.count()), (1, 5, 3));
    }

    #[test]
    fn a_record_stands_as_it_does_behind_its_question() {
        let set = RRset::pack(16, 5, [&b"\x02hi"[..]]);
        assert_eq!(
            set.packed(),
            b"\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x05\x00\x03\x02hi"
        );
    }
}
