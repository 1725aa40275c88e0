//! [`Tree`]: the names of one zone, label by label below the apex, and the walk down to a question.
//!
//! ```text
//! apex ── org1 ── peer0 (A, AAAA)         peer0.org1   found
//!             ├── a (empty) ── b (A)      a.org1       found, no data: an empty non-terminal
//!             ├── *  (A)                  x.y.org1     missing; closest encloser org1 has a wildcard
//!             └── sub (NS)                z.sub.org1   delegated
//! ```
//! One hash lookup per label, so a name that does not exist costs what one that does costs. Nothing
//! about messages is known here; [`crate::answer()`] turns the outcome into sections.

use std::collections::HashMap;

use crate::name::Labels;
use crate::rdata::kind;
use crate::rrset::RRset;

/// All nodes of a zone; the first is the apex.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// Labels of the apex.
    depth: usize,
}

/// One name. Without RRsets and with children it is an empty non-terminal (RFC 4592, section 2.2.2).
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    /// Ordered by type.
    rrsets: Box<[RRset]>,
    /// Most names have none: an empty map in each would be a fifth of a large zone.
    children: Option<Box<Children>>,
}

/// Numbers of nodes, by label.
type Children = HashMap<Box<[u8]>, u32>;

/// Where a name led.
pub(crate) enum Found<'t> {
    /// The name exists.
    Here(&'t Node),
    /// It does not; the longest existing ancestor has this wildcard child, if any (RFC 4592, section 3.3.1).
    Missing {
        /// `*.<closest encloser>`.
        wildcard: Option<&'t Node>,
    },
    /// The name is at or below a delegation.
    Delegated {
        /// The cut's NS records.
        ns: &'t RRset,
        /// The question's labels below the cut.
        below: usize,
    },
    /// The name is below a DNAME (RFC 6672).
    Renamed {
        /// The DNAME record.
        dname: &'t RRset,
        /// The question's labels below its owner.
        below: usize,
    },
}

impl Node {
    /// A node with these sets and no children yet.
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
    /// A tree whose apex, of `depth` labels, is `apex`.
    pub(crate) fn new(apex: Node, depth: usize) -> Tree {
        Tree {
            nodes: vec![apex],
            depth,
        }
    }

    /// Makes room for so many names, and for as many of them below `parent` as are its `children`.
    pub(crate) fn reserve(&mut self, nodes: usize, parent: u32, children: usize) {
        self.nodes.reserve_exact(nodes);
        self.nodes[parent as usize]
            .children
            .get_or_insert_default()
            .reserve(children);
    }

    /// Hangs `node` below `parent`, which must not have that child yet; gives its number.
    pub(crate) fn hang(&mut self, parent: u32, label: Box<[u8]>, node: Node) -> u32 {
        let number = u32::try_from(self.nodes.len()).expect("a zone has fewer than 2^32 names");
        self.nodes.push(node);
        self.nodes[parent as usize]
            .children
            .get_or_insert_default()
            .insert(label, number);
        number
    }

    pub(crate) fn apex(&self) -> &Node {
        &self.nodes[0]
    }

    pub(crate) fn replace_apex_set(&mut self, set: RRset) {
        let mut rrsets = std::mem::take(&mut self.nodes[0].rrsets).into_vec();
        rrsets.retain(|old| old.kind() != set.kind());
        rrsets.push(set);
        rrsets.sort_by_key(RRset::kind);
        self.nodes[0].rrsets = rrsets.into();
    }

    /// Walks from the apex to `name`, which must lie within it (RFC 1034, section 4.3.2, step 3).
    pub(crate) fn find(&self, name: &Labels<'_>, qtype: u16) -> Found<'_> {
        let mut node = self.apex();
        for below in (0..name.count() - self.depth).rev() {
            // RFC 6672, section 2.3: a DNAME renames what is below its owner, never the owner.
            if let Some(dname) = node.rrset(kind::DNAME) {
                return Found::Renamed {
                    dname,
                    below: below + 1,
                };
            }
            let Some(child) = self.child(node, name.label(below)) else {
                return Found::Missing {
                    wildcard: self.child(node, b"*"),
                };
            };
            node = child;
            // RFC 4035, section 3.1.4.1: the DS of a cut belongs to the parent's side.
            if let Some(ns) = node.rrset(kind::NS)
                && (below > 0 || qtype != kind::DS)
            {
                return Found::Delegated { ns, below };
            }
        }
        Found::Here(node)
    }

    /// The node of exactly `name`, cuts and wildcards aside: glue lies below cuts.
    pub(crate) fn exact(&self, name: &Labels<'_>) -> Option<&Node> {
        (0..name.count() - self.depth)
            .rev()
            .try_fold(self.apex(), |node, below| {
                self.child(node, name.label(below))
            })
    }

    /// Every name in canonical order (RFC 4034, section 6.1): its labels below the apex in wire form,
    /// without the root, and its node.
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
        let mut children: Vec<_> = node
            .children
            .iter()
            .flat_map(|children| children.iter())
            .collect();
        children.sort_unstable();
        for (label, number) in children {
            let below = [&[label.len() as u8], &label[..], owner].concat();
            self.walk_below(&self.nodes[*number as usize], &below, visit);
        }
    }

    fn child(&self, node: &Node, label: &[u8]) -> Option<&Node> {
        node.children
            .as_ref()?
            .get(label)
            .map(|&number| &self.nodes[number as usize])
    }
}
