//! [`Zone`]: the records of one apex at one serial, immutable.
//!
//! Built by a [`Draft`](crate::draft::Draft) only, published by [`crate::zones`], and searched by
//! [`answer`](mod@crate::answer).
//!
//! Invariant: the apex has exactly one SOA record, with well-formed data.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::denial::Denial;
use crate::name::{Labels, Name};
use crate::rdata::kind;
use crate::reverse::Pointers;
use crate::rrset::RRset;
use crate::tree::{Found, Node, Tree};

/// The records of one apex at one serial.
#[derive(Clone)]
pub struct Zone {
    apex: Name,
    tree: Tree,
    /// Number of records.
    records: usize,
    denial: Denial,
    /// Computed on first use, or ahead of it by [`Zone::derive_pointers`].
    pointers: OnceLock<Arc<Pointers>>,
}

// SOA data ends in five 32-bit numbers: SERIAL, REFRESH, RETRY, EXPIRE and MINIMUM (RFC 1035,
// section 3.3.13). Before them are two names of variable length.
const SERIAL_FROM_END: usize = 20;
const MINIMUM_FROM_END: usize = 4;

impl Zone {
    pub(crate) fn new(apex: Name, tree: Tree, records: usize) -> Zone {
        let mut zone = Zone {
            apex,
            tree,
            records,
            denial: Denial::default(),
            pointers: OnceLock::new(),
        };

        // Built last: it reads the SOA in the tree.
        zone.denial = Denial::new(&zone.apex, zone.soa(), zone.negative_ttl());
        zone
    }

    /// The zone's name.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// The SOA's serial (RFC 1982).
    pub fn serial(&self) -> u32 {
        self.soa_number(SERIAL_FROM_END)
    }

    /// Number of records, SOA included.
    pub fn records(&self) -> usize {
        self.records
    }

    /// The same zone at another serial.
    pub fn with_serial(mut self, serial: u32) -> Zone {
        let soa = self.soa();
        let mut data = soa.first().to_vec();

        // Counted from the end, because the two names before it vary in length.
        let at = data.len() - SERIAL_FROM_END;
        data[at..at + 4].copy_from_slice(&serial.to_be_bytes());

        let soa = RRset::pack(kind::SOA, soa.ttl(), [&data[..]]);
        self.tree.replace_apex_set(soa);

        // Built again for the sake of its prepared negative answers, which contain the SOA.
        Zone {
            pointers: self.pointers,
            ..Zone::new(self.apex, self.tree, self.records)
        }
    }

    /// Computes the PTR records for the zone's addresses, unless that is done already.
    ///
    /// This takes about 100 ms for a large zone. [`Zones`](crate::Zones) does it when the zone is
    /// published, so call this first, on a blocking thread, if the publishing task must not stall.
    pub fn derive_pointers(&self) {
        self.pointers();
    }

    /// True if [`Zone::derive_pointers`] has nothing left to do.
    pub fn has_pointers(&self) -> bool {
        self.pointers.get().is_some()
    }

    /// PTR records for the zone's addresses.
    pub(crate) fn pointers(&self) -> &Pointers {
        self.pointers.get_or_init(|| Arc::new(Pointers::of(self)))
    }

    /// Visits every RRset with its owner: names in canonical order, then by type.
    pub fn rrsets(&self, mut visit: impl FnMut(&Name, &RRset)) {
        self.tree.walk(&mut |below, node| {
            let owner = self
                .apex
                .prefixed(below)
                .expect("the draft checked every owner");

            for set in node.rrsets() {
                visit(&owner, set);
            }
        });
    }

    /// Visits every name in canonical order: its labels below the apex, in wire format without the
    /// root, and its node.
    pub(crate) fn walk<'z>(&'z self, visit: &mut impl FnMut(&[u8], &'z Node)) {
        self.tree.walk(visit);
    }

    pub(crate) fn soa(&self) -> &RRset {
        self.tree
            .apex()
            .rrset(kind::SOA)
            .expect("a draft is finished only with an SOA")
    }

    /// The NS records at the apex.
    pub(crate) fn ns(&self) -> Option<&RRset> {
        self.tree.apex().rrset(kind::NS)
    }

    /// The authority section of a negative answer.
    pub(crate) fn denial(&self) -> &Denial {
        &self.denial
    }

    /// The TTL of a negative answer: the lower of the SOA's TTL and its MINIMUM field (RFC 2308,
    /// section 5).
    pub(crate) fn negative_ttl(&self) -> u32 {
        self.soa().ttl().min(self.soa_number(MINIMUM_FROM_END))
    }

    /// See [`Tree::find`]. `name` must be within the apex.
    pub(crate) fn find(&self, name: &Labels<'_>, qtype: u16) -> Found<'_> {
        self.tree.find(name, qtype)
    }

    /// See [`Tree::exact`]. `name` must be within the apex.
    pub(crate) fn exact(&self, name: &Labels<'_>) -> Option<&Node> {
        self.tree.exact(name)
    }

    /// A number in the SOA's data, by its offset from the end.
    fn soa_number(&self, from_end: usize) -> u32 {
        let data = self.soa().first();
        let bytes = data[data.len() - from_end..]
            .first_chunk()
            .expect("the draft checked the SOA's data");

        u32::from_be_bytes(*bytes)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Zone");
        debug
            .field("apex", &self.apex)
            .field("serial", &self.serial())
            .field("records", &self.records)
            .finish()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The zone `apex` from zone-file text; the default TTL is 5.
    pub(crate) fn zone(apex: &str, text: &str) -> Zone {
        let apex = Name::from_text(apex).unwrap();
        Zone::from_text(&format!("$TTL 5\n{text}"), Some(&apex)).unwrap()
    }

    #[test]
    fn a_new_serial_changes_the_soa_and_nothing_else() {
        let old = zone("org1.example", "@ SOA ns h 1 2 3 4 5\na A 10.0.0.1\n");
        let new = old.clone().with_serial(77);

        assert_eq!(old.serial(), 1);
        assert_eq!(new.serial(), 77);
        assert_eq!(new.negative_ttl(), 5);
        assert_eq!(new.records(), 2);
        assert_eq!(new.apex().to_string(), "org1.example");
        assert_eq!(new.with_serial(1).encode(), old.encode());
    }
}
