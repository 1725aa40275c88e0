//! [`Acl`]: which clients are answered. All others get no response.

use std::net::IpAddr;

use ringway_config::Prefix;

use crate::prefixes::PrefixSet;

/// The prefixes whose hosts are answered: this site's, and those of all members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acl {
    site: PrefixSet,
    mesh: PrefixSet,
}

/// Where a client is, seen from this site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Locality {
    /// In this site: names outside the consortium are forwarded for it.
    Site,
    /// In another site of the consortium.
    Mesh,
}

impl Locality {
    /// Every locality, in the order of the variants.
    pub const ALL: [Locality; 2] = [Locality::Site, Locality::Mesh];

    /// The label in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Locality::Site => "site",
            Locality::Mesh => "mesh",
        }
    }
}

impl Acl {
    /// Answers clients in `mesh`, all of which are in other sites.
    pub fn new(mesh: impl IntoIterator<Item = Prefix>) -> Acl {
        Acl {
            site: PrefixSet::default(),
            mesh: PrefixSet::new(mesh),
        }
    }

    /// Also answers clients in `site`, the prefixes of this site.
    pub fn with_site(self, site: impl IntoIterator<Item = Prefix>) -> Acl {
        Acl {
            site: PrefixSet::new(site),
            ..self
        }
    }

    /// True if a client with this address is answered.
    pub fn admits(&self, client: IpAddr) -> bool {
        self.locality(client).is_some()
    }

    /// Where the client is; `None` if it is not answered.
    pub fn locality(&self, client: IpAddr) -> Option<Locality> {
        // First, because this site's prefixes may also be among the mesh's.
        if self.site.contains(client) {
            Some(Locality::Site)
        } else if self.mesh.contains(client) {
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
    fn an_empty_list_admits_no_client() {
        assert!(!Acl::default().admits("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn an_ipv4_mapped_address_is_its_ipv4_address() {
        let acl = Acl::new(["10.0.0.0/8".parse().unwrap()]);
        assert!(acl.admits("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!acl.admits("::10.1.2.3".parse().unwrap()));
    }

    #[test]
    fn distinguishes_clients_of_this_site_from_those_of_other_sites() {
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
            client in any::<u8>(),
        ) {
            let address = |low: u8| IpAddr::from([10, 0, low / 16, low.wrapping_mul(37)]);
            let prefixes: Vec<_> = prefixes
                .iter()
                .filter_map(|(low, len)| Prefix::holding(address(*low), *len))
                .collect();
            let naive = prefixes.iter().any(|prefix| prefix.contains(address(client)));
            prop_assert_eq!(Acl::new(prefixes).admits(address(client)), naive);
        }
    }
}
