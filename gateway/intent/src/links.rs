//! [`Links`]: the addresses of the host's interfaces, the routes that lead to our site, and which
//! interfaces have a carrier, at one moment.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ringway_config::{Connected, Prefix};

use crate::families::Families;

/// The longest prefix that still counts as a default route: VPN programs write the default route as
/// two halves, and all global IPv6 addresses share their first three bits.
const DEFAULT_V4: u8 = 1;
const DEFAULT_V6: u8 = 3;

/// The addresses of this host's interfaces, in the kernel's order, and its routes to our site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    addresses: Vec<Address>,
    /// Unicast routes that overlap our prefixes, including default routes, without those of our own
    /// TUN device. Sorted, without duplicates.
    routes: BTreeSet<HostRoute>,
    /// All interfaces.
    existing: BTreeSet<String>,
    /// The interfaces that are up and have a carrier.
    running: BTreeSet<String>,
}

/// A route of the host; one for each next hop.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostRoute {
    /// Its destination.
    pub prefix: Prefix,
    /// The interface's name.
    pub interface: String,
    /// The next router; `None` if the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// False while the interface has no carrier, or the kernel has marked the next hop as dead.
    pub is_live: bool,
}

impl HostRoute {
    /// True for a default route, which says nothing about where our site is.
    pub fn is_default(&self) -> bool {
        is_default(&self.prefix)
    }
}

/// True for a prefix that is short enough to count as a default route.
pub fn is_default(prefix: &Prefix) -> bool {
    let longest = if prefix.is_ipv4() {
        DEFAULT_V4
    } else {
        DEFAULT_V6
    };

    prefix.len() <= longest
}

/// One address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The interface's name.
    pub interface: String,
    /// The address of this host.
    pub own: IpAddr,
    /// The connected network: that of the address, or the far end's on a point-to-point link.
    pub network: Prefix,
    /// Suitable as a source of new connections: primary, not deprecated, and verified as unique.
    pub preferred: bool,
}

impl Links {
    /// Links with these addresses. All of their interfaces have a carrier.
    pub fn from_addresses(addresses: impl IntoIterator<Item = Address>) -> Links {
        let addresses: Vec<Address> = addresses.into_iter().collect();
        let interfaces = addresses.iter().map(|address| address.interface.clone());
        let interfaces: BTreeSet<String> = interfaces.collect();

        Links {
            existing: interfaces.clone(),
            running: interfaces,
            addresses,
            routes: BTreeSet::new(),
        }
    }

    /// The same links, where only these interfaces have a carrier.
    #[must_use]
    pub fn with_running(mut self, interfaces: impl IntoIterator<Item = String>) -> Links {
        self.running = interfaces.into_iter().collect();
        self
    }

    /// The same links, on a host that has these interfaces, too.
    #[must_use]
    pub fn with_existing(mut self, interfaces: impl IntoIterator<Item = String>) -> Links {
        self.existing.extend(interfaces);
        self
    }

    /// True if this host has the interface.
    pub fn exists(&self, interface: &str) -> bool {
        self.existing.contains(interface) || self.running.contains(interface)
    }

    /// True if the interface exists, is up and has a carrier.
    pub fn is_running(&self, interface: &str) -> bool {
        self.running.contains(interface)
    }

    /// True if both have the same addresses and routes; carriers may differ.
    pub fn leads_as(&self, other: &Links) -> bool {
        self.addresses == other.addresses && self.routes == other.routes
    }

    /// The same links with these routes.
    #[must_use]
    pub fn with_routes(mut self, routes: impl IntoIterator<Item = HostRoute>) -> Links {
        self.routes = routes.into_iter().collect();
        self
    }

    /// The site's interfaces: those with a route, other than a default route, to one of the site's
    /// prefixes `own`.
    pub fn site_interfaces(&self, own: &[Prefix]) -> BTreeSet<String> {
        self.interfaces_to(own, Prefix::overlaps)
    }

    /// The interfaces with a route that lies inside the site. A wider route, such as one to all
    /// private addresses, may lead to the WAN.
    pub fn interfaces_inside(&self, own: &[Prefix]) -> BTreeSet<String> {
        self.interfaces_to(own, Prefix::covers)
    }

    /// The interfaces of the routes for which `matches(site's prefix, route's prefix)` is true.
    fn interfaces_to(
        &self,
        own: &[Prefix],
        matches: impl Fn(&Prefix, &Prefix) -> bool,
    ) -> BTreeSet<String> {
        self.routes
            .iter()
            .filter(|route| !route.is_default() && route.interface != "lo")
            .filter(|route| own.iter().any(|own| matches(own, &route.prefix)))
            .map(|route| route.interface.clone())
            .collect()
    }

    /// The interfaces of default routes.
    pub fn outside(&self) -> BTreeSet<String> {
        let defaults = self.routes.iter().filter(|route| route.is_default());

        defaults.map(|route| route.interface.clone()).collect()
    }

