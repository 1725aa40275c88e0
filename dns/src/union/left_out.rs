//! [`LeftOut`]: a set of records that a fragment has and its organization's zone has not.

use std::fmt;

use ringway_config::GatewayName;

use crate::name::Name;
use crate::text;

/// Records of one name and type that are not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The gateway whose fragment has them.
    pub gateway: GatewayName,
    /// Their name.
    pub owner: Name,
    /// Their type.
    pub kind: u16,
    /// Why.
    pub reason: Reason,
}

/// Why records are left out. `G` is a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason<G = GatewayName> {
    /// An alias, where this gateway has other data, or another alias and the lower name.
    Alias(G),
    /// A DNAME or a delegation, which would cover a name of this gateway.
    Covers(G),
    /// Below a DNAME or a delegation of the same fragment that was left out because of this
    /// gateway.
    Below(G),
    /// Addresses outside the organization's prefixes.
    Address,
    /// Beyond the caps of a zone.
    Large,
}

impl<G> Reason<G> {
    pub(super) fn map<H>(self, name: impl FnOnce(G) -> H) -> Reason<H> {
        match self {
            Reason::Alias(gateway) => Reason::Alias(name(gateway)),
            Reason::Covers(gateway) => Reason::Covers(name(gateway)),
            Reason::Below(gateway) => Reason::Below(name(gateway)),
            Reason::Address => Reason::Address,
            Reason::Large => Reason::Large,
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = text::kind_text(self.kind);
        write!(f, "{} {kind} of {}: ", self.owner, self.gateway)?;

        match &self.reason {
            Reason::Alias(other) => write!(f, "{other} has other data for this name"),
            Reason::Covers(other) => write!(f, "it would cover names of {other}"),
            Reason::Below(other) => {
                write!(f, "hidden by what was left out because of {other}")
            }
            Reason::Address => f.write_str("an address outside the organization's prefixes"),
            Reason::Large => f.write_str("the zone would be too large"),
        }
    }
}
