//! [`Counts`]: datagrams and packets that were dropped, by reason.

use std::collections::BTreeMap;

/// The reasons are words of this crate and of the data plane, so that there are few.
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

    /// Every reason that occurred, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(reason, count)| (*reason, *count))
    }

    /// How often `reason` occurred.
    pub fn of(&self, reason: &str) -> u64 {
        self.0.get(reason).copied().unwrap_or_default()
    }
}