    /// True if there is a live route to `prefix` or to a part of it, as for the aggregate of a BGP
    /// speaker (RFC 4271, section 9.2.2.2). A default route does not count.
    pub fn lead_to(&self, prefix: &Prefix) -> bool {
        let mut routes = self.routes.iter();

        routes.any(|route| {
            let is_own = route.is_live && route.interface != "lo" && !route.is_default();
            is_own && route.prefix.overlaps(prefix)
        })
    }

    /// Families whose default routes all stay inside the site, because the next router is in it. On
    /// a machine with a single interface in a cloud network, that router leads to the site's other
    /// subnets.
    pub fn defaults_inside(&self, own: &[Prefix]) -> Families {
        let site = self.site_interfaces(own);
        let (v4, v6): (Vec<&HostRoute>, Vec<&HostRoute>) = self
            .routes
            .iter()
            .filter(|route| route.is_default())
            .partition(|route| route.prefix.is_ipv4());

        Families {
            v4: all_stay_inside(&v4, &site, own),
            v6: all_stay_inside(&v6, &site, own),
        }
    }

    /// The networks that no remote site may use: all except loopback and link-local ones, without
    /// duplicates.
    pub fn connected(&self) -> Vec<Connected> {
        let mut networks: Vec<Connected> = self
            .addresses
            .iter()
            .filter(|address| address.interface != "lo" && is_routable(address.own))
            .map(|address| Connected {
                prefix: address.network,
                interface: address.interface.clone(),
            })
            .collect();

        // There is one entry for each address so far, and an interface may have several in one
        // network.
        networks.sort();
        networks.dedup();
        networks
    }

    /// This host's addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses.iter().map(|address| address.own)
    }

    /// This host's addresses that are suitable for new connections and permanent. Those of `lo` are
    /// not.
    pub fn preferred_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let addresses = self.addresses.iter();
        let fit = addresses.filter(|address| address.preferred && address.interface != "lo");

        fit.map(|address| address.own)
    }

    /// Every address, with its interface.
    pub(crate) fn entries(&self) -> &[Address] {
        &self.addresses
    }

    /// True if `address` is one of this host's.
    pub fn have(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|known| known.own == address)
    }

    /// This host's IPv4 address inside one of `prefixes`.
    pub fn own_v4_in(&self, prefixes: &[Prefix]) -> Option<IpAddr> {
        self.own_in(prefixes, IpAddr::is_ipv4)
    }

    /// This host's IPv6 address inside one of `prefixes`.
    pub fn own_v6_in(&self, prefixes: &[Prefix]) -> Option<IpAddr> {
        self.own_in(prefixes, IpAddr::is_ipv6)
    }

    /// The first preferred address, else the first one. Loopback interfaces are included, because a
    /// private address may be configured there.
    fn own_in(&self, prefixes: &[Prefix], family: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
        let mut candidates = self
            .addresses
            .iter()
            .filter(|address| family(&address.own) && is_routable(address.own))
            .filter(|address| prefixes.iter().any(|prefix| prefix.contains(address.own)))
            .peekable();

        // RFC 6724, section 5, rule 3: avoid deprecated addresses. But one is better than none.
        let first = candidates.peek().copied();
        candidates
            .find(|address| address.preferred)
            .or(first)
            .map(|address| address.own)
    }
}

/// True if there are default routes, and each leads through a site's interface to a router in the
/// site.
fn all_stay_inside(defaults: &[&HostRoute], site: &BTreeSet<String>, own: &[Prefix]) -> bool {
    let mut routers = defaults
        .iter()
        .map(|route| (&route.interface, route.gateway));

    !defaults.is_empty()
        && routers.all(|(interface, router)| {
            site.contains(interface) && router.is_some_and(|router| is_in_site(router, own))
        })
}

/// True for a router inside the site, or one with a link-local address, as IPv6 routers have (RFC
/// 4861, section 4.2).
fn is_in_site(gateway: IpAddr, own: &[Prefix]) -> bool {
    let is_link_local = matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local());

    is_link_local || own.iter().any(|prefix| prefix.contains(gateway))
}

