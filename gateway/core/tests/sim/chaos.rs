//! [`Deed`]: what befalls a consortium, and when ([`plan`]).

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use ringway_config::{Endpoint, GatewayId, Host, OrgId};
use ringway_core::Mesh;

use crate::consortium::Records;
use crate::dice::Dice;
use crate::world::{Event, World};

/// How long a daemon is down at most, after it was stopped or died.
pub(crate) const LONGEST_OUTAGE: Duration = Duration::from_secs(3);

/// Something that happens from outside.
#[derive(Debug)]
pub(crate) enum Deed {
    Start(usize),
    Kill(usize),
    /// SIGTERM.
    Stop(usize),
    /// Nobody reaches the group any more.
    CutOff(BTreeSet<usize>),
    /// Two gateways cannot reach each other.
    Cut(usize, usize),
    Heal,
    /// One connection breaks.
    Break(usize),
    /// A laptop lid, a paused virtual machine.
    ClockJump(usize),
    /// An address or an interface comes or goes.
    HostChange(usize),
    /// A new certificate.
    Renew(usize),
    /// A gateway takes over what its organization's administrator put into its members directory.
    Records(usize, Records),
}

impl Deed {
    pub(crate) fn done(self, world: &mut World) {
        if world.verbose && !matches!(self, Deed::Records(..)) {
            println!("           {self:?}");
        }
        match self {
            Deed::Start(node) if !world.nodes[node].runs() => world.start(node),
            Deed::Kill(node) => world.kill(node),
            Deed::Stop(node) => _ = world.input(node, Mesh::handle_shutdown),
            Deed::CutOff(group) => world.network.cut_off(&group, world.nodes.len()),
            Deed::Cut(a, b) => world.network.cut(a, b),
            Deed::Heal => world.network.heal(),
            Deed::Break(node) => world.break_one(node),
            Deed::ClockJump(node) => _ = world.input(node, Mesh::handle_clock_jump),
            Deed::HostChange(node) => _ = world.input(node, Mesh::handle_host_changed),
            Deed::Renew(node) => _ = world.input(node, Mesh::handle_identity_changed),
            Deed::Records(node, records) => world.hand_records(node, records),
            Deed::Start(_) => {}
        }
    }
}

/// Plans the first `span` of a run.
pub(crate) fn plan(world: &mut World, records: &Records, span: Duration) {
    let count = world.nodes.len();
    for node in 0..count {
        let at = world.dice.millis(0, 3000);
        world.schedule(at, planned(Deed::Start(node)));
    }
    let span = span.as_millis() as u64;
    for _ in 0..20 {
        let deed = some_deed(&mut world.dice, count);
        let at = world.dice.millis(1000, span);
        // What stops a daemon is followed by a start, later.
        if let Deed::Kill(node) | Deed::Stop(node) = deed {
            let back = at + world.dice.millis(300, LONGEST_OUTAGE.as_millis() as u64);
            world.schedule(back, planned(Deed::Start(node)));
        }
        world.schedule(at, planned(deed));
    }
    plan_records(world, records.clone(), span);
}

fn some_deed(dice: &mut Dice, count: usize) -> Deed {
    let node = dice.below(count);
    match dice.below(11) {
        0 | 1 => Deed::Kill(node),
        2 => Deed::Stop(node),
        3 => Deed::CutOff((0..count).filter(|_| dice.chance(200)).collect()),
        4 => Deed::Cut(node, dice.below(count)),
        5 => Deed::Heal,
        6 | 7 => Deed::Break(node),
        8 => Deed::ClockJump(node),
        9 => Deed::HostChange(node),
        _ => Deed::Renew(node),
    }
}

/// Organizations and gateways leave, come back and change; not every gateway hears of everything.
fn plan_records(world: &mut World, founding: Records, span: u64) {
    let mut records = founding.clone();
    for _ in 0..5 {
        let at = world.dice.millis(1000, span - 2000);
        change(&mut records, &founding, &mut world.dice);
        for node in 0..world.nodes.len() {
            if world.dice.chance(900) {
                let heard = at + world.dice.millis(0, 2000);
                let held = as_held_by(&world.nodes[node].id, &records, &founding);
                world.schedule(heard, planned(Deed::Records(node, held)));
            }
        }
    }
}

/// A gateway always holds its own organization's record, and is in it.
fn as_held_by(id: &GatewayId, records: &Records, founding: &Records) -> Records {
    let mut held = records.clone();
    if !held
        .get(&id.org)
        .is_some_and(|record| record.gateways.contains_key(id))
    {
        held.insert(id.org.clone(), founding[&id.org].clone());
    }
    held
}

fn change(records: &mut Records, founding: &Records, dice: &mut Dice) {
    let orgs: Vec<&OrgId> = founding.keys().collect();
    let org = orgs[dice.below(orgs.len())];
    let Some(record) = records.get_mut(org) else {
        records.insert(org.clone(), founding[org].clone());
        return;
    };
    let version = 1 + dice.next() as u32;
    match dice.below(4) {
        0 => _ = records.remove(org),
        1 => {
            let record = Rc::make_mut(record);
            record.version = version;
            record.gateways.pop_last();
        }
        2 => {
            let record = Rc::make_mut(record);
            record.version = version;
            let more = format!("10.{}.{}.0/24", 100 + dice.below(100), dice.below(250))
                .parse()
                .unwrap();
            record
                .sites
                .values_mut()
                .take(1)
                .for_each(|prefixes| prefixes.push(more));
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

fn planned(deed: Deed) -> Event {
    Event::Planned(Box::new(deed))
}
