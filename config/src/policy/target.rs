//! [`Target`]: addresses of this site, as a rule names them.

use std::fmt;

use crate::{DnsName, NodeName, OrgId, Prefix};

/// Hosts of this site.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Addresses inside this site's prefixes; a single one has the full length.
    Prefix(Prefix),
    /// The addresses of this site that our zone gives the name. Without any it matches nothing.
    Name(DnsName),
    /// The addresses of an attached node of this gateway.
    Node(NodeTarget),
}

/// An attached node of this gateway, as a rule names it, with the prefixes of its `[[node]]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeTarget {
    /// This organization.
    pub org: OrgId,
    /// The node.
    pub node: NodeName,
    /// Never empty.
    pub prefixes: Vec<Prefix>,
}

impl Target {
    /// The prefixes that it stands for; none for a name, whose addresses the zone knows.
    pub fn prefixes(&self) -> &[Prefix] {
        match self {
            Target::Prefix(prefix) => std::slice::from_ref(prefix),
            Target::Name(_) => &[],
            Target::Node(node) => &node.prefixes,
        }
    }
}

/// As a rule writes it: `10.1.0.0/24`, `10.1.0.11`, a full name, or `acme/node:db1`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Prefix(prefix) if prefix.is_host() => prefix.address().fmt(f),
            Target::Prefix(prefix) => prefix.fmt(f),
            Target::Name(name) => name.fmt(f),
            Target::Node(node) => node.fmt(f),
        }
    }
}

/// As a rule writes it: `acme/node:db1`.
impl fmt::Display for NodeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/node:{}", self.org, self.node)
    }
}
