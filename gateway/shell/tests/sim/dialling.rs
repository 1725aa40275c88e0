//! Peers that are hard to reach: many endpoints, long round trips, long absences, and clocks that
//! are set.

use std::rc::Rc;
use std::time::Duration;

use ringway_config::{Endpoint, Host};
use ringway_core::Settings;

use crate::links::SILENT;
use crate::network::Network;
use crate::node::EPOCH;
use crate::scenario::{is_up, records, settled, time_until};
use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_session_ends_when_the_wall_clock_passes_the_end_of_its_certificate() {
    for (set, ends) in [(Duration::from_secs(3500), false), (4000 * SECOND, true)] {
        let mut world = World::new(8, Settings::default(), Network::calm());
        world.populate(&records(&["gw.a", "gw.b"]));
        let (here, peer) = (world.find("gw.a"), world.find("gw.b"));
        world.nodes[peer].certified_until = EPOCH + 3600 * SECOND;
        world.start_all();
        world.run_for(3 * SECOND).unwrap();

        world.nodes[here].clock_ahead = set;
        let ups = world.nodes[here].ups;
        world.run_for(2 * SECOND).unwrap();
        let ended = world.nodes[here].ups > ups || !is_up(&world, here);
        assert_eq!(ended, ends, "set forward by {set:?}");
    }
}

#[test]
fn a_wall_clock_that_is_set_back_lets_a_session_last_as_long_as_its_certificate() {
    let mut world = World::new(9, Settings::default(), Network::calm());
    world.populate(&records(&["gw.a", "gw.b"]));
    let (here, peer) = (world.find("gw.a"), world.find("gw.b"));
    for node in &mut world.nodes {
        node.clock_ahead = 1000 * SECOND;
        node.certified_until = EPOCH + 1100 * SECOND;
    }
    world.start_all();
    world.run_for(3 * SECOND).unwrap();

    // By the clock of the handshake, 97 s are left.
    for node in [here, peer] {
        world.nodes[node].clock_ahead = Duration::ZERO;
    }
    world.run_for(1000 * SECOND).unwrap();
    assert!(is_up(&world, here) && is_up(&world, peer));
    world.run_for(100 * SECOND).unwrap();
    assert!(!is_up(&world, here) && !is_up(&world, peer));
}

/// `gw.a`, with which `gw.b` can be reached at the last of eight endpoints only.
fn last_of_eight() -> World {
    let mut records = records(&["[gw.a]", "gw.b"]);
    let record = Rc::make_mut(records.get_mut(&"b".parse().unwrap()).unwrap());
    let info = record.gateways.values_mut().next().unwrap();
    let silent = Endpoint {
        host: Host::Name(SILENT.parse().unwrap()),
        port: 4600,
    };
    for _ in 0..7 {
        info.endpoints.insert(0, silent.clone());
    }

    let mut world = World::new(10, Settings::default(), Network::calm());
    world.populate(&records);
    world
}

#[test]
fn one_live_endpoint_after_seven_silent_ones_is_found_within_two_seconds() {
    let mut world = last_of_eight();
    let here = world.find("gw.a");
    world.start_all();
    let up = time_until(&mut world, |world| is_up(world, here));
    assert!(up < 2 * SECOND, "{up:?}");
}

#[test]
fn a_peer_behind_a_round_trip_of_three_seconds_has_a_tunnel_and_keeps_it() {
    for milliseconds in [700, 1000, 1500] {
        let mut network = Network::calm();
        network.delay = Duration::from_millis(milliseconds);
        let mut world = World::new(11, Settings::default(), network);
        world.populate(&records(&["gw.a", "gw.b"]));
        world.start_all();

        let both = |world: &World| is_up(world, 0) && is_up(world, 1);
        let up = time_until(&mut world, both);
        assert!(
            up < 10 * SECOND,
            "{milliseconds} ms one way: up after {up:?}"
        );
        world.run_for(30 * SECOND).unwrap();
        let ups = [world.nodes[0].ups, world.nodes[1].ups];
        world.run_for(300 * SECOND).unwrap();
        assert_eq!([world.nodes[0].ups, world.nodes[1].ups], ups, "it flaps");
    }
}

#[test]
fn a_peer_that_is_absent_for_long_is_dialled_rarely_and_connects_at_once_on_return() {
    let mut world = settled(&["gw.a", "gw.b"], 12, Settings::default());
    let (here, peer) = (world.find("gw.a"), world.find("gw.b"));
    world.kill(peer);
    world.run_for(599 * SECOND).unwrap();
    let early = world.nodes[here].dials;
    assert!(early > 599 / 2, "at full pace for ten minutes: {early}");

    world.run_for(61 * SECOND).unwrap();
    let before = world.nodes[here].dials;
    world.run_for(3600 * SECOND).unwrap();
    let dials = world.nodes[here].dials - before;
    assert!(
        (3600 / 30..=3600 / 15).contains(&dials),
        "{dials} dials in an hour"
    );

    world.start(peer);
    let back = time_until(&mut world, |world| is_up(world, here) && is_up(world, peer));
    assert!(back < 2 * SECOND, "back after {back:?}");
}

#[test]
fn an_absent_peer_that_cannot_dial_us_is_dialled_at_full_pace() {
    let mut world = settled(&["[gw.a]", "gw.b"], 13, Settings::default());
    let (here, peer) = (world.find("gw.a"), world.find("gw.b"));
    world.kill(peer);
    world.run_for(3600 * SECOND).unwrap();

    world.start(peer);
    let back = time_until(&mut world, |world| is_up(world, here) && is_up(world, peer));
    assert!(back < 2 * SECOND + SECOND / 2, "back after {back:?}");
}
