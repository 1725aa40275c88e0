//! [`Carrier`]: whether this host reaches the site's hosts: whether an interface to the site's
//! network is up, has a carrier, and has a route into the site for each address family.
//!
//! The interfaces are those of the routes into the site, and `[ha] interface`. The kernel drops the
//! routes of an interface that is set down. The former interfaces are therefore remembered until
//! another one has a route into the site.

use std::collections::BTreeSet;

use ringway_config::{Escaped, Prefix};
use ringway_intent::{Families, Finding, Links, Remedy};

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Carrier {
    /// The interfaces to the site's network.
    site: BTreeSet<String>,
    /// The families with a route into the site since the start.
    routed: Families,
    lost: Option<Lost>,
}

/// Why this host does not reach the site's hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lost {
    /// The names of the interfaces to the site's network.
    interfaces: String,
    cause: Cause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// `[ha] interface` names no interface of this host.
    Absent,
    NoCarrier,
    /// The routes of these families into the site are gone, mostly with the address of the
    /// interface (a lost DHCP lease, a restart of networkd).
    NoRoute(Families),
}

impl Carrier {
    /// Every name that the finding can have. One about a single family says so.
    pub(crate) const NAMES: [&str; 3] = ["site network", "site network IPv4", "site network IPv6"];

    /// Updates the state from the host's interfaces and routes. `own`: the prefixes of our site;
    /// `named`: `[ha] interface`, or empty. True if the result has changed.
    pub(crate) fn update(&mut self, links: &Links, own: &[Prefix], named: &str) -> bool {
        self.find_interfaces(links, own);
        let unrouted = self.unrouted(links, own);

        let mut silent = BTreeSet::new();
        if !named.is_empty() && !links.is_running(named) {
            silent.insert(named);
        }
        if self.site.iter().all(|name| !links.is_running(name)) {
            silent.extend(self.site.iter().map(String::as_str));
        }
        let lost = if !named.is_empty() && !links.exists(named) {
            Some(Lost::of([named].into(), Cause::Absent))
        } else if !silent.is_empty() {
            Some(Lost::of(silent, Cause::NoCarrier))
        } else {
            let site = self.site.iter().map(String::as_str).collect();
            unrouted.map(|families| Lost::of(site, Cause::NoRoute(families)))
        };

        let has_changed = self.lost != lost;
        self.lost = lost;
        has_changed
    }

    /// The families of our prefixes whose routes into the site are gone; `None` if there are none.
    fn unrouted(&mut self, links: &Links, own: &[Prefix]) -> Option<Families> {
        let mut unrouted = Families::default();
        let families = [
            (true, &mut self.routed.v4, &mut unrouted.v4),
            (false, &mut self.routed.v6, &mut unrouted.v6),
        ];

        for (is_v4, was_routed, is_unrouted) in families {
            let own = own.iter().filter(|prefix| prefix.is_ipv4() == is_v4);
            let own: Vec<Prefix> = own.copied().collect();
            let is_routed = !links.site_interfaces(&own).is_empty();
            *was_routed |= is_routed;
            *is_unrouted = *was_routed && !is_routed && !own.is_empty();
        }
        (unrouted.v4 || unrouted.v6).then_some(unrouted)
    }

    /// The names of the interfaces to the site's network, if none of them leads there.
    pub(crate) fn lost(&self) -> Option<String> {
        self.lost.as_ref().map(|lost| lost.interfaces.clone())
    }

    /// The finding while this host does not reach the site's hosts.
    pub(crate) fn finding(&self) -> Option<Finding> {
        let Lost { interfaces, cause } = self.lost.as_ref()?;
        let [whole, v4, v6] = Carrier::NAMES;
        let (name, what, command) = match cause {
            Cause::Absent => (
                whole,
                "is no interface of this host: this gateway does not reach the site's hosts"
                    .to_owned(),
                "ip -brief link   # lists them; then correct [ha] interface",
            ),
            Cause::NoCarrier => (
                whole,
                "has no carrier: this gateway does not reach the site's hosts".to_owned(),
                "ip -brief link   # which are up; look at cable, switch and driver",
            ),
            Cause::NoRoute(families) => {
                let (name, family) = match families {
                    Families { v6: false, .. } => (v4, "IPv4 "),
                    Families { v4: false, .. } => (v6, "IPv6 "),
                    _ => (whole, ""),
                };
                (
                    name,
                    format!(
                        "has no {family}route into the site: this gateway does not reach the \
                         site's {family}hosts"
                    ),
                    "ip -brief address   # then give the interface its address again",
                )
            }
        };

        Some(Finding {
            name: name.to_owned(),
            what: format!("{interfaces} {what}"),
            remedy: Remedy::command(command),
        })
    }

