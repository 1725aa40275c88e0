//! [`Denial`]: a zone's SOA record as negative answers carry it (RFC 2308, section 3), ready to be
//! copied, so that a name that does not exist costs what one that does costs.
//!
//! Its owner and the ends of its names are pointers to the apex, whose place in a message depends on
//! the question: it is filled in with each copy.

use crate::name::{Labels, Name};
use crate::rdata::kind;
use crate::rrset::RRset;

/// The one record of an authority section that denies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Denial {
    record: Box<[u8]>,
    /// Where pointers stand in the record, and to which octet of the apex they point.
    pointers: Vec<(u8, u8)>,
}

/// Of SOA data: serial, refresh, retry, expire, minimum.
const NUMBERS: usize = 20;

impl Denial {
    /// Of `soa` at `apex`, to be kept for `ttl` seconds.
    pub(crate) fn new(apex: &Name, soa: &RRset, ttl: u32) -> Denial {
        let mut denial = Builder {
            apex: apex.labels(),
            record: Vec::new(),
            pointers: Vec::new(),
        };
        denial.put_name(apex, apex.as_wire());
        denial.record.extend_from_slice(&kind::SOA.to_be_bytes());
        denial.record.extend_from_slice(&[0, 1]);
        denial.record.extend_from_slice(&ttl.to_be_bytes());
        let len_at = denial.record.len();
        denial.record.extend_from_slice(&[0, 0]);
        let mut data = soa.first();
        while data.len() > NUMBERS
            && let Ok((name, len)) = Name::from_wire(data)
        {
            denial.put_name(&name, &data[..len]);
            data = &data[len..];
        }
        denial.record.extend_from_slice(data);
        let len = (denial.record.len() - len_at - 2) as u16;
        denial.record[len_at..len_at + 2].copy_from_slice(&len.to_be_bytes());
        Denial {
            record: denial.record.into(),
            pointers: denial.pointers,
        }
    }

    /// Appends the record to a message in which the apex stands at octet `apex`.
    pub(crate) fn put(&self, apex: u16, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.record);
        for &(at, to) in &self.pointers {
            let at = start + usize::from(at);
            out[at..at + 2].copy_from_slice(&(0xc000 | (apex + u16::from(to))).to_be_bytes());
        }
    }
}

struct Builder<'a> {
    apex: Labels<'a>,
    record: Vec<u8>,
    pointers: Vec<(u8, u8)>,
}

impl Builder<'_> {
    /// The labels that the apex does not end in, in the case they were `written` in, then a pointer to
    /// those that it does.
    fn put_name(&mut self, name: &Name, written: &[u8]) {
        let labels = name.labels();
        let shared = |i: usize| {
            let above = self.apex.count().checked_sub(labels.count() - i)?;
            (labels.suffix(i) == self.apex.suffix(above)).then_some((i, above))
        };
        match (0..labels.count()).find_map(shared) {
            // A record's pointers stand in its first octets: behind one name they always do.
            Some((i, above))
                if self.record.len() + labels.prefix(i).len() < usize::from(u8::MAX) =>
            {
                self.record
                    .extend_from_slice(&written[..labels.prefix(i).len()]);
                let to = self.apex.prefix(above).len() as u8;
                self.pointers.push((self.record.len() as u8, to));
                self.record.extend_from_slice(&[0, 0]);
            }
            _ => self.record.extend_from_slice(written),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::tests::zone;

    #[test]
    fn names_end_in_pointers_to_the_apex_wherever_it_stands() {
        let zone = zone(
            "org1.example",
            "@ SOA gw.org1.example. h.x.example. 1 2 3 4 5\n",
        );
        let denial = Denial::new(zone.apex(), zone.soa(), 5);
        let mut out = vec![0; 3];
        denial.put(0x20, &mut out);
        assert_eq!(out.len(), 3 + denial.record.len());
        let record =
            b"\xc0\x20\x00\x06\x00\x01\x00\x00\x00\x05\x00\x1f\x02gw\xc0\x20\x01h\x01x\xc0\x25";
        assert_eq!(out[3..3 + record.len()], record[..]);
    }

    #[test]
    fn a_zone_whose_names_share_nothing_is_written_in_full() {
        let zone = zone("org1.example", "@ SOA a.test. b.test. 1 2 3 4 5\n");
        let mut out = Vec::new();
        Denial::new(zone.apex(), zone.soa(), 5).put(12, &mut out);
        assert_eq!(out.len(), 12 + 8 + 8 + NUMBERS);
    }
}
