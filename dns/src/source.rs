//! `Record`: one record and where it was written; `merge`: how records of several places become one
//! zone. Two that cannot stand together are reported with both places.

use std::collections::HashMap;

use ringway_config::{Fault, Place};

use crate::draft::Draft;
use crate::name::Name;
use crate::rdata::kind;

/// One record as a person wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) owner: Name,
    pub(crate) kind: u16,
    pub(crate) ttl: u32,
    pub(crate) data: Vec<u8>,
    pub(crate) place: Place,
}

/// Where the records of a zone were written.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Ordered by owner, type and data.
    records: Vec<Record>,
}

impl Sources {
    pub(crate) fn of(mut records: Vec<Record>) -> Sources {
        records.sort_by(|a, b| a.key().cmp(&b.key()));
        Sources { records }
    }

    /// Where this record was written, or the wildcard that it was made from; `None` if nobody wrote it, as
    /// with the SOA and NS that Ringway adds.
    pub fn place(&self, owner: &Name, kind: u16, data: &[u8]) -> Option<&Place> {
        self.written(owner.as_wire(), kind, data).or_else(|| {
            let labels = owner.labels();
            let wildcard = |i| [b"\x01*", labels.suffix(i)].concat();
            (1..=labels.count()).find_map(|i| self.written(&wildcard(i), kind, data))
        })
    }

    fn written(&self, owner: &[u8], kind: u16, data: &[u8]) -> Option<&Place> {
        // A zone has one SOA, and Ringway keeps its serial: the data is not as it was written.
        let is_before = |record: &Record| match kind {
            kind::SOA => (record.owner.as_wire(), record.kind) < (owner, kind),
            _ => record.key() < (owner, kind, data),
        };
        let found = self.records.get(self.records.partition_point(is_before))?;
        let is_it = (found.owner.as_wire(), found.kind) == (owner, kind);
        (is_it && (kind == kind::SOA || found.data == data)).then_some(&found.place)
    }
}

impl Record {
    fn key(&self) -> (&[u8], u16, &[u8]) {
        (self.owner.as_wire(), self.kind, &self.data)
    }

    /// Why this record cannot stand beside an `earlier` one of the same name.
    fn conflict(&self, earlier: &Record) -> Option<String> {
        let (owner, place) = (self.owner, &earlier.place);
        let both = |kind| self.kind == kind && earlier.kind == kind;
        if self.key() == earlier.key() {
            return Some(format!(
                "{owner} has this record already at {place}; remove one of them"
            ));
        }
        // RFC 1034, section 3.6.2.
        if self.kind == kind::CNAME || earlier.kind == kind::CNAME {
            return Some(format!(
                "{owner} has another record at {place}; a CNAME must be its only one"
            ));
        }
        // RFC 6672, section 2.4; RFC 1035, section 5.2.
        let name = if both(kind::DNAME) { "DNAME" } else { "SOA" };
        (both(kind::DNAME) || both(kind::SOA))
            .then(|| format!("{owner} has another {name} at {place}; remove one of them"))
    }
}

/// Adds `records` to `draft`; the faults are those of the records that cannot be there.
pub(crate) fn merge(draft: &mut Draft, records: &[Record]) -> Vec<Fault> {
    let mut names: HashMap<&[u8], Vec<&Record>> = HashMap::new();
    let mut faults = Vec::new();
    for record in records {
        let known = names.entry(record.owner.as_wire()).or_default();
        let conflict = known.iter().find_map(|earlier| record.conflict(earlier));
        let refusal = conflict.or_else(|| {
            let added = draft.add(&record.owner, record.kind, record.ttl, &record.data);
            added.err().map(|error| error.to_string())
        });
        match refusal {
            None => known.push(record),
            Some(message) => faults.push(Fault {
                place: record.place.clone(),
                message,
            }),
        }
    }
    faults
}
