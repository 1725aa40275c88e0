//! [`Incident`]: what befalls a consortium, and when ([`plan`]).

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use ringway_config::{Digest, Endpoint, GatewayId, Host, OrgId, Prefix, SiteId};
use ringway_intent::{Address, HostRoute, Links};
use ringway_shell::Input;

use crate::consortium::Records;
use crate::event::Event;
use crate::exchange::Exchange;
use crate::liar;
use crate::rng::Rng;
use crate::trials;
use crate::ways;
use crate::world::World;

/// How long a daemon is down at most, after it was stopped or died.
pub(crate) const LONGEST_OUTAGE: Duration = Duration::from_secs(3);

/// Something that happens from outside.
#[derive(Debug)]
pub(crate) enum Incident {
    Start(usize),
    Kill(usize),
    /// SIGTERM.
    Stop(usize),
    /// No gateway outside the group reaches one inside any more.
    CutOff(BTreeSet<usize>),
    /// Two gateways cannot reach each other.
    Cut(usize, usize),
    Heal,
    /// One connection breaks.
    Break(usize),
    /// A laptop lid, a paused virtual machine.
    ClockJump(usize),
    /// An address or an interface comes or goes, and routes to data centres.
    HostChange(usize, Links, BTreeSet<Prefix>),
    /// Routes to data centres come or go, and the host is the same otherwise.
    Ways(usize, BTreeSet<Prefix>),
    /// The TUN device is deleted.
    TakeDevice(usize),
    /// Another program removes the filter and every route; the kernel tells the daemon, or not.
    Meddle {
        node: usize,
        is_told: bool,
    },
    /// New certificate files.
    Rotate(usize, u64),
    /// An administrator changes the members directory and sends SIGHUP.
    Records(usize, Records),
    /// An operator removes the gateway's attached nodes.
    RemoveNodes(usize),
    /// SIGHUP, for nothing.
    Reload(usize),
    /// It says of itself, of its siblings and of flows what is not so.
    Lie(usize),
    /// A host asks by this gateway, and is answered by any of its site.
    Ask(usize),
    /// The gateway of the far host, and the one that its answer is sent to.
    Reply {
        far: usize,
        to: usize,
        exchange: Exchange,
    },
}

impl Incident {
    pub(crate) fn strike(self, world: &mut World) {
        if world.verbose && !matches!(self, Incident::Records(..)) {
            println!("           {self:?}");
        }

        match self {
            Incident::Start(node) => {
                if !world.nodes[node].runs() {
                    world.start(node);
                }
            }
            Incident::Kill(node) => world.kill(node),
            Incident::Stop(node) => world.input(node, Input::Shutdown),
            Incident::CutOff(group) => world.network.cut_off(&group, world.nodes.len()),
            Incident::Cut(a, b) => world.network.cut(a, b),
            Incident::Heal => world.network.heal(),
            Incident::Break(node) => world.break_one(node),
            Incident::ClockJump(node) => jump(world, node),
            Incident::HostChange(node, links, ways) => change_host(world, node, links, ways),
            Incident::Ways(node, ways) => {
                let links = world.nodes[node].kernel.links.clone();
                let links = ways::links(links, &ways, []);
                change_host(world, node, links, ways);
            }
            Incident::TakeDevice(node) => {
                let kernel = &mut world.nodes[node].kernel;
                kernel.drop_device();
                kernel.is_device_gone = true;
            }
            Incident::Meddle { node, is_told } => {
                let kernel = &mut world.nodes[node].kernel;
                kernel.routes.clear();
                kernel.guard = None;
                kernel.is_meddled = true;
                if is_told {
                    world.input(node, Input::KernelChanged);
                }
            }
            Incident::Rotate(node, number) => rotate(world, node, number),
            Incident::Records(node, records) => {
                world.nodes[node].receive(records);
                reload(world, node);
            }
            Incident::RemoveNodes(node) => {
                let gateway = &mut world.nodes[node];
                if let Some(own) = gateway.disk.records.get_mut(&gateway.id.org)
                    && !gateway.id.is_node()
                {
                    Rc::make_mut(own).nodes.clear();
                    reload(world, node);
                }
            }
            Incident::Reload(node) => reload(world, node),
            Incident::Lie(node) => liar::lie(world, node),
            Incident::Ask(node) => trials::ask(world, node),
            Incident::Reply { far, to, exchange } => {
                if world.nodes[far].runs() {
                    world.answer_by(far, to, exchange);
                }
            }
        }
    }
}

