//! [`Draft`]: a zone being written, record by record, whoever the source is (configuration, zone file,
//! replica). The only way to a [`Zone`], so every zone obeys the rules checked here.

use std::collections::HashMap;

use crate::name::{Name, NameError};
use crate::rdata::{self, RdataError, kind};
use crate::rrset::RRset;
use crate::tree::{Node, Tree};
use crate::zone::Zone;

/// What breaks a rule of zones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// The owner is not at or below the apex.
    #[error("{owner} is outside the zone {apex}")]
    Outside {
        /// The record's owner.
        owner: String,
        /// The zone.
        apex: String,
    },
    /// A text that is no name.
    #[error("{text:?} is no domain name: {reason}")]
    Name {
        /// What was written.
        text: String,
        /// Why it is none.
        reason: NameError,
    },
    /// A question or pseudo type.
    #[error("type {kind} cannot stand in a zone")]
    Kind {
        /// Number of the type.
        kind: u16,
    },
    /// The data is malformed.
    #[error(transparent)]
    Data(#[from] RdataError),
    /// Above 2^31 - 1 seconds (RFC 2181, section 8).
    #[error("a TTL may be at most 2147483647 seconds")]
    Ttl,
    /// No SOA at the apex, or more than one, or one elsewhere (RFC 1035, section 5.2).
    #[error("a zone has exactly one SOA record, at its apex")]
    Soa,
    /// A CNAME with a second record at the same name (RFC 2181, section 10.1).
    #[error("{owner} has a CNAME and can have no other record")]
    Alias {
        /// The name.
        owner: String,
    },
    /// More than one DNAME at a name (RFC 6672, section 2.4).
    #[error("{owner} has more than one DNAME")]
    Dname {
        /// The name.
        owner: String,
    },
    /// A set that fits into no message.
    #[error("the records of type {kind} at {owner} take more than {MAX_SET} octets")]
    Large {
        /// The name.
        owner: String,
        /// Number of the type.
        kind: u16,
    },
}

/// Octets of data that one RRset may have, so that it fits into a TCP message whatever its owner is.
pub const MAX_SET: usize = 48 * 1024;

/// Records gathered so far.
#[derive(Debug)]
pub struct Draft {
    apex: Name,
    nodes: Vec<Sketch>,
    records: usize,
}

/// One name of a draft.
#[derive(Debug, Default)]
struct Sketch {
    /// Few, mostly one.
    sets: Vec<Set>,
    children: HashMap<Box<[u8]>, usize>,
}

#[derive(Debug)]
struct Set {
    kind: u16,
    ttl: u32,
    size: usize,
    /// In order; a replica's come in order, so that adding one is cheap.
    data: Vec<Box<[u8]>>,
}

impl Draft {
    /// An empty zone.
    pub fn new(apex: Name) -> Draft {
        Draft {
            apex,
            nodes: vec![Sketch::default()],
            records: 0,
        }
    }

    /// Adds one record. One that is there already changes nothing; where TTLs of a set differ, the
    /// lowest holds (RFC 2181, section 5.2).
    pub fn add(&mut self, owner: &Name, kind: u16, ttl: u32, data: &[u8]) -> Result<(), ZoneError> {
        if !owner.is_within(&self.apex) {
            return Err(ZoneError::Outside {
                owner: owner.to_string(),
                apex: self.apex.to_string(),
            });
        }
        if !rdata::is_data(kind) {
            return Err(ZoneError::Kind { kind });
        }
        rdata::check(kind, data)?;
        if ttl > i32::MAX as u32 {
            return Err(ZoneError::Ttl);
        }
        if kind == kind::SOA && *owner != self.apex {
            return Err(ZoneError::Soa);
        }
        let number = self.number(owner);
        let node = &mut self.nodes[number];
        node.check_company(owner, kind, data)?;
        let set = node.set(kind, ttl);
        set.ttl = set.ttl.min(ttl);
        if let Err(place) = set.place(data) {
            if set.data.is_empty() {
                set.data.reserve_exact(1);
            }
            set.data.insert(place, data.into());
            set.size += 12 + data.len();
            self.records += 1;
        }
        if set.size > MAX_SET {
            return Err(ZoneError::Large {
                owner: owner.to_string(),
                kind,
            });
        }
        Ok(())
    }

