//! [`Counts`]: dropped datagrams and packets, by reason.

use std::collections::BTreeMap;

/// Reasons are constants of this crate and of the data plane, so their number is bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    pub(crate) fn add(&mut self, reason: &'static str) {
        *self.0.entry(reason).or_default() += 1;
    }

    pub(crate) fn add_all(&mut self, other: &Counts) {
        for (reason, count) in &other.0 {
            *self.0.entry(reason).or_default() += count;
        }
    }

    /// Every reason that occurred, with its count.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(reason, count)| (*reason, *count))
    }

    /// The count of `reason`.
    pub fn count(&self, reason: &str) -> u64 {
        self.0.get(reason).copied().unwrap_or_default()
    }
}