fn change_host(world: &mut World, node: usize, links: Links, ways: BTreeSet<Prefix>) {
    // What a node takes of the offers depends on its networks when it reads its files.
    if world.nodes[node].id.is_node() {
        return;
    }

    let kernel = &mut world.nodes[node].kernel;
    kernel.links = links.clone();
    kernel.ways = ways;

    world.input(node, Input::HostChanged(links));
}

fn jump(world: &mut World, node: usize) {
    if let Some(daemon) = &mut world.nodes[node].daemon {
        daemon.slept += Duration::from_secs(60);
    }

    world.tick(node);
}

fn rotate(world: &mut World, node: usize, number: u64) {
    let gateway = &mut world.nodes[node];
    gateway.disk.certificate = Digest::of(format!("certificate {number}").as_bytes());
    if let Some(daemon) = &mut gateway.daemon {
        daemon.expected.must_read_identity |= !daemon.shell.is_leaving();
    }

    world.input(node, Input::CertificateChanged);
}

fn reload(world: &mut World, node: usize) {
    if let Some(daemon) = &mut world.nodes[node].daemon {
        daemon.expected.must_read_config |= !daemon.shell.is_leaving();
    }

    world.input(node, Input::Reload);
}

/// Plans the first `span` of a run.
pub(crate) fn plan(world: &mut World, records: &Records, span: Duration) {
    let count = world.nodes.len();
    for node in 0..count {
        let at = world.rng.millis(0, 3000);
        world.schedule(at, planned(Incident::Start(node)));
    }

    let span = span.as_millis() as u64;
    for _ in 0..26 {
        let incident = some_incident(&mut world.rng, count);
        let at = world.rng.millis(1000, span);
        // What stops a daemon is followed by a start, later.
        if let Incident::Kill(node) | Incident::Stop(node) = incident {
            let longest = LONGEST_OUTAGE.as_millis() as u64;
            let back = at + world.rng.millis(300, longest);
            world.schedule(back, planned(Incident::Start(node)));
        }
        // Whatever else happens to a daemon may happen while it does something.
        if world.rng.chance(300)
            && let Some(node) = incident.node()
        {
            let soon = at + world.rng.millis(0, 300);
            let second = another(&mut world.rng, node);
            world.schedule(soon, planned(second));
        }
        world.schedule(at, planned(incident));
    }
    plan_lies(world, span);
    plan_records(world, records.clone(), span);
    plan_removals(world, records, span);
    trials::plan(world, span);
}

/// Two gateways lose their attached nodes, if there are any: for good, or until another record
/// comes.
fn plan_removals(world: &mut World, records: &Records, span: u64) {
    if records.values().all(|record| record.nodes.is_empty()) {
        return;
    }

    for _ in 0..2 {
        let at = world.rng.millis(1000, span);
        let node = world.rng.below(world.nodes.len());
        world.schedule(at, planned(Incident::RemoveNodes(node)));
    }
}

/// One gateway of a site with two, and one of any, lie all the time.
fn plan_lies(world: &mut World, span: u64) {
    let count = world.nodes.len();
    let twins: Vec<usize> = (0..count)
        .filter(|node| has_sibling(world, *node))
        .collect();
    let liars = [twins[world.rng.below(twins.len())], world.rng.below(count)];

    for liar in liars {
        for _ in 0..20 {
            let at = world.rng.millis(1000, span);
            world.schedule(at, planned(Incident::Lie(liar)));
        }
    }
}

fn has_sibling(world: &World, node: usize) -> bool {
    let here = &world.nodes[node];
    let mut gateways = world.nodes.iter();

    gateways
        .any(|there| there.id != here.id && there.id.org == here.id.org && there.site == here.site)
}

fn some_incident(rng: &mut Rng, count: usize) -> Incident {
    let node = rng.below(count);

    match rng.below(16) {
        0 | 1 => Incident::Kill(node),
        2 => Incident::Stop(node),
        3 => Incident::CutOff((0..count).filter(|_| rng.chance(200)).collect()),
        4 => Incident::Cut(node, rng.below(count)),
        5 => Incident::Heal,
        6 | 7 => Incident::Break(node),
        8 => Incident::ClockJump(node),
        9 => Incident::TakeDevice(node),
        10 => Incident::Meddle {
            node,
            is_told: rng.chance(500),
        },
        _ => another(rng, node),
    }
}

/// Something that changes what is in force at a node.
fn another(rng: &mut Rng, node: usize) -> Incident {
    match rng.below(6) {
        0 => {
            let ways = ways::some(rng);
            Incident::HostChange(node, some_links(rng, &ways), ways)
        }
        1 => Incident::Reload(node),
        2 => Incident::Ways(node, ways::some(rng)),
        _ => Incident::Rotate(node, rng.next()),
    }
}