    /// True if a finding about the route between the site and a member, of that `name`, follows
    /// from the missing routes into the site.
    pub(crate) fn explains(&self, name: &str) -> bool {
        let Some(Cause::NoRoute(families)) = self.lost.as_ref().map(|lost| lost.cause) else {
            return false;
        };

        families.v4 && name.starts_with("route IPv4 ")
            || families.v6 && name.starts_with("route IPv6 ")
    }

    fn find_interfaces(&mut self, links: &Links, own: &[Prefix]) {
        let inside = links.interfaces_inside(own);
        let is_lost = self.site.iter().all(|name| !links.is_running(name));
        let is_elsewhere = inside.iter().any(|name| links.is_running(name));

        // While the site's interface is down, a less specific route does not lead into the site.
        if is_lost && !is_elsewhere && !self.site.is_empty() {
            self.site.extend(inside);
        } else if inside.is_empty() {
            let overlapping = links.site_interfaces(own);
            // Without any route, the former interfaces are those that are missing.
            if !overlapping.is_empty() {
                self.site = overlapping;
            }
        } else {
            self.site = inside;
        }
    }
}

impl Lost {
    fn of(interfaces: BTreeSet<&str>, cause: Cause) -> Lost {
        let names: Vec<String> = interfaces
            .into_iter()
            .map(|name| Escaped(name).to_string())
            .collect();

        Lost {
            interfaces: names.join(" and "),
            cause,
        }
    }
}

#[cfg(test)]
mod tests {
    use ringway_intent::HostRoute;

    use super::*;

    /// Routes as `prefix interface`, and the interfaces that have a carrier.
    fn links(routes: &[&str], running: &[&str]) -> Links {
        let routes = routes.iter().map(|route| {
            let (prefix, interface) = route.split_once(' ').unwrap();
            HostRoute {
                prefix: prefix.parse().unwrap(),
                interface: interface.into(),
                gateway: None,
                is_live: true,
            }
        });
        let existing = ["eth1", "eth2", "docker0", "wan0"].map(str::to_owned);
        Links::default()
            .with_routes(routes)
            .with_existing(existing)
            .with_running(running.iter().map(|name| (*name).to_owned()))
    }

    const LAN: &str = "10.1.0.0/24 eth1";
    const WIDE: &str = "10.0.0.0/8 wan0";

    fn follow(carrier: &mut Carrier, links: &Links, named: &str) -> Option<String> {
        carrier.update(links, &["10.1.0.0/16".parse().unwrap()], named);
        carrier.lost()
    }

    #[test]
    fn the_interface_that_leads_into_the_site_is_missed_even_without_its_routes() {
        let mut carrier = Carrier::default();
        let mut lost =
            |routes: &[&str], running: &[&str]| follow(&mut carrier, &links(routes, running), "");
        assert_eq!(lost(&[LAN, WIDE], &["eth1", "wan0"]), None);
        assert_eq!(lost(&[LAN, WIDE], &["wan0"]).as_deref(), Some("eth1"));
        assert_eq!(lost(&[LAN, WIDE], &["eth1", "wan0"]), None);
        // Set down: the kernel drops its routes, and those of others stay.
        assert_eq!(lost(&[WIDE], &["wan0"]).as_deref(), Some("eth1"));
        // Another one takes its place, or the wider route is all that is left of the site.
        assert_eq!(lost(&["10.1.0.0/24 eth2"], &["eth2", "wan0"]), None);
        assert_eq!(lost(&[WIDE], &["eth2", "wan0"]), None);
    }

