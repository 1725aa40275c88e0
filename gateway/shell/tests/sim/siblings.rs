//! Two gateways of one site (`gw0.b`, `gw1.b`) and two peers: what each fault leads to. The table
//! of gateway/PROTOCOL.md, "Siblings", promises it.

use std::collections::BTreeSet;
use std::time::Duration;

use ringway_config::Prefix;
use ringway_core::message::SIBLINGS;
use ringway_core::{Settings, SiteRole};
use ringway_intent::{Address, HostRoute, Links};
use ringway_shell::Input;

use crate::incident::Incident;
use crate::model;
use crate::node::Node;
use crate::scenario::{settled, time_until};
use crate::seeds::number;
use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// A pair of siblings, one of them active, and their peers.
struct Pair {
    world: World,
    active: usize,
    other: usize,
    peers: [usize; 2],
}

impl Pair {
    fn new(seed: u64) -> Pair {
        let settings = Settings {
            features: SIBLINGS,
            ..Settings::default()
        };
        let mut world = settled(&["gw0.b", "gw1.b", "gw.a", "gw.c"], seed, settings);
        let moment = world.rng.millis(0, 500);
        world.run_for(moment).unwrap();

        let [first, second] = ["gw0.b", "gw1.b"].map(|id| world.find(id));
        let is_first = is_active(&world.nodes[first]);
        let (active, other) = if is_first {
            (first, second)
        } else {
            (second, first)
        };
        let peers = ["gw.a", "gw.c"].map(|id| world.find(id));
        let pair = Pair {
            world,
            active,
            other,
            peers,
        };
        assert!(
            pair.is_used(active),
            "seed {seed}: the peers use the active one"
        );
        pair
    }

    /// Every peer's route to the site goes to this gateway.
    fn is_used(&self, gateway: usize) -> bool {
        uses(&self.world, self.peers, gateway)
    }

    /// How long until the other is active, and until the peers use it.
    fn taken_over(&mut self) -> [Duration; 2] {
        let (other, peers) = (self.other, self.peers);
        let active = time_until(&mut self.world, |world| is_active(&world.nodes[other]));
        let used = time_until(&mut self.world, |world| uses(world, peers, other));

        [active, active + used]
    }

    fn cut_uplink(&mut self, gateway: usize) {
        for peer in self.peers {
            self.world.network.cut(gateway, peer);
        }
    }

    /// The interface to the site's network loses its carrier, or has it again.
    fn set_carrier(&mut self, gateway: usize, has_carrier: bool) {
        let other = if gateway == self.active {
            self.other
        } else {
            self.active
        };
        if !has_carrier {
            self.world.network.cut(gateway, other);
        }

        let links = in_the_site(has_carrier);
        Incident::HostChange(gateway, links, BTreeSet::new()).strike(&mut self.world);
    }

    /// Lets time pass. Gives for how long none was active, and for how long both were.
    fn pass(&mut self, time: Duration) -> [Duration; 2] {
        let mut spent = [Duration::ZERO; 2];
        let end = self.world.now + time;
        while self.world.now < end {
            self.world.run_for(MILLISECOND).unwrap();
            let pair = [self.active, self.other];
            match pair
                .iter()
                .filter(|node| is_active(&self.world.nodes[**node]))
                .count()
            {
                0 => spent[0] += MILLISECOND,
                1 => {}
                _ => spent[1] += MILLISECOND,
            }
        }
        spent
    }

    #[track_caller]
    fn assert_unchanged(&self) {
        let [active, other] = [self.active, self.other].map(|node| &self.world.nodes[node]);
        assert!(is_active(active) && !is_active(other));
        assert_eq!(
            active.standing.as_ref().map(|standing| standing.epoch),
            Some(1)
        );
        assert!(self.is_used(self.active));
    }

    #[track_caller]
    fn assert_swapped(&self) {
        let [active, other] = [self.active, self.other].map(|node| &self.world.nodes[node]);
        assert!(!is_active(active) && is_active(other));
        assert!(self.is_used(self.other));
    }
}

