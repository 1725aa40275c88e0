//! Gateways die, start, stop and are suspended.

use std::time::Duration;

use ringway_config::Prefix;
use ringway_shell::Input;

use super::{MILLISECOND, Pair, SECOND, is_active};
use crate::model;
use crate::node::Node;

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
fn a_flapping_sibling_does_not_get_the_role_again() {
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
fn a_gateway_that_is_restarted_at_once_is_standby_and_its_sibling_takes_over() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed);
        pair.world.restart(pair.active);
        let [active, used] = pair.taken_over();
        assert!(
            active < 250 * MILLISECOND,
            "seed {seed}: active after {active:?}"
        );
        assert!(used < 350 * MILLISECOND, "seed {seed}: used after {used:?}");

        pair.pass(SECOND);
        let [none, both] = pair.pass(70 * SECOND);
        assert_eq!([none, both], [Duration::ZERO; 2], "seed {seed}");
        pair.assert_swapped();
        model::compare(&pair.world, true).unwrap();
    }
}

#[test]
fn a_clone_of_the_active_gateway_is_reported_and_gets_no_role() {
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
    let [active, used] = pair.taken_over();
    assert!(active < 250 * MILLISECOND, "active after {active:?}");
    assert!(used < 350 * MILLISECOND, "used after {used:?}");
    pair.pass(60 * SECOND);

    let alarms = &pair.world.nodes[pair.other].alarms;
    assert!(!alarms.is_empty(), "the sibling says so");
    pair.assert_swapped();
    assert!(!is_active(&pair.world.nodes[clone]));
    let standing = pair.world.nodes[pair.active].standing.as_ref();
    let word = standing.map(|standing| standing.reason.word());
    assert_eq!(word, Some("replaced"), "the original, which nobody knows");
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