    #[test]
    fn an_interface_that_loses_its_routes_into_the_site_does_not_lead_there() {
        let mut carrier = Carrier::default();
        let both = ["eth1", "wan0"];
        assert_eq!(follow(&mut carrier, &links(&[LAN], &both), ""), None);
        assert_eq!(
            follow(&mut carrier, &links(&[], &both), "").as_deref(),
            Some("eth1")
        );
        let what = carrier.finding().unwrap().what;
        assert!(what.starts_with("eth1 has no IPv4 route"), "{what}");

        // A wider route may lead there as well.
        assert_eq!(follow(&mut carrier, &links(&[WIDE], &both), ""), None);
        assert_eq!(follow(&mut carrier, &links(&[LAN, WIDE], &both), ""), None);
        assert_eq!(carrier.finding(), None);
    }

    #[test]
    fn routes_between_the_site_and_members_are_not_blamed_while_those_into_the_site_are_gone() {
        let mut carrier = Carrier::default();
        let own = ["10.1.0.0/16", "fd00:1::/48"].map(|prefix| prefix.parse().unwrap());
        let v6 = "fd00:1::/64 eth1";
        let names = ["route IPv4 from ringway0", "route IPv6 from eth1"];
        let mut explains = |routes: &[&str]| {
            carrier.update(&links(routes, &["eth1"]), &own, "");
            names.map(|name| carrier.explains(name))
        };

        assert_eq!(explains(&[LAN, v6]), [false, false]);
        assert_eq!(explains(&[v6]), [true, false]);
        assert_eq!(explains(&[LAN]), [false, true]);
        assert_eq!(explains(&[]), [true, true]);
        assert!(!carrier.explains("foreign filter ip filter FORWARD"));
    }

    #[test]
    fn one_family_without_a_route_into_the_site_is_enough() {
        let mut carrier = Carrier::default();
        let own = ["10.1.0.0/16", "fd00:1::/48"].map(|prefix| prefix.parse().unwrap());
        let mut follow = |routes: &[&str]| {
            carrier.update(&links(routes, &["eth1"]), &own, "");
            carrier.finding()
        };

        let v6 = "fd00:1::/64 eth1";
        assert_eq!(follow(&[LAN]), None, "never had an IPv6 route");
        assert_eq!(follow(&[LAN, v6]), None);
        let [whole, of_v4, of_v6] = Carrier::NAMES;
        for (routes, name, expected) in [
            (vec![LAN], of_v6, "eth1 has no IPv6 route"),
            (vec![v6], of_v4, "eth1 has no IPv4 route"),
            (vec![], whole, "eth1 has no route into"),
        ] {
            let found = follow(&routes).unwrap();
            assert_eq!(found.name, name);
            assert!(found.what.starts_with(expected), "{}", found.what);
        }
        assert_eq!(follow(&[LAN, v6]), None);
    }

    #[test]
    fn all_interfaces_to_the_site_must_be_lost_or_the_one_that_is_named() {
        let both = [LAN, "10.1.9.0/24 docker0"];
        let mut carrier = Carrier::default();
        let mut lost =
            |running: &[&str], named: &str| follow(&mut carrier, &links(&both, running), named);
        assert_eq!(lost(&["eth1"], ""), None);
        assert_eq!(lost(&["docker0"], ""), None);
        assert_eq!(lost(&["docker0"], "eth1").as_deref(), Some("eth1"));
        assert_eq!(lost(&[], "eth1").as_deref(), Some("docker0 and eth1"));
    }

    #[test]
    fn an_interface_that_does_not_exist_is_not_said_to_have_no_carrier() {
        let mut carrier = Carrier::default();
        let links = links(&[LAN], &["eth1"]);
        assert_eq!(
            follow(&mut carrier, &links, "lan9").as_deref(),
            Some("lan9")
        );
        let what = carrier.finding().unwrap().what;
        assert!(
            what.starts_with("lan9 is no interface of this host"),
            "{what}"
        );
    }

    #[test]
    fn a_host_without_a_route_into_the_site_misses_nothing() {
        let mut carrier = Carrier::default();
        assert_eq!(follow(&mut carrier, &links(&[], &["wan0"]), ""), None);
        assert_eq!(follow(&mut carrier, &links(&[], &[]), ""), None);
    }
}
