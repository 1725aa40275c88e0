//! [`Acl`]: the clients that get answers. All others get no response.
//!
//! A source address alone proves nothing: anyone on the WAN can write it. So the interface by which
//! a query arrived must be one by which the client's packets come.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ringway_config::Prefix;

use crate::prefixes::PrefixSet;

/// The prefixes whose hosts are answered: this site's, and those of all members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acl {
    site: PrefixSet,
    mesh: PrefixSet,
    /// Hosts of this site that come through a tunnel.
    nodes: PrefixSet,
    /// `None`: by any interface.
    arrivals: Option<Arrivals>,
}

/// The interface by which a packet arrived: its index, or 0 if it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interface(pub u32);

/// By which interfaces the clients' packets arrive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// Those of this site's hosts, and of this host itself.
    pub site: BTreeSet<Interface>,
    /// Those of other sites' hosts.
    pub mesh: BTreeSet<Interface>,
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
            nodes: PrefixSet::default(),
            arrivals: None,
        }
    }

    /// Also answers clients in `site`, the prefixes of this site.
    pub fn with_site(self, site: impl IntoIterator<Item = Prefix>) -> Acl {
        Acl {
            site: PrefixSet::new(site),
            ..self
        }
    }

    /// Also answers clients in `nodes`, the prefixes of this site's attached nodes: as this site's,
    /// but their packets arrive as the mesh's.
    pub fn with_nodes(self, nodes: impl IntoIterator<Item = Prefix>) -> Acl {
        Acl {
            nodes: PrefixSet::new(nodes),
            ..self
        }
    }

    /// Answers only packets that arrived as `arrivals` says.
    #[must_use]
    pub fn arriving(self, arrivals: Arrivals) -> Acl {
        Acl {
            arrivals: Some(arrivals),
            ..self
        }
    }

    /// By which interfaces clients' packets must arrive; `None`: by any.
    pub fn arrivals(&self) -> Option<&Arrivals> {
        self.arrivals.as_ref()
    }

    /// Where a client is whose packet arrived by `interface`; `None` if it is not answered.
    pub fn locality(&self, client: IpAddr, interface: Interface) -> Option<Locality> {
        // First, because this site's prefixes may also be among the mesh's.
        let is_node = self.nodes.contains(client);
        let locality = if is_node || self.site.contains(client) {
            Locality::Site
        } else if self.mesh.contains(client) {
            Locality::Mesh
        } else {
            return None;
        };

        let arrived = self.arrivals.as_ref().is_none_or(|arrivals| {
            let by = match locality {
                Locality::Site if is_node => &arrivals.mesh,
                Locality::Site => &arrivals.site,
                Locality::Mesh => &arrivals.mesh,
            };
            by.contains(&interface)
        });
        arrived.then_some(locality)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANY: Interface = Interface(0);

    fn admits(acl: &Acl, client: IpAddr) -> bool {
        acl.locality(client, ANY).is_some()
    }

    #[test]
    fn an_empty_list_admits_no_client() {
        assert!(!admits(&Acl::default(), "127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn an_attached_node_is_of_this_site_and_comes_by_the_mesh() {
        let [lan, tun] = [2, 3].map(Interface);
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        let acl = Acl::new([prefix("10.2.0.0/16")])
            .with_site([prefix("10.1.0.0/16")])
            .with_nodes([prefix("10.1.77.5/32")])
            .arriving(Arrivals {
                site: [lan].into(),
                mesh: [tun].into(),
            });
        let node = "10.1.77.5".parse().unwrap();
        assert_eq!(acl.locality(node, tun), Some(Locality::Site));
        assert_eq!(
            acl.locality(node, lan),
            None,
            "somebody has forged its address"
        );
        let host = "10.1.0.9".parse().unwrap();
        assert_eq!(acl.locality(host, tun), None);
    }

    #[test]
    fn a_client_is_answered_only_by_the_interfaces_that_its_packets_come_by() {
        let [host, lan, wan, tun] = [1, 2, 3, 4].map(Interface);
        let acl = Acl::new(["10.2.0.0/16".parse().unwrap()])
            .with_site(["10.1.0.0/16".parse().unwrap()])
            .arriving(Arrivals {
                site: [host, lan].into(),
                mesh: [tun].into(),
            });
        let [site, mesh] = ["10.1.0.7", "10.2.0.7"].map(|client| client.parse().unwrap());

        for (interface, of_site, of_mesh) in [
            (host, Some(Locality::Site), None),
            (lan, Some(Locality::Site), None),
            (tun, None, Some(Locality::Mesh)),
            (wan, None, None),
            (ANY, None, None),
        ] {
            assert_eq!(acl.locality(site, interface), of_site, "{interface:?}");
            assert_eq!(acl.locality(mesh, interface), of_mesh, "{interface:?}");
        }

        let closed = acl.arriving(Arrivals::default());
        assert_eq!(closed.locality(site, ANY), None, "nothing is known yet");
    }

    #[test]
    fn an_ipv4_mapped_address_is_its_ipv4_address() {
        let acl = Acl::new(["10.0.0.0/8".parse().unwrap()]);
        assert!(admits(&acl, "::ffff:10.1.2.3".parse().unwrap()));
        assert!(!admits(&acl, "::10.1.2.3".parse().unwrap()));
    }

    #[test]
    fn distinguishes_clients_of_this_site_from_those_of_other_sites() {
        let mesh = ["10.0.0.0/8".parse().unwrap()];
        let acl = Acl::new(mesh).with_site([
            "10.1.0.0/16".parse().unwrap(),
            "fd00:1::/64".parse().unwrap(),
        ]);
        let locality = |client: &str| acl.locality(client.parse().unwrap(), ANY);
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
            prop_assert_eq!(admits(&Acl::new(prefixes), address(client)), naive);
        }
    }
}
