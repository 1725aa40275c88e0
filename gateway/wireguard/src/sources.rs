//! [`Sources`]: maps an address to the attached node that owns it.

use std::net::IpAddr;

use ringway_config::{Node, NodeName};
use ringway_dataplane::PrefixTable;

/// The prefixes of all attached nodes. It includes nodes that are not WireGuard clients, because a
/// nested range belongs to the node with the narrower prefix.
#[derive(Default)]
pub struct Sources(PrefixTable<Holder>);

/// The owner of a prefix.
enum Holder {
    Node(NodeName),
    /// Two nodes list it: it belongs to neither.
    Disputed,
}

impl Sources {
    /// The prefixes of `nodes`.
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

    /// The node with the most specific prefix for `address`.
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
