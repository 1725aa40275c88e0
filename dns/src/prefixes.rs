//! [`PrefixSet`]: a set of address ranges with a fast lookup.

use std::net::IpAddr;

use ringway_config::Prefix;

/// Prefixes in a sorted list: building it is slow, looking up an address takes one binary search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PrefixSet {
    /// Sorted; none covers another.
    prefixes: Vec<Prefix>,
}

impl PrefixSet {
    pub(crate) fn new(prefixes: impl IntoIterator<Item = Prefix>) -> PrefixSet {
        let mut prefixes: Vec<Prefix> = prefixes.into_iter().collect();
        // Sorted by first address, then by length: what covers a prefix comes before it.
        prefixes.sort_unstable();
        prefixes.dedup_by(|later, kept| kept.covers(later));

        PrefixSet { prefixes }
    }

    /// True if a prefix contains `address`. An IPv4-mapped IPv6 address counts as IPv4.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let end = self
            .prefixes
            .partition_point(|prefix| prefix.address() <= address);
        // No prefix overlaps another, so only the last one that starts at or before it can match.
        self.prefixes[..end]
            .last()
            .is_some_and(|prefix| prefix.contains(address))
    }

    /// True if a prefix contains the whole of `range`.
    pub(crate) fn covers(&self, range: &Prefix) -> bool {
        self.prefixes.iter().any(|prefix| prefix.covers(range))
    }
}
