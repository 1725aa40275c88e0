//! [`Sources`]: which attached node an address is of.

use std::net::IpAddr;

use ringway_config::{Node, NodeName};
use ringway_dataplane::PrefixTable;

/// The prefixes of all attached nodes, of those that are no WireGuard clients, too: a nested range
/// belongs to the node that has the narrower prefix.
#[derive(Default)]
pub struct Sources(PrefixTable<Holder>);

/// Who holds a prefix.
enum Holder {
    Node(NodeName),
    /// Two nodes have it: neither holds it.
    Disputed,
}

impl Sources {
    /// Those of `nodes`.
    pub fn of(nodes: &[Node]) -> Sources {
        let mut sources = Sources::default();
        for node in nodes {
            for placed in &node.prefixes {
                let earlier = sources
                    .0
                    .insert(placed.prefix, Holder::Node(node.name.clone()));
                if earlier.is_some_and(|holder| !holder.is(&node.name)) {
                    sources.0.insert(placed.prefix, Holder::Disputed);
                }
            }
        }
        sources
    }

    /// The node whose prefix holds `address` most specifically.
    pub fn node(&self, address: IpAddr) -> Option<&NodeName> {
        match self.0.lookup(address)? {
            Holder::Node(name) => Some(name),
            Holder::Disputed => None,
        }
    }
}

impl Holder {
    fn is(&self, name: &NodeName) -> bool {
        matches!(self, Holder::Node(holder) if holder == name)
    }
}
