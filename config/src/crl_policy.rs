//! [`CrlPolicy`]: `[crl]` of `gateway.toml`, what is expected of the members' certificate
//! revocation lists. The lists themselves are read with the certificates.

use std::collections::BTreeSet;

use crate::OrgId;

/// What is expected of revocation lists. By default, all that can be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CrlPolicy {
    /// A list counts although the next one is overdue. Otherwise no certificate of its CA is
    /// accepted then.
    pub accepts_stale: bool,
    /// Organizations that have given up their lists: one that was there may be gone.
    pub none_from: BTreeSet<OrgId>,
}

impl CrlPolicy {
    /// What both allow.
    pub fn meet(&self, other: &CrlPolicy) -> CrlPolicy {
        let both = self.none_from.intersection(&other.none_from);
        CrlPolicy {
            accepts_stale: self.accepts_stale && other.accepts_stale,
            none_from: both.cloned().collect(),
        }
    }
}
