//! [`Attached`]: what an attached node takes of its gateways' offers, and the record that its mesh
//! works with. Pure.
//!
//! ```text
//!   offers ─► inside accept ─► not the node's own, reserved or a gateway's endpoint ─► routes
//! ```
//! Whatever a gateway offers, a node's route to its own networks, to everything, or to the gateway
//! itself is never one of them.

use std::path::Path;

use crate::offers::Offers;
use crate::{
    Allow, Attach, Config, Connected, Gateway, GatewayName, Host, Member, Origin, Place,
    PlacedPrefix, Policy, Prefix, Service, Site, SiteId, Target,
};

/// Protocols besides TCP, UDP and ICMP that a gateway may let through: GRE, ESP, AH, SCTP.
const PROTOCOLS: [u8; 4] = [47, 50, 51, 132];

/// What the file of a node says of its mesh.
pub(crate) struct Attached<'a> {
    pub(crate) attach: Attach,
    /// The gateways that serve it.
    pub(crate) gateways: Vec<Gateway>,
    /// Its own prefixes.
    pub(crate) prefixes: Vec<PlacedPrefix>,
    pub(crate) reserved: &'a [PlacedPrefix],
    pub(crate) offers: &'a Offers,
    /// Where the offers are kept.
    pub(crate) offers_place: Place,
}

impl Attached<'_> {
    /// Our record, as the node's mesh sees it: the serving site, with what was taken of the offers
    /// for its prefixes, and the node.
    pub(crate) fn record(&self, member: Member) -> Member {
        let serving = Site {
            name: self.attach.site.clone(),
            prefixes: self.taken(),
            via: None,
        };
        let own = Site {
            name: SiteId::of_node(&self.attach.node),
            prefixes: self.prefixes.clone(),
            via: None,
        };
        let node = Gateway {
            name: GatewayName::of_node(&self.attach.node),
            site: own.name.clone(),
            endpoints: Vec::new(),
        };

        Member {
            sites: vec![serving, own],
            gateways: self.gateways.iter().cloned().chain([node]).collect(),
            transit: Vec::new(),
            ..member
        }
    }

    /// What is offered and not taken because of `accept`.
    pub(crate) fn left_out(&self) -> Vec<Prefix> {
        let accept = &self.attach.accept;
        let mut left_out: Vec<Prefix> = self.offered().copied().collect();
        left_out.retain(|offered| !accept.iter().any(|range| range.covers(offered)));
        left_out.sort();
        left_out.dedup();
        left_out
    }

    /// What the gateways that count offer.
    fn offered(&self) -> impl Iterator<Item = &Prefix> {
        let known = |name: &GatewayName| self.gateways.iter().any(|known| known.name == *name);
        let offers = self
            .offers
            .iter()
            .filter(move |(gateway, _)| known(gateway));

        offers.flat_map(|(_, prefixes)| prefixes)
    }

    fn taken(&self) -> Vec<PlacedPrefix> {
        let accept = &self.attach.accept;
        let mut taken: Vec<Prefix> = Vec::new();
        for offered in self.offered() {
            taken.extend(accept.iter().filter_map(|range| inside(*offered, range)));
        }

        let own = self.prefixes.iter().chain(self.reserved);
        let own = own
            .map(|placed| placed.prefix)
            .filter(|prefix| !self.attach.has(prefix));
        let endpoints = self.gateways.iter().flat_map(|gateway| &gateway.endpoints);
        let endpoints = endpoints.filter_map(|endpoint| match &endpoint.host {
            Host::Address(address) => Some(Prefix::host(*address)),
            Host::Name(_) => None,
        });
        let holes: Vec<Prefix> = own.chain(endpoints).collect();
        let mut taken = without(taken, &holes);
        taken.sort();
        taken.dedup();
        let placed = taken.into_iter().map(|prefix| PlacedPrefix {
            prefix,
            place: self.offers_place.clone(),
        });
        placed.collect()
    }
}

impl Config {
    /// Of an attached node: takes the networks that its host is connected to from what the gateways
    /// have offered. Its neighbours stay its neighbours.
    pub fn spare(&mut self, connected: &[Connected]) {
        let Some(attach) = &self.attach else {
            return;
        };
        let holes: Vec<Prefix> = connected.iter().map(|network| network.prefix).collect();
        let Some(serving) = self
            .own
            .sites
            .iter_mut()
            .find(|site| site.name == attach.site)
        else {
            return;
        };

        let prefixes = std::mem::take(&mut serving.prefixes);
        serving.prefixes = prefixes
            .into_iter()
            .flat_map(|placed| {
                let parts = without(vec![placed.prefix], &holes);
                parts.into_iter().map(move |prefix| PlacedPrefix {
                    prefix,
                    place: placed.place.clone(),
                })
            })
            .collect();
    }
}

