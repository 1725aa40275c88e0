//! [`Zone`]: the records of one apex at one serial, immutable, ready to be asked.
//!
//! Made by a [`Draft`](crate::draft::Draft) and nothing else; published by [`crate::zones`]. What a
//! question gets from it is decided in [`answer`](mod@crate::answer).

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::denial::Denial;
use crate::name::{Labels, Name};
use crate::rdata::kind;
use crate::reverse::Pointers;
use crate::rrset::RRset;
use crate::tree::{Found, Node, Tree};

/// One zone. Its SOA is always there.
#[derive(Clone)]
pub struct Zone {
    apex: Name,
    tree: Tree,
    records: usize,
    denial: Denial,
    /// Derived when they are first needed.
    pointers: OnceLock<Arc<Pointers>>,
}

/// Offset of the serial from the end of SOA data: five 32-bit numbers, the serial first.
const SERIAL_FROM_END: usize = 20;
/// Offset of MINIMUM from the end of SOA data.
const MINIMUM_FROM_END: usize = 4;

impl Zone {
    pub(crate) fn of(apex: Name, tree: Tree, records: usize) -> Zone {
        let (denial, pointers) = (Denial::default(), OnceLock::new());
        let mut zone = Zone {
            apex,
            tree,
            records,
            denial,
            pointers,
        };
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
        let at = data.len() - SERIAL_FROM_END;
        data[at..at + 4].copy_from_slice(&serial.to_be_bytes());
        let soa = RRset::pack(kind::SOA, soa.ttl(), [&data[..]]);
        self.tree.replace_apex_set(soa);
        Zone {
            pointers: self.pointers,
            ..Zone::of(self.apex, self.tree, self.records)
        }
    }

    /// Derives the names of its addresses, if that was not done yet. A large zone's take some 100 ms: who
    /// publishes a zone where nothing may wait, calls this before, elsewhere.
    pub fn derive_pointers(&self) {
        self.pointers();
    }

    /// True if [`Zone::derive_pointers`] has nothing to do.
    pub fn has_pointers(&self) -> bool {
        self.pointers.get().is_some()
    }

    /// What it says of its addresses.
    pub(crate) fn pointers(&self) -> &Pointers {
        self.pointers.get_or_init(|| Arc::new(Pointers::of(self)))
    }

    /// Every RRset: in canonical order of the names, by type within a name. Owners are complete.
    pub fn rrsets(&self, mut visit: impl FnMut(&Name, &RRset)) {
        self.tree.walk(&mut |below, node| {
            let owner = self
                .apex
                .prefixed(below)
                .expect("a zone's names were names when they came in");
            node.rrsets().iter().for_each(|set| visit(&owner, set));
        });
    }

    pub(crate) fn soa(&self) -> &RRset {
        self.tree
            .apex()
            .rrset(kind::SOA)
            .expect("a zone is only made with its SOA")
    }

    /// The name servers, if the apex names any.
    pub(crate) fn ns(&self) -> Option<&RRset> {
        self.tree.apex().rrset(kind::NS)
    }

    /// The authority section of a negative answer.
    pub(crate) fn denial(&self) -> &Denial {
        &self.denial
    }

    /// The TTL of a negative answer: RFC 2308, section 5.
    pub(crate) fn negative_ttl(&self) -> u32 {
        self.soa().ttl().min(self.soa_number(MINIMUM_FROM_END))
    }

    /// See [`Tree::find`]; `name` lies within the apex.
    pub(crate) fn find(&self, name: &Labels<'_>, qtype: u16) -> Found<'_> {
        self.tree.find(name, qtype)
    }

    /// See [`Tree::exact`]; `name` lies within the apex.
    pub(crate) fn exact(&self, name: &Labels<'_>) -> Option<&Node> {
        self.tree.exact(name)
    }

    fn soa_number(&self, from_end: usize) -> u32 {
        let data = self.soa().first();
        let bytes = data[data.len() - from_end..]
            .first_chunk()
            .expect("checked SOA data ends in five numbers");
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

    /// A zone from zone-file text below `apex`, TTL 5 unless it says otherwise.
    pub(crate) fn zone(apex: &str, text: &str) -> Zone {
        let apex = Name::from_text(apex).unwrap();
        Zone::from_text(&format!("$TTL 5\n{text}"), Some(&apex)).unwrap()
    }

    #[test]
    fn a_new_serial_changes_the_soa_and_nothing_else() {
        let old = zone("org1.example", "@ SOA ns h 1 2 3 4 5\na A 10.0.0.1\n");
        let new = old.clone().with_serial(77);
        assert_eq!((old.serial(), new.serial(), new.negative_ttl()), (1, 77, 5));
        assert_eq!(new.clone().with_serial(1).encode(), old.encode());
        assert_eq!(
            (new.records(), new.apex().to_string()),
            (2, "org1.example".into())
        );
    }
}