impl Incident {
    fn node(&self) -> Option<usize> {
        match self {
            Incident::Stop(node)
            | Incident::HostChange(node, ..)
            | Incident::Ways(node, _)
            | Incident::Rotate(node, _)
            | Incident::Reload(node) => Some(*node),
            _ => None,
        }
    }
}

/// None, a network of nobody's, or one in the range of some site.
fn some_links(rng: &mut Rng, ways: &BTreeSet<Prefix>) -> Links {
    let number = rng.below(12);
    let text = match rng.below(4) {
        0 => return ways::links(Links::default(), ways, []),
        1 => format!("10.{number}.{}.17", rng.below(2)),
        _ => format!("192.168.{number}.17"),
    };
    let own = text.parse().unwrap();
    let network = Prefix::holding(own, 28).unwrap();

    let address = Address {
        interface: "eth0".into(),
        own,
        network,
        preferred: true,
    };
    let connected = HostRoute {
        prefix: network,
        interface: "eth0".into(),
        gateway: None,
        is_live: true,
    };
    ways::links(Links::from_addresses([address]), ways, [connected])
}

/// Organizations and gateways leave, come back and change; not every gateway receives every record.
fn plan_records(world: &mut World, founding: Records, span: u64) {
    let mut records = founding.clone();
    for step in 1..=5 {
        let at = world.rng.millis(1000, span - 2000);
        change(&mut records, &founding, step, &mut world.rng);
        for node in 0..world.nodes.len() {
            if world.rng.chance(900) {
                let arrives = at + world.rng.millis(0, 2000);
                let held = as_held_by(&world.nodes[node].id, &records, &founding);
                world.schedule(arrives, planned(Incident::Records(node, held)));
            }
        }
    }
}

/// A gateway always holds its own organization's record, and is in it.
fn as_held_by(id: &GatewayId, records: &Records, founding: &Records) -> Records {
    let mut held = records.clone();
    if !id.is_node()
        && !held
            .get(&id.org)
            .is_some_and(|record| record.gateways.contains_key(id))
    {
        held.insert(id.org.clone(), founding[&id.org].clone());
    }
    held
}

fn change(records: &mut Records, founding: &Records, step: u32, rng: &mut Rng) {
    let orgs: Vec<&OrgId> = founding.keys().collect();
    let org = orgs[rng.below(orgs.len())];
    let Some(record) = records.get_mut(org) else {
        records.insert(org.clone(), founding[org].clone());
        return;
    };
    // A later change has a higher serial, and no two records have the same.
    let version = (step << 24) | (rng.next() as u32 >> 8);
    match rng.below(6) {
        0 => _ = records.remove(org),
        1 => {
            let record = Rc::make_mut(record);
            record.version = version;
            record.gateways.pop_last();
        }
        2 => {
            let record = Rc::make_mut(record);
            record.version = version;
            let more = format!("10.{}.{}.0/24", 100 + rng.below(100), rng.below(250))
                .parse()
                .unwrap();
            if let Some(prefixes) = record.sites.values_mut().next() {
                prefixes.push(more);
            }
        }
        3 => {
            let record = Rc::make_mut(record);
            record.version = version;
            // Consent is withdrawn, or given to everybody who wants it.
            if record.transit.is_empty() {
                record.transit = wanted_of(org, founding);
            } else {
                record.transit.clear();
            }
        }
        4 => {
            let record = Rc::make_mut(record);
            record.version = version;
            if record.via.is_empty() {
                record.via = founding[org].via.clone();
            } else {
                record.via.clear();
            }
        }
        _ => {
            let record = Rc::make_mut(record);
            record.version = version;
            for (id, info) in &mut record.gateways {
                info.endpoints = vec![Endpoint {
                    host: Host::Name(id.to_string().parse().unwrap()),
                    port: 4600,
                }];
            }
        }
    }
}

/// The sites of others that are to be served via `org`.
fn wanted_of(org: &OrgId, records: &Records) -> BTreeSet<(OrgId, SiteId)> {
    let mut wanted = BTreeSet::new();
    for record in records.values().filter(|record| record.org != *org) {
        let sites = record.via.iter().filter(|(_, (via, _))| via == org);
        wanted.extend(sites.map(|(site, _)| (record.org.clone(), site.clone())));
    }
    wanted
}

pub(crate) fn planned(deed: Incident) -> Event {
    Event::Planned(Box::new(deed))
}
