//! Attached nodes: what the files of their gateways and their own say, and courses of events with
//! one that has two gateways.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use ringway_config::{
    Attach, Config, GatewayId, GatewayName, NodeName, NodeResolver, Nodes, OrgId, Place,
    PlacedPrefix, Prefix, SiteId,
};
use ringway_core::message::{ATTACH, SIBLINGS};
use ringway_core::{GatewayInfo, Settings};

use crate::consortium::{Record, Records};
use crate::incident::Incident;
use crate::model;
use crate::network::Network;
use crate::scenario::{records, time_until};
use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);

/// An attached node, as its gateways list it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The site whose gateways serve it.
    pub(crate) site: SiteId,
    /// Its own addresses, as prefixes of one address each.
    pub(crate) prefixes: Vec<Prefix>,
}

/// What a node's host has: the newest record that it was given, and what its gateways have offered.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    name: NodeName,
    record: Rc<Record>,
    offers: BTreeMap<GatewayName, BTreeSet<Prefix>>,
}

impl Files {
    pub(crate) fn new(name: &NodeName, record: &Rc<Record>) -> Files {
        Files {
            name: name.clone(),
            record: record.clone(),
            offers: BTreeMap::new(),
        }
    }

    /// True if the offer is another than before.
    pub(crate) fn offered(&mut self, gateway: &GatewayName, prefixes: BTreeSet<Prefix>) -> bool {
        let before = self.offers.insert(gateway.clone(), prefixes.clone());

        before.as_ref() != Some(&prefixes)
    }

    /// Another record came; one that has no gateways for the node is not taken.
    pub(crate) fn receive(&mut self, records: &Records) {
        if let Some(record) = records.get(&self.record.org)
            && record.nodes.get(&self.name).is_some_and(|node| {
                let mut gateways = record.gateways.values();
                gateways.any(|info| info.site == node.site)
            })
        {
            self.record = record.clone();
        }
    }

    /// Our organization's record as the node's mesh sees it: the serving site, with what was
    /// offered for its prefixes, and the node.
    pub(crate) fn records(&self) -> Records {
        let node = &self.record.nodes[&self.name];
        let org = &self.record.org;
        let mut gateways = self.record.gateways.clone();
        gateways.retain(|_, info| info.site == node.site);
        let known = self
            .offers
            .iter()
            .filter(|(name, _)| gateways.keys().any(|id| id.name == **name));
        let taken: BTreeSet<Prefix> = known.flat_map(|(_, prefixes)| prefixes).copied().collect();

        let own = SiteId::of_node(&self.name);
        let info = GatewayInfo {
            site: own.clone(),
            endpoints: Vec::new(),
        };
        gateways.insert(GatewayId::of_node(&self.name, org), info);
        let record = Record {
            sites: [
                (node.site.clone(), taken.into_iter().collect()),
                (own, node.prefixes.clone()),
            ]
            .into(),
            gateways,
            via: BTreeMap::new(),
            transit: BTreeSet::new(),
            nodes: [(self.name.clone(), node.clone())].into(),
            ..Record::clone(&self.record)
        };
        [(org.clone(), Rc::new(record))].into()
    }
}

/// `[[node]]` of the file of gateway `me`.
pub(crate) fn listed(me: &GatewayId, site: &SiteId, records: &Records) -> Nodes {
    if me.is_node() {
        return Nodes::default();
    }
    let place = Place::whole(Path::new("gateway.toml"));
    let nodes = records[&me.org].nodes.iter();
    let list = nodes
        .filter(|(_, node)| node.site == *site)
        .map(|(name, node)| ringway_config::Node {
            wireguard: None,
            name: name.clone(),
            prefixes: node
                .prefixes
                .iter()
                .map(|prefix| PlacedPrefix {
                    prefix: *prefix,
                    place: place.clone(),
                })
                .collect(),
            place: place.clone(),
        });

    Nodes {
        list: list.collect(),
        reach_each_other: false,
    }
}

/// What only the file of a node says.
pub(crate) fn attach(me: &GatewayId, records: &Records) -> Option<Attach> {
    let record = &records[&me.org];
    let mut nodes = record.nodes.iter();
    let (name, node) = nodes.find(|(name, _)| GatewayName::of_node(name) == me.name)?;

    Some(Attach {
        node: name.clone(),
        site: node.site.clone(),
        sites: Vec::new(),
        addresses: node
            .prefixes
            .iter()
            .map(Prefix::address)
            .collect::<Vec<IpAddr>>(),
        accept: Vec::new(),
        left_out: Vec::new(),
        resolver: NodeResolver::None,
    })
}

