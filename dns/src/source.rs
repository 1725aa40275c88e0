//! [`Record`]: one record and where it was written; [`merge`]: the records of several sources as
//! one zone. Of two records that cannot stand together, the fault names both places.

use std::collections::HashMap;

use ringway_config::{Fault, Place};

use crate::draft::Draft;
use crate::name::Name;
use crate::rdata::{canonical, kind};

/// One record as it was written in the configuration or a zone file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) owner: Name,
    pub(crate) kind: u16,
    pub(crate) ttl: u32,
    pub(crate) data: Vec<u8>,
    pub(crate) place: Place,
}

/// Where each record of a zone was written.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Sorted by [`Record::key`].
    records: Vec<Record>,
}

impl Sources {
    pub(crate) fn of(mut records: Vec<Record>) -> Sources {
        records.sort_by(|a, b| a.key().cmp(&b.key()));
        Sources { records }
    }

    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Where this record was written, or the wildcard that it was synthesized from. `None` for the
    /// SOA, NS and addresses that Ringway adds.
    pub fn place(&self, owner: &Name, kind: u16, data: &[u8]) -> Option<&Place> {
        if let Some(place) = self.place_of(owner.as_wire(), kind, data) {
            return Some(place);
        }

        let labels = owner.labels();
        // From the nearest wildcard on: that is the one that answers.
        (1..=labels.count()).find_map(|i| {
            let wildcard = [b"\x01*", labels.suffix(i)].concat();
            self.place_of(&wildcard, kind, data)
        })
    }

    fn place_of(&self, owner: &[u8], kind: u16, data: &[u8]) -> Option<&Place> {
        // A zone has one SOA. Its data differs from what was written, because Ringway replaces the
        // serial.
        let ignore_data = kind == kind::SOA;
        let index = self.records.partition_point(|record| {
            if ignore_data {
                (record.owner.as_wire(), record.kind) < (owner, kind)
            } else {
                record.key() < (owner, kind, data)
            }
        });

        let record = self.records.get(index)?;
        let is_found = record.owner.as_wire() == owner
            && record.kind == kind
            && (ignore_data || record.data == data);
        is_found.then_some(&record.place)
    }
}

impl Record {
    fn key(&self) -> (&[u8], u16, &[u8]) {
        (self.owner.as_wire(), self.kind, &self.data)
    }

    /// True if a zone would hold both as one record.
    fn is_same(&self, other: &Record) -> bool {
        self.owner == other.owner
            && self.kind == other.kind
            && canonical(self.kind, &self.data) == canonical(other.kind, &other.data)
    }

    /// Why this record cannot stand beside an `earlier` one with the same owner.
    fn conflict(&self, earlier: &Record) -> Option<String> {
        let owner = self.owner;
        let place = &earlier.place;

        // A zone would ignore the duplicate, but it is probably a mistake for another record.
        if self.is_same(earlier) {
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

        let name = match self.kind {
            // RFC 6672, section 2.4.
            kind::DNAME => "DNAME",
            // RFC 1035, section 5.2.
            kind::SOA => "SOA",
            _ => return None,
        };

        (self.kind == earlier.kind)
            .then(|| format!("{owner} has another {name} at {place}; remove one of them"))
    }
}

/// Adds `records` to `draft`. Returns a fault for each record that is refused.
pub(crate) fn merge(draft: &mut Draft, records: &[Record]) -> Vec<Fault> {
    // The accepted records of each owner.
    let mut names: HashMap<&[u8], Vec<&Record>> = HashMap::new();
    let mut faults = Vec::new();

    for record in records {
        let accepted = names.entry(record.owner.as_wire()).or_default();
        let conflict = accepted.iter().find_map(|earlier| record.conflict(earlier));

        // The draft checks the same again and more, but knows no places.
        let refusal = conflict.or_else(|| {
            let added = draft.add(&record.owner, record.kind, record.ttl, &record.data);
            added.err().map(|error| error.to_string())
        });

        match refusal {
            None => accepted.push(record),
            Some(message) => faults.push(Fault {
                place: record.place.clone(),
                message,
            }),
        }
    }
    faults
}
