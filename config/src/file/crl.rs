//! `[crl]`: what is expected of revocation lists.

use super::table::Table;
use crate::keys::{crl as keys, gateway};
use crate::{CrlPolicy, limits};

/// Reads `[crl]`. A value with faults is reported; the default that replaces it is never used.
pub(crate) fn read(table: &Table<'_>) -> CrlPolicy {
    let mut policy = CrlPolicy::default();
    let Some(table) = table.table(&gateway::CRL, &keys::SCHEMA) else {
        return policy;
    };

    if let Some(item) = table.optional(&keys::STALE) {
        let words = [("refuse", false), ("accept", true)];
        policy.accepts_stale = item.word(&words).unwrap_or(false);
    }
    for item in table.list(&keys::NONE_FROM, limits::MEMBERS) {
        policy.none_from.extend(item.parse());
    }

    policy
}
