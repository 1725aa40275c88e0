//! [`Draft`]: a zone under construction, record by record.
//!
//! Configuration, zone files and replicas all build their zones with it. It is the only way to a
//! [`Zone`], so every zone obeys the rules checked here.

mod error;
mod node;

pub use self::error::ZoneError;

use self::node::DraftNode;
use crate::name::Name;
use crate::rdata::{self, kind};
use crate::tree::Tree;
use crate::zone::Zone;

/// Limit on the octets of one RRset, so that it fits into a TCP message whatever its owner is.
pub(crate) const MAX_SET: usize = 48 * 1024;

/// The records added so far.
#[derive(Debug)]
pub(crate) struct Draft {
    apex: Name,
    /// The first is the apex.
    nodes: Vec<DraftNode>,
    records: usize,
}

impl Draft {
    /// An empty zone.
    pub(crate) fn new(apex: Name) -> Draft {
        Draft {
            apex,
            nodes: vec![DraftNode::default()],
            records: 0,
        }
    }

    /// Adds one record. A duplicate changes nothing. If the TTLs within a set differ, the lowest
    /// is used (RFC 2181, section 5.2).
    pub(crate) fn add(
        &mut self,
        owner: &Name,
        kind: u16,
        ttl: u32,
        data: &[u8],
    ) -> Result<(), ZoneError> {
        self.check(owner, kind, ttl, data)?;

        let index = self.node_index(owner);
        let node = &mut self.nodes[index];
        node.check_coexistence(owner, kind, data)?;

        let set = node.set_mut(kind, ttl);
        // RFC 2181, section 5.2.
        set.ttl = set.ttl.min(ttl);
        if set.insert(data) {
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

    /// Adds all records of `set`, of which `data` are the data, or none of them.
    pub(crate) fn add_set(
        &mut self,
        owner: &Name,
        (kind, ttl): (u16, u32),
        data: &[&[u8]],
    ) -> Result<(), ZoneError> {
        let existing = self.existing(owner);
        let mut size = existing
            .and_then(|node| node.find(kind))
            .map_or(0, |set| set.size);
        // All checks come before the first change: a set is added whole or not at all.
        for data in data {
            self.check(owner, kind, ttl, data)?;
            if let Some(node) = existing {
                node.check_coexistence(owner, kind, data)?;
            }
            size += node::RECORD_HEADER + data.len();
        }
        if size > MAX_SET {
            return Err(ZoneError::Large {
                owner: owner.to_string(),
                kind,
            });
        }

        for data in data {
            self.add(owner, kind, ttl, data)?;
        }
        Ok(())
    }

    /// How many names `owner` would add, empty non-terminals included.
    pub(crate) fn missing(&self, owner: &Name) -> usize {
        let labels = owner.labels();
        let below_apex = labels.count() - self.apex.labels().count();
        let mut node = Some(&self.nodes[0]);
        let mut missing = 0;

        for i in (0..below_apex).rev() {
            let child = node.and_then(|node| node.children.get(labels.label(i)));
            node = child.map(|child| &self.nodes[*child]);
            missing += usize::from(node.is_none());
        }
        missing
    }

    /// The node of `owner`, if there is one.
    fn existing(&self, owner: &Name) -> Option<&DraftNode> {
        let labels = owner.labels();
        let below_apex = labels.count().checked_sub(self.apex.labels().count())?;

        (0..below_apex).rev().try_fold(&self.nodes[0], |node, i| {
            node.children
                .get(labels.label(i))
                .map(|child| &self.nodes[*child])
        })
    }

    /// Checks the rules that concern a single record.
    fn check(&self, owner: &Name, kind: u16, ttl: u32, data: &[u8]) -> Result<(), ZoneError> {
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

        // RFC 2181, section 8.
        if ttl > i32::MAX as u32 {
            return Err(ZoneError::Ttl);
        }

        // RFC 1035, section 5.2.
        if kind == kind::SOA && *owner != self.apex {
            return Err(ZoneError::Soa);
        }
        Ok(())
    }

    /// Number of records so far.
    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// Number of names so far, empty non-terminals included.
    pub(crate) fn names(&self) -> usize {
        self.nodes.len()
    }

    /// The finished zone, which must have its SOA.
    pub(crate) fn finish(mut self) -> Result<Zone, ZoneError> {
        match self.nodes[0].find(kind::SOA) {
            Some(soa) if soa.len() == 1 => (),
            _ => return Err(ZoneError::Soa),
        }

        let depth = self.apex.labels().count();
        let mut tree = Tree::new(self.nodes[0].take_node(), depth);
        self.move_children(0, &mut tree, 0);
        Ok(Zone::new(self.apex, tree, self.records))
    }

    /// Moves everything below the draft's node `from` to the tree's node `to`.
    fn move_children(&mut self, from: usize, tree: &mut Tree, to: u32) {
        let children = std::mem::take(&mut self.nodes[from].children);
        if from == 0 {
            // Exactly: what growing would reserve in vain is a large part of a big zone's memory.
            tree.reserve(self.nodes.len() - 1, to, children.len());
        }

        for (label, child) in children {
            let added = tree.add_child(to, label, self.nodes[child].take_node());
            self.move_children(child, tree, added);
        }
    }

    /// The index of `owner`'s node, which is created with any ancestors that are missing.
    fn node_index(&mut self, owner: &Name) -> usize {
        let labels = owner.labels();
        let below_apex = labels.count() - self.apex.labels().count();

        let mut index = 0;
        // Labels count from the left, and the tree grows from the apex.
        for i in (0..below_apex).rev() {
            let label = labels.label(i);
            index = match self.nodes[index].children.get(label) {
                Some(&child) => child,
                None => {
                    let child = self.nodes.len();
                    self.nodes.push(DraftNode::default());
                    self.nodes[index].children.insert(label.into(), child);
                    child
                }
            };
        }
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &[u8] = &[10, 0, 0, 1];
    const TARGET: &[u8] = b"\x01t\x00";
    const OTHER_TARGET: &[u8] = b"\x01u\x00";

    fn name(text: &str) -> Name {
        Name::from_text(text).unwrap()
    }

    /// A draft of `org1.example` with its SOA.
    fn draft() -> Draft {
        let mut draft = Draft::new(name("org1.example"));
        draft
            .add(&name("org1.example"), kind::SOA, 5, &[0; 22])
            .unwrap();
        draft
    }

    /// Adds the records to [`draft`]; the first error as text.
    fn refusal(records: &[(&str, u16, &[u8])]) -> Option<String> {
        let mut draft = draft();
        records
            .iter()
            .map(|(owner, kind, data)| draft.add(&name(owner), *kind, 5, data))
            .find_map(Result::err)
            .map(|error| error.to_string())
    }

    #[test]
    fn a_zone_needs_exactly_one_soa_at_its_apex() {
        let without = Draft::new(name("org1.example"));
        assert_eq!(without.finish().unwrap_err(), ZoneError::Soa);

        let mut two = draft();
        let second = [&[0; 21][..], &[1]].concat();
        two.add(&name("org1.example"), kind::SOA, 5, &second)
            .unwrap();
        assert_eq!(two.finish().unwrap_err(), ZoneError::Soa);

        let below_apex = refusal(&[("a.org1.example", kind::SOA, &[0; 22])]);
        assert_eq!(
            below_apex.unwrap(),
            "a zone has exactly one SOA record, at its apex"
        );
    }

    #[test]
    fn a_cname_stands_alone_whichever_record_comes_first() {
        let error = "a.org1.example has a CNAME and can have no other record";
        let a = ("a.org1.example", kind::A, A);
        let cname = ("a.org1.example", kind::CNAME, TARGET);
        let second_cname = ("a.org1.example", kind::CNAME, OTHER_TARGET);
        for records in [[a, cname], [cname, a], [cname, second_cname]] {
            assert_eq!(refusal(&records).as_deref(), Some(error));
        }
        assert_eq!(refusal(&[cname, cname]), None, "a duplicate is harmless");
    }

    #[test]
    fn a_name_has_at_most_one_dname() {
        let dname = ("a.org1.example", kind::DNAME, TARGET);
        let second_dname = ("a.org1.example", kind::DNAME, OTHER_TARGET);
        assert_eq!(
            refusal(&[dname, second_dname]).as_deref(),
            Some("a.org1.example has more than one DNAME")
        );

        let a = ("a.org1.example", kind::A, A);
        assert_eq!(refusal(&[dname, a, dname]), None);
    }

    #[test]
    fn refuses_records_outside_the_zone() {
        assert_eq!(
            refusal(&[("a.org2.example", kind::A, A)]).as_deref(),
            Some("a.org2.example is outside the zone org1.example")
        );
        assert_eq!(
            refusal(&[("xorg1.example", kind::A, A)]).as_deref(),
            Some("xorg1.example is outside the zone org1.example")
        );
    }

    #[test]
    fn refuses_malformed_data_query_types_and_large_ttls() {
        assert_eq!(
            refusal(&[("a.org1.example", kind::A, &A[1..])]).as_deref(),
            Some("the data of type 1 is malformed")
        );
        assert_eq!(
            refusal(&[("a.org1.example", kind::ANY, A)]).as_deref(),
            Some("type 255 cannot stand in a zone")
        );
        assert_eq!(
            draft().add(&name("a.org1.example"), kind::A, 1 << 31, A),
            Err(ZoneError::Ttl)
        );
    }

    #[test]
    fn a_set_has_the_lowest_of_its_ttls() {
        let mut draft = draft();
        for (ttl, last_octet) in [(60, 1), (30, 2), (90, 3), (90, 3)] {
            let address = [10, 0, 0, last_octet];
            draft
                .add(&name("a.org1.example"), kind::A, ttl, &address)
                .unwrap();
        }

        let mut sets = Vec::new();
        draft
            .finish()
            .unwrap()
            .rrsets(|_, set| sets.push((set.kind(), set.ttl(), set.count())));
        assert_eq!(sets, [(kind::SOA, 5, 1), (kind::A, 30, 3)]);
    }

    #[test]
    fn refuses_a_set_that_fits_into_no_message() {
        let texts: Vec<Vec<u8>> = (0..200)
            .map(|i| [&[255, i][..], &[b'x'; 254]].concat())
            .collect();
        let records: Vec<_> = texts
            .iter()
            .map(|text| ("a.org1.example", kind::TXT, &text[..]))
            .collect();
        assert_eq!(
            refusal(&records).as_deref(),
            Some("the records of type 16 at a.org1.example take more than 49152 octets")
        );
    }
}
