//! [`DraftNode`]: one name of a draft, its RRsets and its children.

use std::collections::HashMap;
use std::mem::take;

use super::ZoneError;
use crate::name::Name;
use crate::rdata::{canonical, kind};
use crate::rrset::RRset;
use crate::tree::Node;

#[derive(Debug, Default)]
pub(super) struct DraftNode {
    /// A list, not a map: most names have one set.
    sets: Vec<DraftSet>,
    /// Indices into the draft's nodes, by label.
    pub(super) children: HashMap<Box<[u8]>, usize>,
}

/// An RRset that can still grow.
#[derive(Debug)]
pub(super) struct DraftSet {
    pub(super) kind: u16,
    pub(super) ttl: u32,
    /// Octets of the records' data and headers.
    pub(super) size: usize,
    /// Sorted by canonical form. A replica's records arrive sorted, so that each one is appended.
    data: Vec<Box<[u8]>>,
}

/// Octets of a record besides owner and data: type, class, TTL and length, rounded up for the
/// compressed owner.
pub(super) const RECORD_HEADER: usize = 12;

impl DraftNode {
    pub(super) fn find(&self, kind: u16) -> Option<&DraftSet> {
        self.sets.iter().find(|set| set.kind == kind)
    }

    /// The set of `kind`, which is created with `ttl` if there is none.
    pub(super) fn set_mut(&mut self, kind: u16, ttl: u32) -> &mut DraftSet {
        let index = match self.sets.iter().position(|set| set.kind == kind) {
            Some(index) => index,
            None => {
                // Most names have one set, for which `push` alone would reserve four.
                self.sets.reserve_exact(1);
                self.sets.push(DraftSet::new(kind, ttl));
                self.sets.len() - 1
            }
        };

        &mut self.sets[index]
    }

    /// Refuses a record that must not stand beside those that are here already.
    pub(super) fn check_coexistence(
        &self,
        owner: &Name,
        kind: u16,
        data: &[u8],
    ) -> Result<(), ZoneError> {
        // RFC 2181, section 10.1. The exceptions for DNSSEC types are not needed: those are not
        // served yet.
        let cname = self.find(kind::CNAME);
        let is_beside_cname = cname.is_some_and(|set| kind != kind::CNAME || !set.contains(data));
        let is_cname_beside_other =
            kind == kind::CNAME && self.sets.iter().any(|set| set.kind != kind::CNAME);
        if is_beside_cname || is_cname_beside_other {
            return Err(ZoneError::Alias {
                owner: owner.to_string(),
            });
        }

        // RFC 6672, section 2.4.
        let dname = self.find(kind::DNAME);
        if kind == kind::DNAME && dname.is_some_and(|set| !set.contains(data)) {
            return Err(ZoneError::Dname {
                owner: owner.to_string(),
            });
        }

        Ok(())
    }

    /// Moves the sets into a tree's node. The children stay.
    pub(super) fn take_node(&mut self) -> Node {
        let sets = take(&mut self.sets);
        Node::new(sets.iter().map(DraftSet::pack).collect())
    }
}

impl DraftSet {
    fn new(kind: u16, ttl: u32) -> DraftSet {
        DraftSet {
            kind,
            ttl,
            size: 0,
            data: Vec::new(),
        }
    }

    /// Number of records.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// Adds one record; false if it is there already.
    pub(super) fn insert(&mut self, data: &[u8]) -> bool {
        let Err(index) = self.search(data) else {
            return false;
        };

        if self.data.is_empty() {
            // Most sets have one record.
            self.data.reserve_exact(1);
        }
        self.data.insert(index, data.into());
        self.size += RECORD_HEADER + data.len();
        true
    }

    fn contains(&self, data: &[u8]) -> bool {
        self.search(data).is_ok()
    }

    /// As [`slice::binary_search`], but immediate for data that belongs at the end. The case of
    /// names makes no difference.
    fn search(&self, data: &[u8]) -> Result<usize, usize> {
        let data = canonical(self.kind, data);

        match self.data.last() {
            Some(last) if canonical(self.kind, last) < data => Err(self.data.len()),
            _ => self
                .data
                .binary_search_by(|other| canonical(self.kind, other).cmp(&data)),
        }
    }

    fn pack(&self) -> RRset {
        RRset::pack(self.kind, self.ttl, self.data.iter().map(|data| &**data))
    }
}
