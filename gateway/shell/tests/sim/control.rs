//! Positive controls: with a check taken away, the simulation must find fault. Each runs the same
//! course with the check in place, too.

use std::rc::Rc;
use std::time::Duration;

use ringway_config::{Config, Ruling};
use ringway_core::message::SIBLINGS;
use ringway_core::{GatewayInfo, Membership, Settings};

use crate::consortium::{self, Records};
use crate::incident::Incident;
use crate::liar;
use crate::model;
use crate::network::Network;
use crate::rng::Rng;
use crate::world::{Violation, World};

/// Distorts what some gateways work from, lets all settle, and compares with the model.
fn settle(distort: impl Fn(&mut World), settings: Settings) -> Result<World, Violation> {
    let mut world = World::new(11, settings, Network::calm());
    world.populate(&records());
    distort(&mut world);
    world.start_all();
    world.run_for(Duration::from_secs(4))?;
    model::compare(&world, false)?;
    Ok(world)
}

fn records() -> Records {
    consortium::found(&mut Rng::new(5))
}

fn fault<T>(outcome: Result<T, Violation>) -> String {
    outcome
        .err()
        .map(|Violation(text)| text)
        .unwrap_or_default()
}

/// Records in which org7's second site has a part of org1's first site, and org1 has not.
fn greedy() -> Records {
    let mut records = records();
    let org7 = Rc::make_mut(records.get_mut(&"org7".parse().unwrap()).unwrap());
    org7.version = 1;
    let site = org7.sites.get_mut(&"site1".parse().unwrap()).unwrap();
    site.push("10.1.0.0/25".parse().unwrap());

    let org1 = Rc::make_mut(records.get_mut(&"org1".parse().unwrap()).unwrap());
    org1.version = 1;
    for prefixes in org1.sites.values_mut() {
        prefixes.retain(|prefix| *prefix != "10.1.0.0/24".parse().unwrap());
    }
    records
}

/// Takes every IPv4 claim for authorized: as if `rib::admit` did not look.
fn gullible(config: &Config, rulings: &[Ruling]) -> Membership {
    let mut membership = ringway_shell::membership(config, rulings);
    let own = (membership.me.org.clone(), membership.site.clone());

    for (site, prefixes) in &mut membership.authorized {
        if *site != own {
            prefixes.push("10.0.0.0/8".parse().unwrap());
        }
    }
    membership
}

#[test]
fn without_the_authorization_check_a_stolen_range_is_found() {
    let steal = |world: &mut World| {
        let thief = world.find("gw10.org7");
        world.nodes[thief].disk.records = greedy();
    };
    let guarded = settle(steal, Settings::default()).unwrap();
    let thief = &guarded.nodes[guarded.find("gw10.org7")];
    assert!(
        thief
            .alarms
            .iter()
            .any(|alarm| alarm.contains("refuses 1 of our prefixes")),
        "both ends show it: {:?}",
        thief.alarms
    );

    let unguarded = |world: &mut World| {
        steal(world);
        for node in &mut world.nodes {
            node.derive = gullible;
        }
    };
    let text = fault(settle(unguarded, Settings::default()));
    assert!(
        text.contains("10.1.0.0/25 goes to gw10.org7, outside its authorization"),
        "{text}"
    );
}

/// Has every site served that is to be served via another organization, as if consent were not
/// asked for.
fn presumes(config: &Config, rulings: &[Ruling]) -> Membership {
    let mut membership = ringway_shell::membership(config, rulings);
    for ruling in rulings.iter().filter(|ruling| !ruling.is_available()) {
        let site = config
            .record(&ruling.org)
            .and_then(|record| record.site(&ruling.site));
        let via = site.and_then(|site| site.via.as_ref());
        if let Some(via) = via
            && let Some(org) = &via.org
        {
            let server = (org.clone(), via.site.clone());
            membership
                .authorized
                .entry(server)
                .or_default()
                .push(ruling.prefix);
        }
    }
    membership
}

#[test]
fn without_the_consent_a_transit_that_nobody_agreed_to_is_found() {
    settle(|_| {}, Settings::default()).unwrap();

    let presuming = |world: &mut World| {
        for node in &mut world.nodes {
            node.derive = presumes;
        }
    };
    let text = fault(settle(presuming, Settings::default()));
    assert!(text.contains("10.5.3.0/24 goes to gw0"), "{text}");
    assert!(text.contains(".org6, outside its authorization"), "{text}");
}

/// Never forgets a gateway of org3.
fn clings(config: &Config, rulings: &[Ruling]) -> Membership {
    let mut membership = ringway_shell::membership(config, rulings);
    let info = GatewayInfo {
        site: "site1".parse().unwrap(),
        endpoints: vec![],
    };

    membership
        .gateways
        .insert("gw10.org3".parse().unwrap(), info);
    membership
}

/// What is found after gw00.org2 has removed org3.
fn remove_org3(derive: fn(&Config, &[Ruling]) -> Membership) -> Result<(), Violation> {
    let mut world = settle(|_| {}, Settings::default()).unwrap();
    // Else the links port reports the sessions as untrusted.
    world.checks_trust = false;
    let node = world.find("gw00.org2");
    world.nodes[node].derive = derive;
    world.restart(node);
    world.run_for(Duration::from_secs(2))?;

    let mut records = records();
    records.remove(&"org3".parse().unwrap());
    Incident::Records(node, records).strike(&mut world);
    world.run_for(Duration::from_secs(4))?;
    model::compare(&world, true)
}

#[test]
fn without_the_cut_of_removed_members_their_sessions_are_found() {
    remove_org3(ringway_shell::membership).unwrap();

    let text = fault(remove_org3(clings));
    assert!(
        text.contains("status lists other gateways than the records"),
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

/// Takes every gateway of its own organization for one of its site.
fn confuses_sites(config: &Config, rulings: &[Ruling]) -> Membership {
    let mut membership = ringway_shell::membership(config, rulings);
    let org = membership.me.org.clone();
    let own = membership.gateways.iter_mut();

    for (_, info) in own.filter(|(id, _)| id.org == org) {
        info.site = membership.site.clone();
    }
    membership
}

/// A gateway lies for a while about ranks to one of its organization at another site.
fn lie_to_another_site(derive: fn(&Config, &[Ruling]) -> Membership) -> Result<(), Violation> {
    let settings = Settings {
        features: SIBLINGS,
        ..Settings::default()
    };
    let mut world = settle(|_| {}, settings).unwrap();
    let [liar, other] = ["gw00.org7", "gw10.org7"].map(|id| world.find(id));
    world.nodes[other].derive = derive;
    world.restart(other);
    world.run_for(Duration::from_secs(4))?;

    for _ in 0..40 {
        liar::lie_about_ranks(&mut world, liar);
        world.run_for(Duration::from_millis(250))?;
    }
    Ok(())
}

#[test]
fn without_the_look_at_the_site_an_epoch_that_a_lie_has_raised_is_found() {
    lie_to_another_site(ringway_shell::membership).unwrap();

    let text = fault(lie_to_another_site(confuses_sites));
    assert!(text.contains("takes epoch"), "{text}");
}
