//! [`Denial`]: a zone's SOA record as negative responses carry it (RFC 2308, section 3), prepared
//! for copying, so that a name that does not exist costs no more than one that does.
//!
//! The owner and the ends of the names are compression pointers to the apex. Where the apex is in a
//! message depends on the question, so each copy gets its own offsets.

use crate::name::{Labels, Name, POINTER};
use crate::rdata::{CLASS_IN, kind};
use crate::rrset::RRset;

/// The record of the authority section of a negative response.
#[derive(Debug, Clone, Default)]
pub(crate) struct Denial {
    record: Box<[u8]>,
    pointers: Vec<Pointer>,
}

/// A compression pointer in [`Denial`], without its offset.
#[derive(Debug, Clone, Copy)]
struct Pointer {
    /// Octet of the record at which the pointer is.
    at: u8,
    /// Octet of the apex to which it points.
    to: u8,
}

/// Octets of the SOA fields after the names: serial, refresh, retry, expire, minimum.
const NUMBERS: usize = 20;

impl Denial {
    /// From the SOA record of the zone at `apex`. Resolvers keep the denial for `ttl` seconds.
    pub(crate) fn new(apex: &Name, soa: &RRset, ttl: u32) -> Denial {
        let mut builder = Builder {
            apex: apex.labels(),
            record: Vec::new(),
            pointers: Vec::new(),
        };
        builder.put_name(apex, apex.as_wire());
        builder.put_u16(kind::SOA);
        builder.put_u16(CLASS_IN);
        builder.record.extend_from_slice(&ttl.to_be_bytes());

        // The length is known only after compression.
        builder.put_u16(0);
        let start = builder.record.len();
        // MNAME and RNAME (RFC 1035, section 3.3.13).
        let mut data = soa.first();
        while data.len() > NUMBERS
            && let Ok((name, len)) = Name::from_wire(data)
        {
            builder.put_name(&name, &data[..len]);
            data = &data[len..];
        }

        builder.record.extend_from_slice(data);
        let len = (builder.record.len() - start) as u16;
        builder.record[start - 2..start].copy_from_slice(&len.to_be_bytes());

        Denial {
            record: builder.record.into(),
            pointers: builder.pointers,
        }
    }

    /// Appends the record to a message that has the apex at octet `apex`.
    pub(crate) fn put(&self, apex: u16, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.record);

        for pointer in &self.pointers {
            let at = start + usize::from(pointer.at);
            let offset = apex + u16::from(pointer.to);
            out[at..at + 2].copy_from_slice(&(POINTER | offset).to_be_bytes());
        }
    }
}

struct Builder<'a> {
    apex: Labels<'a>,
    record: Vec<u8>,
    pointers: Vec<Pointer>,
}

impl Builder<'_> {
    /// Appends `name`, in the case of `written`. Labels that it shares with the end of the apex
    /// become a pointer, if they are within the first 255 octets of the record.
    fn put_name(&mut self, name: &Name, written: &[u8]) {
        let labels = name.labels();
        // The first suffix found is the longest.
        for i in 0..labels.count() {
            let Some(to) = self.offset_in_apex(labels.suffix(i)) else {
                continue;
            };
            let own = labels.prefix(i).len();
            let Ok(at) = u8::try_from(self.record.len() + own) else {
                break;
            };

            self.record.extend_from_slice(&written[..own]);
            self.pointers.push(Pointer { at, to });
            self.put_u16(0);
            return;
        }

        self.record.extend_from_slice(written);
    }

    /// The octet at which the apex continues with `suffix` to its end.
    fn offset_in_apex(&self, suffix: &[u8]) -> Option<u8> {
        (0..self.apex.count())
            .find(|&i| self.apex.suffix(i) == suffix)
            .map(|i| self.apex.prefix(i).len() as u8)
    }

    fn put_u16(&mut self, word: u16) {
        self.record.extend_from_slice(&word.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::tests::zone;

    #[test]
    fn names_end_in_pointers_to_the_apex_at_any_offset() {
        let text = "@ SOA gw.org1.example. h.x.example. 1 2 3 4 5\n";
        let zone = zone("org1.example", text);
        let denial = Denial::new(zone.apex(), zone.soa(), 5);

        let mut out = vec![0; 3];
        denial.put(0x20, &mut out);
        assert_eq!(out.len(), 3 + denial.record.len());
        let record =
            b"\xc0\x20\x00\x06\x00\x01\x00\x00\x00\x05\x00\x1f\x02gw\xc0\x20\x01h\x01x\xc0\x25";
        assert_eq!(out[3..3 + record.len()], record[..]);
    }

    #[test]
    fn names_outside_the_zone_are_written_in_full() {
        let zone = zone("org1.example", "@ SOA a.test. b.test. 1 2 3 4 5\n");
        let mut out = Vec::new();
        Denial::new(zone.apex(), zone.soa(), 5).put(12, &mut out);
        assert_eq!(out.len(), 12 + 8 + 8 + NUMBERS);
    }
}
