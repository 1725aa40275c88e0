//! [`Acl`]: who is answered. Anybody else gets silence.

use std::net::IpAddr;

use ringway_config::Prefix;

use crate::prefixes::PrefixSet;

/// The prefixes whose hosts are answered: the own site's, and those of all members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acl {
    site: PrefixSet,
    others: PrefixSet,
}

/// What an asker is to this site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Locality {
    /// A host of it: others are asked on its behalf.
    Site,
    /// A host of another site in the consortium.
    Mesh,
}

impl Locality {
    /// Every class.
    pub const ALL: [Locality; 2] = [Locality::Site, Locality::Mesh];

    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Locality::Site => "site",
            Locality::Mesh => "mesh",
        }
    }
}

impl Acl {
    /// Answers `prefixes` and nobody else; none of them is the own site's.
    pub fn new(prefixes: impl IntoIterator<Item = Prefix>) -> Acl {
        Acl {
            site: PrefixSet::default(),
            others: PrefixSet::new(prefixes),
        }
    }

    /// The same, and `site` is the own site.
    pub fn with_site(self, site: impl IntoIterator<Item = Prefix>) -> Acl {
        Acl {
            site: PrefixSet::new(site),
            ..self
        }
    }

    /// True if `asker` is answered.
    pub fn admits(&self, asker: IpAddr) -> bool {
        self.locality(asker).is_some()
    }

    /// What `asker` is; `None`: nobody who is answered.
    pub fn locality(&self, asker: IpAddr) -> Option<Locality> {
        if self.site.contains(asker) {
            Some(Locality::Site)
        } else if self.others.contains(asker) {
            Some(Locality::Mesh)
        } else {
            None
        }
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

    #[test]
    fn a_host_of_the_own_site_is_told_from_one_of_another() {
        let mesh = ["10.0.0.0/8".parse().unwrap()];
        let acl = Acl::new(mesh).with_site([
            "10.1.0.0/16".parse().unwrap(),
            "fd00:1::/64".parse().unwrap(),
        ]);
        let locality = |client: &str| acl.locality(client.parse().unwrap());
        assert_eq!(locality("10.1.0.7"), Some(Locality::Site));
        assert_eq!(locality("fd00:1::7"), Some(Locality::Site));
        assert_eq!(locality("10.2.0.7"), Some(Locality::Mesh));
        assert_eq!(locality("192.0.2.1"), None);
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
