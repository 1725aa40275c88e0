//! [`RRset`]: the records of one name and type (RFC 2181, section 5), packed for copying into messages.

/// One type's records at one name. Order of data is that of their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RRset {
    kind: u16,
    ttl: u32,
    count: u32,
    /// Each datum: its length (u16, network order), then its wire form.
    packed: Box<[u8]>,
}

impl RRset {
    /// Packs `data`, each at most 65,535 octets.
    pub(crate) fn pack<'d>(kind: u16, ttl: u32, data: impl IntoIterator<Item = &'d [u8]>) -> RRset {
        let (mut packed, mut count) = (Vec::new(), 0);
        for datum in data {
            let len = u16::try_from(datum.len()).expect("rdata::check bounds the length");
            packed.extend_from_slice(&len.to_be_bytes());
            packed.extend_from_slice(datum);
            count += 1;
        }
        RRset { kind, ttl, count, packed: packed.into() }
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
        let mut rest = &*self.packed;
        std::iter::from_fn(move || {
            let (len, tail) = rest.split_first_chunk::<2>()?;
            let (datum, tail) = tail.split_at(usize::from(u16::from_be_bytes(*len)));
            rest = tail;
            Some(datum)
        })
    }

    /// The first record's data; a set is never empty.
    pub(crate) fn first(&self) -> &[u8] {
        self.data().next().unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_come_back_as_they_were_packed() {
        let set = RRset::pack(1, 5, [&[10, 0, 0, 1][..], &[], &[10, 0, 0, 2]]);
        assert_eq!(set.data().collect::<Vec<_>>(), [&[10, 0, 0, 1][..], &[], &[10, 0, 0, 2]]);
        assert_eq!((set.kind(), set.ttl(), set.count()), (1, 5, 3));
    }
}