fn is_active(node: &Node) -> bool {
    let standing = node.standing.as_ref().filter(|_| node.runs());

    standing.is_some_and(|standing| standing.role == SiteRole::Active)
}

fn uses(world: &World, peers: [usize; 2], gateway: usize) -> bool {
    let site: Prefix = "10.0.0.0/16".parse().unwrap();
    let id = &world.nodes[gateway].id;

    peers.iter().all(|peer| {
        let route = world.nodes[*peer].fib().routes.get(&site);
        route.is_some_and(|(used, _)| used == id)
    })
}

/// A host of the site of `gw0.b` and `gw1.b`.
fn in_the_site(has_carrier: bool) -> Links {
    let own = "10.0.0.17".parse().unwrap();
    let prefix = Prefix::holding(own, 28).unwrap();
    let interface = "lan0".to_owned();
    let route = HostRoute {
        prefix,
        interface: interface.clone(),
        gateway: None,
        is_live: true,
    };
    let address = Address {
        interface: interface.clone(),
        own,
        network: prefix,
        preferred: true,
    };

    Links::from_addresses([address])
        .with_routes([route])
        .with_running(has_carrier.then_some(interface))
}

#[test]
fn a_lost_carrier_of_the_sites_network_is_handed_over_within_350_ms() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed);
        for gateway in [pair.active, pair.other] {
            pair.set_carrier(gateway, true);
        }
        pair.pass(SECOND);
        pair.assert_unchanged();

        // Their session is gone with the site's network: only peers know both.
        pair.set_carrier(pair.active, false);
        let [active, used] = pair.taken_over();
        assert!(
            active < 250 * MILLISECOND,
            "seed {seed}: active after {active:?}"
        );
        assert!(used < 350 * MILLISECOND, "seed {seed}: used after {used:?}");
        pair.pass(SECOND);
        pair.assert_swapped();
        let standing = pair.world.nodes[pair.active].standing.as_ref();
        let reason = standing.map(|standing| standing.reason.to_string());
        let expected = "lan0 has no carrier, and gw";
        assert!(reason.is_some_and(|reason| reason.starts_with(expected)));

        // With its carrier it serves the site again, and leaves the other its place.
        pair.world.network.heal();
        pair.set_carrier(pair.active, true);
        pair.pass(70 * SECOND);
        pair.assert_swapped();
        model::compare(&pair.world, true).unwrap();
    }
}

#[test]
fn if_both_have_lost_the_carrier_of_the_sites_network_nobody_moves() {
    for seed in 0..10 {
        let mut pair = Pair::new(seed);
        for gateway in [pair.active, pair.other] {
            pair.set_carrier(gateway, true);
        }
        pair.pass(SECOND);

        // A switch dies: both notice within a moment, in any order.
        let gateways = if seed % 2 == 0 {
            [pair.active, pair.other]
        } else {
            [pair.other, pair.active]
        };
        for gateway in gateways {
            pair.set_carrier(gateway, false);
            let moment = pair.world.rng.millis(0, 30);
            pair.pass(moment);
        }
        pair.pass(20 * SECOND);
        pair.assert_unchanged();

        // The first that has it again serves the site.
        pair.set_carrier(pair.other, true);
        pair.pass(SECOND);
        pair.assert_swapped();
    }
}

#[test]
fn a_gateway_without_a_carrier_is_active_if_its_sibling_dies() {
    let mut pair = Pair::new(8);
    for gateway in [pair.active, pair.other] {
        pair.set_carrier(gateway, true);
    }
    pair.set_carrier(pair.active, false);
    pair.pass(SECOND);
    pair.assert_swapped();

    pair.world.kill(pair.other);
    pair.pass(3 * SECOND);
    assert!(is_active(&pair.world.nodes[pair.active]));
    assert!(pair.is_used(pair.active));

    // The other is better as soon as it is back.
    pair.world.network.heal();
    pair.world.start(pair.other);
    pair.pass(5 * SECOND);
    pair.assert_swapped();
}