    /// Number of records so far.
    pub fn records(&self) -> usize {
        self.records
    }

    /// Number of names so far, empty non-terminals included.
    pub fn names(&self) -> usize {
        self.nodes.len()
    }

    /// The zone, if it has its SOA.
    pub fn finish(mut self) -> Result<Zone, ZoneError> {
        match self.nodes[0].find(kind::SOA) {
            Some(soa) if soa.data.len() == 1 => (),
            _ => return Err(ZoneError::Soa),
        }
        let depth = self.apex.labels().count();
        let mut tree = Tree::new(self.nodes[0].node(), depth);
        self.hang_children(0, &mut tree, 0);
        Ok(Zone::of(self.apex, tree, self.records))
    }

    fn hang_children(&mut self, from: usize, tree: &mut Tree, to: u32) {
        let children = std::mem::take(&mut self.nodes[from].children);
        if from == 0 {
            tree.reserve(self.nodes.len() - 1, to, children.len());
        }
        for (label, number) in children {
            let hung = tree.hang(to, label, self.nodes[number].node());
            self.hang_children(number, tree, hung);
        }
    }

    /// The sketch of `owner`; it and what is missing above it are made.
    fn number(&mut self, owner: &Name) -> usize {
        let labels = owner.labels();
        let below = labels.count() - self.apex.labels().count();
        (0..below).rev().fold(0, |number, i| {
            if let Some(&child) = self.nodes[number].children.get(labels.label(i)) {
                return child;
            }
            let child = self.nodes.len();
            self.nodes.push(Sketch::default());
            self.nodes[number]
                .children
                .insert(labels.label(i).into(), child);
            child
        })
    }
}

impl Sketch {
    fn find(&self, kind: u16) -> Option<&Set> {
        self.sets.iter().find(|set| set.kind == kind)
    }

    fn set(&mut self, kind: u16, ttl: u32) -> &mut Set {
        let known = self.sets.iter().position(|set| set.kind == kind);
        let at = known.unwrap_or_else(|| {
            // Mostly it stays the only one; a vector's own first step is four.
            self.sets.reserve_exact(1);
            self.sets.push(Set {
                kind,
                ttl,
                size: 0,
                data: Vec::new(),
            });
            self.sets.len() - 1
        });
        &mut self.sets[at]
    }

    /// What may stand beside what at one name.
    fn check_company(&self, owner: &Name, kind: u16, data: &[u8]) -> Result<(), ZoneError> {
        let other = |set: &Set| set.place(data).is_err();
        let aliased = self.find(kind::CNAME);
        // RFC 2181, section 10.1; DNSSEC's own records, which may stay, are not served yet.
        if aliased.is_some_and(|set| kind != kind::CNAME || other(set))
            || kind == kind::CNAME && self.sets.iter().any(|set| set.kind != kind::CNAME)
        {
            return Err(ZoneError::Alias {
                owner: owner.to_string(),
            });
        }
        if kind == kind::DNAME && self.find(kind).is_some_and(other) {
            return Err(ZoneError::Dname {
                owner: owner.to_string(),
            });
        }
        Ok(())
    }

    fn node(&mut self) -> Node {
        Node::new(
            std::mem::take(&mut self.sets)
                .iter()
                .map(Set::pack)
                .collect(),
        )
    }
}

impl Set {
    /// Where `data` is, or where it belongs.
    fn place(&self, data: &[u8]) -> Result<usize, usize> {
        match self.data.last() {
            Some(last) if **last < *data => Err(self.data.len()),
            _ => self.data.binary_search_by(|datum| (**datum).cmp(data)),
        }
    }