/// The addresses of both.
fn inside(offered: Prefix, range: &Prefix) -> Option<Prefix> {
    if range.covers(&offered) {
        Some(offered)
    } else {
        offered.covers(range).then_some(*range)
    }
}

/// What is left of `prefixes` without the addresses of `holes`.
pub fn without(mut prefixes: Vec<Prefix>, holes: &[Prefix]) -> Vec<Prefix> {
    for hole in holes {
        prefixes = prefixes
            .into_iter()
            .flat_map(|prefix| prefix.without(hole))
            .collect();
    }
    prefixes
}

/// The rules of a node: the gateways have judged what they send.
pub(crate) fn allow_everything(own: &[PlacedPrefix], path: &Path) -> Policy {
    let mut services = vec![
        Service::Tcp(Vec::new()),
        Service::Udp(Vec::new()),
        Service::Icmp,
    ];
    services.extend(PROTOCOLS.map(Service::Protocol));
    let everything = Allow {
        from: vec![Origin::All],
        to: own.iter().map(|own| Target::Prefix(own.prefix)).collect(),
        services,
        place: Place::whole(path),
    };

    Policy {
        allow: Some(vec![everything]),
        ..Policy::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn prefixes(texts: &[&str]) -> Vec<Prefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn taken(offered: &[&str], accept: &[&str], own: &[&str]) -> Vec<String> {
        let place = Place::whole(Path::new("node.toml"));
        let placed = |prefix| PlacedPrefix {
            prefix,
            place: place.clone(),
        };
        let gateway = |name: &str, endpoint: &str| Gateway {
            name: name.parse().unwrap(),
            site: "east".parse().unwrap(),
            endpoints: vec![endpoint.parse().unwrap()],
        };
        let mut offers = Offers::new();
        let gw1 = "gw1".parse().unwrap();
        offers.insert(gw1, BTreeSet::from_iter(prefixes(offered)));
        let other = "gw9".parse().unwrap();
        offers.insert(other, BTreeSet::from_iter(prefixes(&["10.99.0.0/16"])));

        let attached = Attached {
            attach: Attach {
                node: "db1".parse().unwrap(),
                site: "east".parse().unwrap(),
                sites: Vec::new(),
                addresses: vec!["10.77.0.3".parse().unwrap()],
                accept: prefixes(accept),
                left_out: Vec::new(),
                resolver: crate::NodeResolver::None,
            },
            gateways: vec![gateway("gw1", "10.3.0.1:4600")],
            prefixes: prefixes(own).into_iter().map(placed).collect(),
            reserved: &[],
            offers: &offers,
            offers_place: place.clone(),
        };
        let taken = attached.taken();
        taken
            .iter()
            .map(|placed| placed.prefix.to_string())
            .collect()
    }

    #[test]
    fn an_offer_counts_inside_what_is_accepted_and_outside_of_what_is_ours() {
        let accept = ["10.0.0.0/8", "fc00::/7"];
        let all = ["0.0.0.0/0", "192.0.2.0/24", "10.2.0.0/16", "fd00:2::/48"];
        assert_eq!(
            taken(&all[1..], &accept, &[]),
            ["10.2.0.0/16", "fd00:2::/48"]
        );
        assert_eq!(
            taken(&["10.77.0.0/30"], &accept, &["10.77.0.1/32"]),
            ["10.77.0.0/32", "10.77.0.2/31"]
        );
        assert_eq!(
            taken(&["10.77.0.0/30"], &accept, &["10.77.0.3/32"]),
            ["10.77.0.0/30"],
            "an address of its own is local in any case"
        );
        assert_eq!(
            taken(&["10.3.0.0/31"], &accept, &[]),
            ["10.3.0.0/32"],
            "not the gateway's endpoint"
        );

        // The default route is no more than what is accepted.
        let ranges = taken(&all[..1], &["10.2.0.0/16"], &[]);
        assert_eq!(ranges, ["10.2.0.0/16"]);
    }
}
