//! [`Acl`]: who is answered. Anybody else gets silence.

use std::net::IpAddr;

use ringway_config::Prefix;

use crate::prefixes::PrefixSet;

/// The prefixes whose hosts are answered: the own site's, and those of all members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acl(PrefixSet);

impl Acl {
    /// Answers `prefixes` and nobody else.
    pub fn new(prefixes: impl IntoIterator<Item = Prefix>) -> Acl {
        Acl(PrefixSet::new(prefixes))
    }

    /// True if `asker` is answered.
    pub fn admits(&self, asker: IpAddr) -> bool {
        self.0.contains(asker)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nobody_is_admitted_by_an_empty_list() {
        assert!(!Acl::default().admits("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn an_ipv4_asker_on_a_dual_stack_socket_is_an_ipv4_asker() {
        let acl = Acl::new(["10.0.0.0/8".parse().unwrap()]);
        assert!(acl.admits("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!acl.admits("::10.1.2.3".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn admits_exactly_what_some_prefix_contains(
            prefixes in prop::collection::vec((any::<u8>(), 20u8..=32), 0..12),
            asker in any::<u8>(),
        ) {
            let address = |low: u8| IpAddr::from([10, 0, low / 16, low.wrapping_mul(37)]);
            let prefixes: Vec<_> =
                prefixes.iter().filter_map(|(low, len)| Prefix::holding(address(*low), *len)).collect();
            let naive = prefixes.iter().any(|prefix| prefix.contains(address(asker)));
            prop_assert_eq!(Acl::new(prefixes).admits(address(asker)), naive);
        }
    }
}