    fn pack(&self) -> RRset {
        RRset::pack(self.kind, self.ttl, self.data.iter().map(|datum| &**datum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_text(text).unwrap()
    }

    fn draft() -> Draft {
        let mut draft = Draft::new(name("org1.example"));
        draft
            .add(&name("org1.example"), kind::SOA, 5, &[0; 22])
            .unwrap();
        draft
    }

    fn refusal(records: &[(&str, u16, &[u8])]) -> Option<String> {
        let mut draft = draft();
        let mut results = records
            .iter()
            .map(|(owner, kind, data)| draft.add(&name(owner), *kind, 5, data));
        results.find_map(Result::err).map(|error| error.to_string())
    }

    const A: &[u8] = &[10, 0, 0, 1];
    const TARGET: &[u8] = b"\x01t\x00";
    const OTHER: &[u8] = b"\x01u\x00";

    #[test]
    fn a_zone_needs_exactly_one_soa_at_its_apex() {
        let none = Draft::new(name("org1.example"));
        assert_eq!(none.finish().unwrap_err(), ZoneError::Soa);
        let mut two = draft();
        two.add(
            &name("org1.example"),
            kind::SOA,
            5,
            &[&[0; 21][..], &[1]].concat(),
        )
        .unwrap();
        assert_eq!(two.finish().unwrap_err(), ZoneError::Soa);
        let inner = refusal(&[("a.org1.example", kind::SOA, &[0; 22])]);
        assert_eq!(
            inner.unwrap(),
            "a zone has exactly one SOA record, at its apex"
        );
    }

    #[test]
    fn a_cname_stands_alone_whichever_comes_first() {
        let alone = "a.org1.example has a CNAME and can have no other record";
        let (a, cname) = (
            ("a.org1.example", kind::A, A),
            ("a.org1.example", kind::CNAME, TARGET),
        );
        let second = ("a.org1.example", kind::CNAME, OTHER);
        for records in [[a, cname], [cname, a], [cname, second]] {
            assert_eq!(refusal(&records).as_deref(), Some(alone));
        }
        assert_eq!(
            refusal(&[cname, cname]),
            None,
            "the same record twice is one record"
        );
    }

    #[test]
    fn a_name_has_one_dname_at_most() {
        let (one, two) = (
            ("a.org1.example", kind::DNAME, TARGET),
            ("a.org1.example", kind::DNAME, OTHER),
        );
        assert_eq!(
            refusal(&[one, two]).as_deref(),
            Some("a.org1.example has more than one DNAME")
        );
        assert_eq!(refusal(&[one, ("a.org1.example", kind::A, A), one]), None);
    }

    #[test]
    fn records_outside_the_zone_malformed_or_of_no_type_are_refused() {
        let outside = refusal(&[("a.org2.example", kind::A, A)]);
        assert_eq!(
            outside.as_deref(),
            Some("a.org2.example is outside the zone org1.example")
        );
        assert_eq!(
            refusal(&[("xorg1.example", kind::A, A)])
                .unwrap()
                .split(' ')
                .nth(2),
            Some("outside")
        );
        let malformed = refusal(&[("a.org1.example", kind::A, &A[1..])]);
        assert_eq!(
            malformed.as_deref(),
            Some("the data of type 1 is malformed")
        );
        let any = refusal(&[("a.org1.example", kind::ANY, A)]);
        assert_eq!(any.as_deref(), Some("type 255 cannot stand in a zone"));
        assert_eq!(
            draft().add(&name("a.org1.example"), kind::A, 1 << 31, A),
            Err(ZoneError::Ttl)
        );
    }

    #[test]
    fn a_set_has_one_ttl_the_lowest_and_fits_into_a_message() {
        let mut draft = draft();
        for (ttl, low) in [(60, 1), (30, 2), (90, 3), (90, 3)] {
            draft
                .add(&name("a.org1.example"), kind::A, ttl, &[10, 0, 0, low])
                .unwrap();
        }
        let mut sets = Vec::new();
        draft
            .finish()
            .unwrap()
            .rrsets(|_, set| sets.push((set.kind(), set.ttl(), set.count())));
        assert_eq!(sets, [(kind::SOA, 5, 1), (kind::A, 30, 3)]);
        let texts: Vec<Vec<u8>> = (0..200)
            .map(|i| [&[255, i][..], &[b'x'; 254]].concat())
            .collect();
        let records: Vec<_> = texts
            .iter()
            .map(|text| ("a.org1.example", kind::TXT, &text[..]))
            .collect();
        let large = "the records of type 16 at a.org1.example take more than 49152 octets";
        assert_eq!(refusal(&records).as_deref(), Some(large));
    }
}