/// The reference for what the nodes of gateway `me` are to it: the ways to their own prefixes, as
/// far as the site has these.
pub(crate) fn add_members(
    me: &GatewayId,
    site: &SiteId,
    records: &Records,
    gateways: &mut BTreeMap<GatewayId, GatewayInfo>,
    authorized: &mut BTreeMap<(OrgId, SiteId), Vec<Prefix>>,
) {
    if me.is_node() {
        return;
    }
    let ours = authorized.get(&(me.org.clone(), site.clone())).cloned();
    let ours = ours.unwrap_or_default();

    let nodes = records[&me.org].nodes.iter();
    for (name, node) in nodes.filter(|(_, node)| node.site == *site) {
        let info = GatewayInfo {
            site: SiteId::of_node(name),
            endpoints: Vec::new(),
        };
        let prefixes = node.prefixes.iter().copied();
        let available = prefixes.filter(|prefix| ours.iter().any(|whole| whole.covers(prefix)));
        authorized.insert((me.org.clone(), info.site.clone()), available.collect());
        gateways.insert(GatewayId::of_node(name, &me.org), info);
    }
}

/// True if gateway or node `peer` may be the way to `prefix` by the attached nodes of `config`: a
/// node for itself, a sibling for a node that is attached to it.
pub(crate) fn may_lead(config: &Config, peer: &GatewayId, prefix: &Prefix) -> bool {
    let mut nodes = config.nodes.list.iter();

    nodes.any(|node| {
        let has = node.prefixes.iter().any(|own| own.prefix.covers(prefix));
        let is_it = node.id(&config.own.org) == *peer;
        let is_sibling = peer.org == config.own.org && {
            let gateway = config.own.gateway(&peer.name);
            gateway.is_some_and(|gateway| gateway.site == config.site)
        };
        has && (is_it || is_sibling)
    })
}

/// Gives every organization's first site a node, with an address in each family.
pub(crate) fn add_nodes(records: &mut Records) {
    for record in records.values_mut() {
        let record = Rc::make_mut(record);
        let site: SiteId = "site0".parse().unwrap();
        let hosts = record.sites[&site].iter().map(last_address);
        let node = Listed {
            prefixes: hosts.collect(),
            site,
        };
        record.nodes.insert("db0".parse().unwrap(), node);
    }
}

/// The prefix of the last but one address.
fn last_address(prefix: &Prefix) -> Prefix {
    let text = prefix.to_string();
    let (address, _) = text.split_once('/').unwrap();
    match prefix.address() {
        IpAddr::V4(_) => format!("{}.254/32", address.strip_suffix(".0").unwrap()),
        IpAddr::V6(_) => format!("{address}fffe/128"),
    }
    .parse()
    .unwrap()
}

/// `gw.a`, and `gw0.b` and `gw1.b` with the node `db1` of b, which is attached to both.
struct Attachment {
    world: World,
    node: usize,
    /// The gateway that the node uses.
    used: usize,
    other: usize,
    peer: usize,
}

impl Attachment {
    fn new(seed: u64) -> Attachment {
        let mut records = records(&["gw.a", "gw0.b", "gw1.b"]);
        let b = records.get_mut(&"b".parse().unwrap()).unwrap();
        let node = Listed {
            site: "site".parse().unwrap(),
            prefixes: vec![address()],
        };
        Rc::make_mut(b).nodes.insert("db1".parse().unwrap(), node);
        let settings = Settings {
            features: SIBLINGS | ATTACH,
            ..Settings::default()
        };

        let mut world = World::new(seed, settings, Network::calm());
        world.populate(&records);
        world.start_all();
        world.run_for(5 * SECOND).unwrap();
        model::compare(&world, false).unwrap();
        let [node, first, second] = ["node:db1.b", "gw0.b", "gw1.b"].map(|id| world.find(id));
        let is_first = leads_to(&world, node, &far(), first);
        Attachment {
            node,
            used: if is_first { first } else { second },
            other: if is_first { second } else { first },
            peer: world.find("gw.a"),
            world,
        }
    }

    /// Lets time pass until the route of `from` to `prefix` goes to `to`.
    #[track_caller]
    fn moves_within_half_a_second(&mut self, from: usize, prefix: &Prefix, to: usize) {
        let took = time_until(&mut self.world, |world| leads_to(world, from, prefix, to));

        assert!(took <= SECOND / 2, "after {took:?}");
    }

    fn gateways(&self) -> [usize; 2] {
        [self.used, self.other]
    }
}