#[test]
fn a_gateway_that_dies_is_replaced_within_350_ms() {
    for seed in 0..40 {
        let mut pair = Pair::new(seed);
        pair.world.kill(pair.active);
        let [active, used] = pair.taken_over();
        assert!(
            active < 250 * MILLISECOND,
            "seed {seed}: active after {active:?}"
        );
        assert!(used < 350 * MILLISECOND, "seed {seed}: used after {used:?}");

        assert_eq!(
            pair.world.nodes[pair.other].graces, 1,
            "its connections have grace"
        );

        // The one that comes back does not take its place back.
        pair.world.start(pair.active);
        pair.pass(70 * SECOND);
        pair.assert_swapped();
        model::compare(&pair.world, true).unwrap();
    }
}

#[test]
fn a_dead_uplink_is_handed_over_within_half_a_second_and_never_is_none_active() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed);
        pair.cut_uplink(pair.active);
        let [none, both] = pair.pass(SECOND / 2);
        pair.assert_swapped();
        assert_eq!(none, Duration::ZERO, "seed {seed}");
        assert!(
            both <= 5 * MILLISECOND,
            "seed {seed}: both active for {both:?}"
        );

        pair.world.network.heal();
        pair.pass(30 * SECOND);
        pair.assert_swapped();
    }
}

#[test]
fn a_partition_of_the_sites_network_causes_no_takeover() {
    for seed in 0..10 {
        let mut pair = Pair::new(seed);
        pair.world.network.cut(pair.active, pair.other);
        pair.pass(30 * SECOND);
        pair.assert_unchanged();

        pair.world.network.heal();
        pair.pass(5 * SECOND);
        pair.assert_unchanged();
    }
}

#[test]
fn loss_in_one_direction_of_the_sites_network_causes_no_takeover() {
    for (seed, to_other) in [(1, true), (2, false)] {
        let mut pair = Pair::new(seed);
        let (from, to) = if to_other {
            (pair.active, pair.other)
        } else {
            (pair.other, pair.active)
        };
        pair.world.network.cut_one_way(from, to);
        pair.pass(20 * SECOND);
        pair.assert_unchanged();
    }
}

#[test]
fn loss_in_one_direction_of_the_uplink_is_handed_over() {
    for (seed, outward) in [(1, true), (2, false)] {
        let mut pair = Pair::new(seed);
        for peer in pair.peers {
            let (from, to) = if outward {
                (pair.active, peer)
            } else {
                (peer, pair.active)
            };
            pair.world.network.cut_one_way(from, to);
        }
        pair.pass(SECOND);
        assert!(
            is_active(&pair.world.nodes[pair.other]),
            "outward {outward}"
        );
        pair.pass(2 * SECOND);
        pair.assert_swapped();
    }
}

#[test]
fn a_gateway_that_is_cut_off_from_all_is_replaced_and_stands_down_when_it_is_back() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed);
        let count = pair.world.nodes.len();
        pair.world.network.cut_off(&[pair.active].into(), count);
        let [active, used] = pair.taken_over();
        assert!(
            active < 400 * MILLISECOND,
            "seed {seed}: active after {active:?}"
        );
        assert!(used < 500 * MILLISECOND, "seed {seed}: used after {used:?}");
        pair.pass(20 * SECOND);

        pair.world.network.heal();
        pair.pass(3 * SECOND);
        pair.assert_swapped();
        let [none, both] = pair.pass(60 * SECOND);
        assert_eq!([none, both], [Duration::ZERO; 2], "seed {seed}");
    }
}

#[test]
fn after_both_have_died_the_first_that_comes_back_is_active() {
    let mut pair = Pair::new(3);
    pair.world.kill(pair.active);
    pair.world.kill(pair.other);
    pair.pass(5 * SECOND);
    pair.world.start(pair.other);
    pair.pass(4 * SECOND);
    assert!(is_active(&pair.world.nodes[pair.other]));

    pair.world.start(pair.active);
    pair.pass(4 * SECOND);
    pair.assert_swapped();
}

