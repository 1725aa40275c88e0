//! [`Tree`]: the names of one zone, label by label below the apex, and the search for a query name.
//!
//! ```text
//! apex ── org1 ── peer0 (A, AAAA)         peer0.org1   found
//!             ├── a (empty) ── b (A)      a.org1       found, no data: an empty non-terminal
//!             ├── *  (A)                  x.y.org1     missing; the encloser org1 has a wildcard
//!             └── sub (NS)                z.sub.org1   delegated
//! ```
//! A search takes one hash lookup per label, so a name that does not exist costs no more than one
//! that does. [`answer`](crate::answer()) turns what is found into the sections of a response.

use std::collections::HashMap;
use std::mem::take;

use crate::name::Labels;
use crate::rdata::kind;
use crate::rrset::RRset;

#[derive(Debug, Clone)]
pub(crate) struct Tree {
    /// The first is the apex.
    nodes: Vec<Node>,
    /// Number of labels of the apex.
    depth: usize,
}

/// One name. With children but no RRsets it is an empty non-terminal (RFC 4592, section 2.2.2).
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    /// Ordered by type.
    rrsets: Box<[RRset]>,
    /// `None` for most names: an empty map in each would take a fifth of a large zone's memory.
    children: Option<Box<Children>>,
}

/// Indices of nodes, by label.
type Children = HashMap<Box<[u8]>, u32>;

/// Result of [`Tree::find`].
pub(crate) enum Found<'t> {
    /// The name exists.
    Exact(&'t Node),
    /// The name does not exist.
    Missing {
        /// The `*` child of the closest encloser: the source of synthesis of RFC 4592, section
        /// 3.3.1.
        wildcard: Option<&'t Node>,
    },
    /// The name is at or below a zone cut.
    Delegated {
        /// The NS records at the cut.
        ns: &'t RRset,
        /// How many labels of the query name are below the cut.
        below: usize,
    },
    /// The name is below a DNAME (RFC 6672).
    Renamed {
        /// The DNAME record.
        dname: &'t RRset,
        /// How many labels of the query name are below the DNAME's owner.
        below: usize,
    },
}

impl Node {
    /// A node without children.
    pub(crate) fn new(mut rrsets: Vec<RRset>) -> Node {
        rrsets.sort_by_key(RRset::kind);
        Node {
            rrsets: rrsets.into(),
            children: None,
        }
    }

    /// The set of one type.
    pub(crate) fn rrset(&self, kind: u16) -> Option<&RRset> {
        self.rrsets.iter().find(|set| set.kind() == kind)
    }

    /// All sets, ordered by type.
    pub(crate) fn rrsets(&self) -> &[RRset] {
        &self.rrsets
    }
}

impl Tree {
    /// A tree of nothing but its `apex`, whose name has `depth` labels.
    pub(crate) fn new(apex: Node, depth: usize) -> Tree {
        Tree {
            nodes: vec![apex],
            depth,
        }
    }

    /// Reserves memory for `nodes` more names, of which `children` are directly below `parent`.
    pub(crate) fn reserve(&mut self, nodes: usize, parent: u32, children: usize) {
        self.nodes.reserve_exact(nodes);
        self.nodes[parent as usize]
            .children
            .get_or_insert_default()
            .reserve(children);
    }

    /// Adds `node` below `parent`, which must not have a child with this label. Returns its index.
    pub(crate) fn add_child(&mut self, parent: u32, label: Box<[u8]>, node: Node) -> u32 {
        let index = u32::try_from(self.nodes.len()).expect("a zone has fewer than 2^32 names");
        self.nodes.push(node);

        self.nodes[parent as usize]
            .children
            .get_or_insert_default()
            .insert(label, index);
        index
    }

    pub(crate) fn apex(&self) -> &Node {
        &self.nodes[0]
    }

    /// Replaces the set of the same type at the apex.
    pub(crate) fn replace_apex_set(&mut self, set: RRset) {
        let mut rrsets = take(&mut self.nodes[0].rrsets).into_vec();
        rrsets.retain(|old| old.kind() != set.kind());
        rrsets.push(set);
        rrsets.sort_by_key(RRset::kind);

        self.nodes[0].rrsets = rrsets.into();
    }

    /// Searches for `name`, which must be within the apex, from the apex downwards (RFC 1034,
    /// section 4.3.2, step 3).
    pub(crate) fn find(&self, name: &Labels<'_>, qtype: u16) -> Found<'_> {
        let mut node = self.apex();
        for below in (0..name.count() - self.depth).rev() {
            // RFC 6672, section 2.3: a DNAME applies to names below its owner, not to the owner.
            if let Some(dname) = node.rrset(kind::DNAME) {
                return Found::Renamed {
                    dname,
                    below: below + 1,
                };
            }

            // RFC 1034, section 4.3.2, step 3c.
            let Some(child) = self.child(node, name.label(below)) else {
                return Found::Missing {
                    wildcard: self.child(node, b"*"),
                };
            };
            node = child;

            // RFC 4035, section 3.1.4.1: the DS at a cut belongs to the parent zone.
            if let Some(ns) = node.rrset(kind::NS)
                && (below > 0 || qtype != kind::DS)
            {
                return Found::Delegated { ns, below };
            }
        }
        Found::Exact(node)
    }

    /// The node of exactly `name`, regardless of zone cuts and wildcards. Finds glue, which is
    /// below a cut.
    pub(crate) fn exact(&self, name: &Labels<'_>) -> Option<&Node> {
        (0..name.count() - self.depth)
            .rev()
            .try_fold(self.apex(), |node, below| {
                self.child(node, name.label(below))
            })
    }

    /// Visits every name in canonical order (RFC 4034, section 6.1). `visit` receives the labels
    /// below the apex, in wire form without the root label, and the node.
    pub(crate) fn walk<'t>(&'t self, visit: &mut impl FnMut(&[u8], &'t Node)) {
        self.walk_below(self.apex(), &[], visit);
    }

    fn walk_below<'t>(
        &'t self,
        node: &'t Node,
        owner: &[u8],
        visit: &mut impl FnMut(&[u8], &'t Node),
    ) {
        visit(owner, node);

        let mut children: Vec<_> = node.children.iter().flat_map(|map| map.iter()).collect();
        // A hash map has no order, but the encoding of a zone, and so its digest, needs one.
        children.sort_unstable();
        for (label, &index) in children {
            let child_owner = [&[label.len() as u8], &label[..], owner].concat();
            self.walk_below(&self.nodes[index as usize], &child_owner, visit);
        }
    }

    fn child(&self, node: &Node, label: &[u8]) -> Option<&Node> {
        let index = *node.children.as_ref()?.get(label)?;
        Some(&self.nodes[index as usize])
    }
}