/// The node's.
fn address() -> Prefix {
    "10.1.7.7/32".parse().unwrap()
}

/// The other organization's.
fn far() -> Prefix {
    "10.0.0.0/16".parse().unwrap()
}

fn leads_to(world: &World, from: usize, prefix: &Prefix, to: usize) -> bool {
    let route = world.nodes[from].fib().routes.get(prefix);

    route.is_some_and(|(gateway, _)| *gateway == world.nodes[to].id)
}

#[test]
fn a_node_and_its_peers_leave_a_dead_gateway_within_half_a_second() {
    for seed in 0..40 {
        let mut it = Attachment::new(seed);
        let moment = it.world.rng.millis(0, 500);
        it.world.run_for(moment).unwrap();
        it.world.kill(it.used);
        it.moves_within_half_a_second(it.node, &far(), it.other);
        let site = "10.1.0.0/16".parse().unwrap();
        it.moves_within_half_a_second(it.peer, &site, it.other);
        assert!(leads_to(&it.world, it.other, &address(), it.node));

        it.world.start(it.used);
        it.world.run_for(5 * SECOND).unwrap();
        model::compare(&it.world, false).unwrap();
    }
}

#[test]
fn a_node_with_one_reachable_gateway_is_reached_through_it_within_half_a_second() {
    for seed in 0..20 {
        let mut it = Attachment::new(seed);
        it.world.network.cut(it.node, it.used);
        it.moves_within_half_a_second(it.node, &far(), it.other);
        it.moves_within_half_a_second(it.used, &address(), it.other);
        it.world.run_for(5 * SECOND).unwrap();
        model::compare(&it.world, false).unwrap();

        it.world.network.heal();
        it.world.run_for(30 * SECOND).unwrap();
        assert!(leads_to(&it.world, it.used, &address(), it.node));
        model::compare(&it.world, false).unwrap();
    }
}

#[test]
fn a_node_is_reached_while_its_gateways_do_not_reach_each_other() {
    for seed in 0..10 {
        let mut it = Attachment::new(seed);
        it.world.network.cut(it.used, it.other);
        it.world.run_for(10 * SECOND).unwrap();
        for gateway in it.gateways() {
            assert!(leads_to(&it.world, gateway, &address(), it.node));
        }
        let ways = it.gateways();
        let leads = |to: &usize| leads_to(&it.world, it.node, &far(), *to);
        assert!(ways.iter().any(leads));
    }
}

/// Also if the rest of the files is wrong.
#[test]
fn a_removed_node_is_cut_off_within_a_second() {
    for seed in 0..20 {
        let mut it = Attachment::new(seed);
        for gateway in it.gateways() {
            it.world.nodes[gateway].disk.is_faulty = seed % 2 == 1;
            Incident::RemoveNodes(gateway).strike(&mut it.world);
        }
        let gateways = it.gateways();
        let gone = time_until(&mut it.world, |world| {
            gateways.iter().all(|gateway| {
                let routes = &world.nodes[*gateway].fib().routes;
                !routes.contains_key(&address())
            })
        });
        assert!(gone < SECOND, "seed {seed}: after {gone:?}");
        it.world.run_for(10 * SECOND).unwrap();
        assert!(it.world.nodes[it.node].fib().routes.is_empty());
        model::compare(&it.world, false).unwrap();
    }
}

/// Its organization has revoked the gateway, and the node has the record.
#[test]
fn a_node_leaves_a_revoked_gateway_within_a_second() {
    for seed in 0..20 {
        let mut it = Attachment::new(seed);
        let mut records = it.world.nodes[it.other].disk.records.clone();
        let b = Rc::make_mut(records.get_mut(&"b".parse().unwrap()).unwrap());
        b.version = 1;
        b.gateways.remove(&it.world.nodes[it.used].id);
        let cut = it.world.now;
        for place in [it.node, it.other, it.peer] {
            Incident::Records(place, records.clone()).strike(&mut it.world);
        }

        let (node, used, other) = (it.node, it.used, it.other);
        time_until(&mut it.world, |world| {
            let status = world.nodes[node].running().shell.status(world.now);
            let mut tunnels = status.tunnels.iter();
            tunnels.all(|tunnel| tunnel.peer != world.nodes[used].id)
                && leads_to(world, node, &far(), other)
        });
        assert!(it.world.now - cut < SECOND, "seed {seed}");
        it.world.run_for(5 * SECOND).unwrap();
        model::compare(&it.world, false).unwrap();
    }
}