#[test]
fn two_that_start_at_once_agree_within_three_seconds() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed);
        for gateway in [pair.active, pair.other] {
            pair.world.restart(gateway);
        }
        pair.pass(3 * SECOND);
        let [none, both] = pair.pass(5 * SECOND);
        assert_eq!([none, both], [Duration::ZERO; 2], "seed {seed}");
        model::compare(&pair.world, true).unwrap();
    }
}

#[test]
fn a_sibling_that_flaps_is_not_given_the_place_again() {
    let mut pair = Pair::new(5);
    for _ in 0..10 {
        pair.world.kill(pair.active);
        pair.pass(2 * SECOND);
        pair.world.start(pair.active);
        pair.pass(2 * SECOND);
        pair.assert_swapped();
    }
    let standing = pair.world.nodes[pair.other].standing.as_ref();
    assert_eq!(
        standing.map(|standing| standing.epoch),
        Some(2),
        "one takeover"
    );
}

#[test]
fn a_standby_that_flaps_changes_nothing() {
    let mut pair = Pair::new(6);
    for _ in 0..10 {
        pair.world.kill(pair.other);
        pair.pass(2 * SECOND);
        pair.world.start(pair.other);
        pair.pass(2 * SECOND);
        pair.assert_unchanged();
    }
}

#[test]
fn a_machine_that_was_paused_stands_down_at_once_when_it_goes_on() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed);
        pair.world.pause(pair.active, 3 * SECOND);
        let [active, used] = pair.taken_over();
        assert!(
            active < 250 * MILLISECOND,
            "seed {seed}: active after {active:?}"
        );
        assert!(used < 350 * MILLISECOND, "seed {seed}: used after {used:?}");

        pair.pass(3 * SECOND);
        let [none, both] = pair.pass(10 * SECOND);
        assert_eq!(none, Duration::ZERO);
        assert!(
            both <= 50 * MILLISECOND,
            "seed {seed}: both active for {both:?}"
        );
        pair.assert_swapped();
    }
}

#[test]
fn a_clone_of_the_active_gateway_is_reported_and_one_of_the_site_stays_active() {
    let mut pair = Pair::new(7);
    let original = &pair.world.nodes[pair.active];
    let mut clone = Node::new(
        original.id.clone(),
        original.site.clone(),
        original.records().clone(),
    );
    clone.host = "copy".into();
    pair.world.nodes.push(clone);
    let clone = pair.world.nodes.len() - 1;
    pair.world.start(clone);
    pair.pass(60 * SECOND);

    let alarms = &pair.world.nodes[pair.other].alarms;
    assert!(!alarms.is_empty(), "the sibling says so");
    let gateways = [pair.active, pair.other, clone];
    let active = gateways
        .iter()
        .filter(|node| is_active(&pair.world.nodes[**node]));
    assert!(active.count() >= 1);
}

/// `RINGWAY_SIBLING_SEEDS` and `RINGWAY_SIBLING_SECONDS` make it longer.
#[test]
fn five_percent_loss_causes_no_takeover() {
    let seeds = number("RINGWAY_SIBLING_SEEDS").unwrap_or(3);
    let seconds = number("RINGWAY_SIBLING_SECONDS").unwrap_or(200);
    std::thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || {
                for seed in (half..seeds).step_by(2) {
                    let mut pair = Pair::new(seed);
                    pair.world.network.loss = 50;
                    pair.world.run_for(SECOND * seconds as u32).unwrap();
                    pair.assert_unchanged();
                }
            });
        }
    });
    println!("result: {seeds} seeds of {seconds} s at 5 % loss, 0 takeovers");
}

#[test]
fn a_gateway_that_stops_loses_no_packet() {
    let mut pair = Pair::new(9);
    let site: Prefix = "10.0.0.0/16".parse().unwrap();
    pair.world.input(pair.active, Input::Shutdown);
    for _ in 0..400 {
        assert!(pair.world.send_data(pair.peers[0], &site), "no route");
        pair.world.run_for(5 * MILLISECOND).unwrap();
    }
    pair.world.run_for(SECOND).unwrap();
    assert_eq!(pair.world.delivered, 400);
    assert!(!pair.world.nodes[pair.active].runs());
    assert!(is_active(&pair.world.nodes[pair.other]));
}
