//! [`Target`]: addresses of this site, as a rule names them.

use std::fmt;

use crate::{DnsName, Prefix};

/// Hosts of this site.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Addresses inside this site's prefixes; a single one has the full length.
    Prefix(Prefix),
    /// The addresses of this site that our zone gives the name. Without any it matches nothing.
    Name(DnsName),
}

/// As a rule writes it: `10.1.0.0/24`, `10.1.0.11`, or a full name.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Prefix(prefix) if prefix.is_host() => prefix.address().fmt(f),
            Target::Prefix(prefix) => prefix.fmt(f),
            Target::Name(name) => name.fmt(f),
        }
    }
}
