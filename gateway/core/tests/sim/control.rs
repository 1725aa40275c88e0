//! Positive controls: with a check taken away, the simulation must find fault. Each runs the same course
//! with the check in place, too.

use std::rc::Rc;
use std::time::Duration;

use ringway_core::{GatewayInfo, Membership, Settings};

use crate::consortium::{self, Records};
use crate::dice::Dice;
use crate::model;
use crate::network::Network;
use crate::world::{Violation, World};

/// Distorts what some gateways are told, lets all settle, and compares with the model.
fn settle(distort: impl Fn(&mut World), settings: Settings) -> Result<World, Violation> {
    let mut world = World::new(11, settings, Network::calm());
    world.populate(&records());
    distort(&mut world);
    (0..world.nodes.len()).for_each(|node| world.start(node));
    world.run_for(Duration::from_secs(4))?;
    model::compare(&world, false)?;
    Ok(world)
}

fn records() -> Records {
    consortium::found(&mut Dice::new(5))
}

fn fault<T>(outcome: Result<T, Violation>) -> String {
    outcome
        .err()
        .map(|Violation(text)| text)
        .unwrap_or_default()
}

/// A record in which org7 has a part of org1's first site as well.
fn greedy() -> Records {
    let mut records = records();
    let record = Rc::make_mut(records.get_mut(&"org7".parse().unwrap()).unwrap());
    record.version = 1;
    record
        .sites
        .values_mut()
        .for_each(|prefixes| prefixes.push("10.1.0.0/25".parse().unwrap()));
    records
}

/// Takes every IPv4 claim for authorized: as if `rib::admit` did not look.
fn gullible(membership: &mut Membership) {
    let own = (membership.me.org.clone(), membership.site.clone());
    for (_, prefixes) in membership
        .authorized
        .iter_mut()
        .filter(|(site, _)| **site != own)
    {
        prefixes.push("10.0.0.0/8".parse().unwrap());
    }
}

#[test]
fn without_the_authorization_check_a_stolen_range_is_found() {
    let steal = |world: &mut World| {
        let thief = world.find("gw10.org7");
        world.nodes[thief].hold(greedy());
    };
    let guarded = settle(steal, Settings::default()).unwrap();
    let thief = &guarded.nodes[guarded.find("gw10.org7")];
    assert!(
        thief
            .alarms
            .iter()
            .any(|alarm| alarm.contains("refuses 1 of our prefixes")),
        "both ends show it"
    );
    let unguarded = |world: &mut World| {
        steal(world);
        world
            .nodes
            .iter_mut()
            .for_each(|node| node.distort = Some(gullible));
    };
    let text = fault(settle(unguarded, Settings::default()));
    assert!(
        text.contains("10.1.0.0/25 goes to gw10.org7, outside its authorization"),
        "{text}"
    );
}

#[test]
fn without_the_cut_of_removed_members_their_sessions_are_found() {
    fn clings(membership: &mut Membership) {
        let info = GatewayInfo {
            site: "site1".parse().unwrap(),
            endpoints: vec![],
        };
        membership
            .gateways
            .insert("gw10.org3".parse().unwrap(), info);
    }
    let remove_org3 = |distort: Option<fn(&mut Membership)>| {
        let mut world = settle(|_| {}, Settings::default()).unwrap();
        let node = world.find("gw00.org2");
        world.nodes[node].distort = distort;
        let mut records = records();
        records.remove(&"org3".parse().unwrap());
        world.hand_records(node, records);
        world.run_for(Duration::from_secs(4))?;
        model::compare(&world, true)
    };
    remove_org3(None).unwrap();
    let text = fault(remove_org3(Some(clings)));
    assert!(
        text.contains("a session of gw10.org3, which is no member"),
        "{text}"
    );
}

#[test]
fn without_liveness_a_dead_data_path_is_found() {
    let cut_off_one = |settings: Settings| {
        let mut world = settle(|_| {}, settings).unwrap();
        let count = world.nodes.len();
        world.network.cut_off(&[3].into(), count);
        world.run_for(Duration::from_secs(4))?;
        model::compare(&world, true)
    };
    cut_off_one(Settings::default()).unwrap();
    let text = fault(cut_off_one(Settings {
        probes: 1000,
        ..Settings::default()
    }));
    assert!(text.contains("up is true"), "{text}");
}
