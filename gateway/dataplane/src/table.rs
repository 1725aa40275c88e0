//! [`PrefixTable`]: values of prefixes, looked up by the most specific prefix that holds an
//! address.
//!
//! Two tries, one per family: an address of one family never matches a prefix of the other. A
//! lookup costs a few steps down the trie, however many prefixes there are.

use std::net::IpAddr;

use prefix_trie::PrefixMap;
use ringway_config::Prefix;

/// A longest-prefix-match table over both families.
pub struct PrefixTable<T> {
    v4: PrefixMap<(u32, u8), T>,
    v6: PrefixMap<(u128, u8), T>,
}

impl<T> PrefixTable<T> {
    /// Sets the value of `prefix` and gives its previous one.
    pub fn insert(&mut self, prefix: Prefix, value: T) -> Option<T> {
        match prefix.address() {
            IpAddr::V4(address) => self.v4.insert((address.to_bits(), prefix.len()), value),
            IpAddr::V6(address) => self.v6.insert((address.to_bits(), prefix.len()), value),
        }
    }

    /// The value of the most specific prefix that holds `address`.
    pub fn lookup(&self, address: IpAddr) -> Option<&T> {
        match address {
            IpAddr::V4(address) => Some(self.v4.get_lpm(&(address.to_bits(), 32))?.1),
            IpAddr::V6(address) => Some(self.v6.get_lpm(&(address.to_bits(), 128))?.1),
        }
    }
}

impl<T> Default for PrefixTable<T> {
    fn default() -> Self {
        PrefixTable {
            v4: PrefixMap::new(),
            v6: PrefixMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_address() -> impl Strategy<Value = IpAddr> {
        // Few distinct bits, so that prefixes nest and addresses fall into them.
        let pattern = proptest::sample::select(vec![0u128, 1, 2, 3, 0x80, 0xff, u128::MAX]);
        (any::<bool>(), pattern, 0u32..128).prop_map(|(v4, bits, shift)| {
            let bits = bits.rotate_right(shift);
            if v4 {
                IpAddr::V4((bits as u32).into())
            } else {
                IpAddr::V6(bits.into())
            }
        })
    }

    fn any_prefix() -> impl Strategy<Value = Prefix> {
        (any_address(), 0u8..=128)
            .prop_filter_map("length", |(address, len)| Prefix::holding(address, len))
    }

    proptest! {
        #[test]
        fn finds_what_a_walk_over_all_prefixes_finds(
            prefixes in proptest::collection::vec(any_prefix(), 0..40),
            addresses in proptest::collection::vec(any_address(), 40),
        ) {
            let mut table = PrefixTable::default();
            for (i, prefix) in prefixes.iter().enumerate() {
                table.insert(*prefix, i);
            }
            let inside = prefixes.iter().map(|prefix| prefix.last());
            for address in addresses.into_iter().chain(inside) {
                let all = prefixes.iter().enumerate();
                let holding = all.filter(|(_, prefix)| prefix.contains(address));
                let naive = holding.max_by_key(|(i, prefix)| (prefix.len(), *i)).map(|(i, _)| i);
                prop_assert_eq!(table.lookup(address).copied(), naive, "{}", address);
            }
        }
    }
}