/// Neither loopback nor link-local (RFC 3927, RFC 4291 section 2.5.6).
fn is_routable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(interface: &str, own: &str, len: u8, preferred: bool) -> Address {
        let own = own.parse().unwrap();

        Address {
            interface: interface.into(),
            own,
            network: Prefix::holding(own, len).unwrap(),
            preferred,
        }
    }

    fn links() -> Links {
        Links::from_addresses([
            address("lo", "127.0.0.1", 8, true),
            address("lo", "10.1.255.1", 32, true),
            address("eth0", "203.0.113.5", 24, true),
            address("eth1", "10.1.0.3", 24, false),
            address("eth1", "10.1.0.2", 24, true),
            address("eth1", "fe80::1", 64, true),
            address("eth1", "fd00:1::2", 64, false),
        ])
    }

    #[test]
    fn connected_networks_are_each_named_once_without_loopback_and_link_local() {
        let networks: Vec<_> = links()
            .connected()
            .into_iter()
            .map(|network| format!("{} {}", network.prefix, network.interface))
            .collect();

        assert_eq!(
            networks,
            [
                "10.1.0.0/24 eth1",
                "203.0.113.0/24 eth0",
                "fd00:1::/64 eth1"
            ]
        );
    }

    #[test]
    fn our_address_lies_inside_the_site_and_is_preferred_if_one_is() {
        let own_v4 = |prefix: &str| links().own_v4_in(&[prefix.parse().unwrap()]);
        assert_eq!(own_v4("10.1.0.0/24"), Some("10.1.0.2".parse().unwrap()));
        assert_eq!(own_v4("10.1.255.0/24"), Some("10.1.255.1".parse().unwrap()));
        assert_eq!(own_v4("127.0.0.0/8"), None);
        assert_eq!(own_v4("10.9.0.0/16"), None);

        let v6 = links().own_v6_in(&["fd00:1::/48".parse().unwrap()]);
        assert_eq!(v6, Some("fd00:1::2".parse().unwrap()));
    }

    fn route(prefix: &str, interface: &str, gateway: Option<&str>) -> HostRoute {
        HostRoute {
            prefix: prefix.parse().unwrap(),
            interface: interface.into(),
            gateway: gateway.map(|gateway| gateway.parse().unwrap()),
            is_live: true,
        }
    }

    fn own() -> [Prefix; 2] {
        ["10.1.0.0/16", "fd00:1::/48"].map(|prefix| prefix.parse().unwrap())
    }

    #[test]
    fn the_sites_interfaces_have_a_route_to_it_that_is_no_default() {
        let links = Links::default().with_routes([
            route("0.0.0.0/0", "wan0", Some("203.0.113.1")),
            route("128.0.0.0/1", "tun0", None),
            route("0.0.0.0/1", "tun0", None),
            route("2000::/3", "wan1", Some("fe80::1")),
            route("10.1.0.0/24", "eth1", None),
            route("10.0.0.0/8", "eth2", Some("10.9.0.1")),
            route("10.1.7.3/32", "cali1", None),
            route("10.1.255.1/32", "lo", None),
            route("fd00:1::/64", "eth6", None),
            route("10.2.0.0/16", "eth3", None),
        ]);

        let site: Vec<_> = links.site_interfaces(&own()).into_iter().collect();
        assert_eq!(site, ["cali1", "eth1", "eth2", "eth6"]);
        let inside: Vec<_> = links.interfaces_inside(&own()).into_iter().collect();
        assert_eq!(inside, ["cali1", "eth1", "eth6"]);
    }

    #[test]
    fn a_living_route_that_is_no_default_leads_to_a_prefix() {
        let lead = |routes: &[HostRoute], prefix: &str| {
            let links = Links::default().with_routes(routes.iter().cloned());
            links.lead_to(&prefix.parse().unwrap())
        };
        let whole = route("10.9.0.0/16", "eth1", Some("10.1.0.9"));
        assert!(lead(std::slice::from_ref(&whole), "10.9.0.0/16"));
        assert!(lead(std::slice::from_ref(&whole), "10.9.4.0/24"), "covered");
        assert!(lead(std::slice::from_ref(&whole), "10.8.0.0/15"), "a part");
        assert!(!lead(std::slice::from_ref(&whole), "10.7.0.0/16"));

        let dead = HostRoute {
            is_live: false,
            ..whole
        };
        let defaults = ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "2000::/3", "::/0"]
            .map(|prefix| route(prefix, "wan0", None));
        let routes = [&defaults[..], &[route("10.9.0.0/16", "lo", None), dead]].concat();
        assert!(!lead(&routes, "10.9.0.0/16"));
        assert!(!lead(&routes, "fd00:9::/48"));
    }

    #[test]
    fn default_routes_lead_outside() {
        let routes = [
            route("0.0.0.0/0", "wan0", None),
            route("::/0", "wan1", None),
            route("10.1.0.0/24", "eth0", None),
        ];
        let outside = Links::default().with_routes(routes).outside();
        assert_eq!(outside, ["wan0".to_owned(), "wan1".to_owned()].into());
    }

    #[test]
    fn a_default_route_stays_inside_if_its_router_is_one_of_the_sites() {
        let inside = |routes: &[HostRoute]| {
            let links = Links::default().with_routes(routes.iter().cloned());
            links.defaults_inside(&own())
        };
        let lan = route("10.1.0.0/24", "eth0", None);
        let lan6 = route("fd00:1::/64", "eth0", None);
        let here = route("0.0.0.0/0", "eth0", Some("10.1.0.254"));
        let here6 = route("::/0", "eth0", Some("fe80::1"));
        let wan = route("0.0.0.0/0", "wan0", Some("203.0.113.1"));
        let wan6 = route("::/0", "wan0", Some("fe80::1"));

        let (v4, v6) = (true, true);
        assert_eq!(inside(std::slice::from_ref(&lan)), Families::default());
        assert_eq!(
            inside(&[lan.clone(), lan6.clone(), here.clone(), here6]),
            Families { v4, v6 }
        );
        assert_eq!(
            inside(&[lan.clone(), here.clone(), wan.clone()]),
            Families::default(),
            "one of two default routes leads out of the site"
        );
        assert_eq!(inside(&[lan, lan6, wan, wan6]), Families::default());
        assert_eq!(inside(&[here]), Families::default(), "no card in the site");
    }
}
