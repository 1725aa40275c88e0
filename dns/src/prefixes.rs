//! [`PrefixSet`]: address ranges, and whether an address lies in one of them.

use std::net::IpAddr;

use ringway_config::Prefix;

/// A set of prefixes that is asked far more often than made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PrefixSet {
    /// Ordered, none inside another.
    prefixes: Vec<Prefix>,
}

impl PrefixSet {
    pub(crate) fn new(prefixes: impl IntoIterator<Item = Prefix>) -> PrefixSet {
        let mut prefixes: Vec<Prefix> = prefixes.into_iter().collect();
        // Sorted by first address, then length: whatever covers a prefix stands before it.
        prefixes.sort_unstable();
        prefixes.dedup_by(|later, kept| kept.covers(later));
        PrefixSet { prefixes }
    }

    /// True if one of the prefixes holds `address`; a mapped IPv4 address is an IPv4 address.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let after = self
            .prefixes
            .partition_point(|prefix| prefix.address() <= address);
        after
            .checked_sub(1)
            .is_some_and(|last| self.prefixes[last].contains(address))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }
}
