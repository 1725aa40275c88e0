//! [`Names`]: the names of all fragments, and what stands against a set of records of one of them.

use std::collections::{BTreeMap, HashMap};

use super::left_out::Reason;
use crate::rdata::kind;
use crate::rrset::RRset;
use crate::tree::Node;
use crate::zone::Zone;

/// The labels of a name below the apex, in wire format without the root.
type Below = Box<[u8]>;

/// A name of one fragment.
#[derive(Clone, Copy)]
pub(super) struct Place<'b, 'f> {
    pub(super) below: &'b [u8],
    pub(super) node: &'f Node,
}

/// The names of several fragments. Empty for a single one, with which nothing can interfere.
#[derive(Default)]
pub(super) struct Names<'f> {
    /// The fragments that have data at a name, in their order.
    owners: HashMap<Below, Vec<(usize, &'f Node)>>,
    /// Names with a DNAME or a delegation, and which fragments have visible names strictly below:
    /// the first two are enough to find one that is not a given one.
    covers: BTreeMap<Below, Vec<usize>>,
}

impl<'f> Names<'f> {
    pub(super) fn of(fragments: impl Iterator<Item = &'f Zone> + Clone) -> Names<'f> {
        let mut names = Names::default();
        if fragments.clone().count() < 2 {
            return names;
        }

        for (gateway, fragment) in fragments.clone().enumerate() {
            fragment.walk(&mut |below, node| {
                // An empty non-terminal belongs to no fragment.
                if node.rrsets().is_empty() {
                    return;
                }
                let owners = names.owners.entry(below.into()).or_default();
                owners.push((gateway, node));
                if covers(below, node) {
                    names.covers.insert(below.into(), Vec::new());
                }
            });
        }

        if !names.covers.is_empty() {
            for (gateway, fragment) in fragments.enumerate() {
                names.find_covered(gateway, fragment);
            }
        }
        names
    }

    /// Notes which names with a cover have visible names of this fragment below them.
    fn find_covered(&mut self, gateway: usize, fragment: &'f Zone) {
        fragment.walk(&mut |below, node| {
            if node.rrsets().is_empty() || self.cover_above(gateway, below).is_some() {
                return;
            }

            for ancestor in ancestors(below) {
                if let Some(found) = self.covers.get_mut(ancestor)
                    && found.len() < 2
                    && !found.contains(&gateway)
                {
                    found.push(gateway);
                }
            }
        });
    }

    /// Why a set of fragment `gateway` is left out, and because of which other fragment.
    pub(super) fn objection(
        &self,
        gateway: usize,
        place: Place<'_, 'f>,
        set: &RRset,
    ) -> Option<Reason<usize>> {
        if let Some(cover) = self.cover_above(gateway, place.below)
            && let Some(other) = self.objection_to_covers(gateway, cover)
        {
            return Some(Reason::Below(other));
        }

        let at_cut = is_cut(place.below, place.node);
        match set.kind() {
            kind::CNAME => self
                .other_data(gateway, place.below, set)
                .map(Reason::Alias),
            kind::DNAME => self
                .covered_below(gateway, place.below)
                .or_else(|| self.lower_dname(gateway, place.below, set))
                .map(Reason::Covers),
            kind::NS if at_cut => self
                .objection_to_cut(gateway, place.below)
                .map(Reason::Covers),
            // The DS record belongs to the delegation; what else is here is hidden by it.
            _ if at_cut => self
                .objection_to_cut(gateway, place.below)
                .map(Reason::Below),
            _ => None,
        }
    }

    /// The nearest name above `below` at which the same fragment has a DNAME or a delegation.
    fn cover_above<'b>(&self, gateway: usize, below: &'b [u8]) -> Option<Place<'b, 'f>> {
        if self.covers.is_empty() {
            return None;
        }

        // The highest one is what a query meets first.
        ancestors(below)
            .filter(|ancestor| self.covers.contains_key(*ancestor))
            .filter_map(|ancestor| {
                let node = self.node(gateway, ancestor)?;
                covers(ancestor, node).then_some(Place {
                    below: ancestor,
                    node,
                })
            })
            .last()
    }

    /// Why a fragment's DNAME or delegation at `cover` does not stand.
    fn objection_to_covers(&self, gateway: usize, cover: Place<'_, 'f>) -> Option<usize> {
        if is_cut(cover.below, cover.node) {
            return self.objection_to_cut(gateway, cover.below);
        }

        let dname = cover.node.rrset(kind::DNAME)?;
        self.covered_below(gateway, cover.below)
            .or_else(|| self.lower_dname(gateway, cover.below, dname))
    }

    /// A delegation covers names below it, and whatever else is at its own name.
    fn objection_to_cut(&self, gateway: usize, below: &[u8]) -> Option<usize> {
        let beside = self.others(gateway, below).find(|(other, node)| {
            let hides = self.cover_above(*other, below).is_some() || is_cut(below, node);
            !hides && node.rrsets().iter().any(is_not_of_a_cut)
        });

        self.covered_below(gateway, below)
            .or(beside.map(|(other, _)| other))
    }

    fn covered_below(&self, gateway: usize, below: &[u8]) -> Option<usize> {
        let found = self.covers.get(below)?;
        found.iter().copied().find(|other| *other != gateway)
    }

    /// A lower fragment with another DNAME at this name.
    fn lower_dname(&self, gateway: usize, below: &[u8], set: &RRset) -> Option<usize> {
        self.others(gateway, below)
            .filter(|(other, _)| *other < gateway)
            .find(|(_, node)| {
                let theirs = node.rrset(kind::DNAME);
                theirs.is_some_and(|theirs| theirs.first() != set.first())
            })
            .map(|(other, _)| other)
    }

    /// Another fragment that has other data at this name than this CNAME: data of other types, or,
    /// if it is a lower one, another CNAME.
    fn other_data(&self, gateway: usize, below: &[u8], set: &RRset) -> Option<usize> {
        self.others(gateway, below)
            .find(|(other, node)| match node.rrset(kind::CNAME) {
                Some(theirs) => *other < gateway && theirs.first() != set.first(),
                None => true,
            })
            .map(|(other, _)| other)
    }

    fn others(
        &self,
        gateway: usize,
        below: &[u8],
    ) -> impl Iterator<Item = (usize, &'f Node)> + use<'_, 'f> {
        let owners = self.owners.get(below).map_or(&[][..], Vec::as_slice);

        owners
            .iter()
            .copied()
            .filter(move |(other, _)| *other != gateway)
    }

    fn node(&self, gateway: usize, below: &[u8]) -> Option<&'f Node> {
        let owners = self.owners.get(below)?;
        let found = owners.iter().find(|(other, _)| *other == gateway)?;
        Some(found.1)
    }
}

/// True if names below this one, or data beside it, are not answered from their own fragment.
fn covers(below: &[u8], node: &Node) -> bool {
    node.rrset(kind::DNAME).is_some() || is_cut(below, node)
}

/// NS records at the apex delegate nothing.
fn is_cut(below: &[u8], node: &Node) -> bool {
    !below.is_empty() && node.rrset(kind::NS).is_some()
}

/// A CNAME is no reason either: it gives way to the delegation.
fn is_not_of_a_cut(set: &RRset) -> bool {
    !matches!(set.kind(), kind::NS | kind::DS | kind::CNAME)
}

/// The names above `below`, the apex last.
fn ancestors(below: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = below;
    std::iter::from_fn(move || {
        let label = usize::from(*rest.first()?);
        rest = rest.get(1 + label..)?;
        Some(rest)
    })
}
