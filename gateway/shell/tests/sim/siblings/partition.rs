//! Gateways that start while the site's network is cut: they hear of each other through peers.

use std::time::Duration;

use ringway_shell::Input;

use super::{MILLISECOND, Pair, SECOND, is_active};
use crate::scenario::time_until;

/// The site's network stays cut from the siblings' first word on, and nothing else leads from one
/// to the other.
fn cut_off_from_each_other(seed: u64) -> Pair {
    let mut pair = Pair::new(seed);
    pair.world.network.cut(pair.active, pair.other);
    pair.pass(SECOND);
    pair.assert_unchanged();
    pair
}

#[test]
fn a_standby_that_is_restarted_in_a_partition_stays_standby() {
    for seed in 0..20 {
        let mut pair = cut_off_from_each_other(seed);
        pair.world.kill(pair.other);
        let away = pair.world.rng.millis(0, 3000);
        pair.pass(away);
        pair.world.start(pair.other);
        let [none, both] = pair.pass(30 * SECOND);
        assert_eq!([none, both], [Duration::ZERO; 2], "seed {seed}");
        pair.assert_unchanged();

        pair.world.network.heal();
        pair.pass(5 * SECOND);
        pair.assert_unchanged();
    }
}

#[test]
fn an_active_gateway_restarted_in_a_partition_leaves_the_role_to_its_sibling() {
    for seed in 0..20 {
        let mut pair = cut_off_from_each_other(seed);
        pair.world.kill(pair.active);
        pair.taken_over();
        pair.world.start(pair.active);
        let [none, both] = pair.pass(30 * SECOND);
        assert_eq!([none, both], [Duration::ZERO; 2], "seed {seed}");
        pair.assert_swapped();

        // What the first has known of the other before is still right.
        pair.world.restart(pair.other);
        pair.pass(10 * SECOND);
        let roles = [pair.active, pair.other].map(|node| is_active(&pair.world.nodes[node]));
        assert_ne!(roles[0], roles[1], "seed {seed}: {roles:?}");
        let [none, both] = pair.pass(10 * SECOND);
        assert_eq!([none, both], [Duration::ZERO; 2], "seed {seed}");
    }
}

#[test]
fn after_both_siblings_died_in_a_partition_only_the_first_to_return_is_active() {
    for seed in 0..20 {
        let mut pair = cut_off_from_each_other(seed);
        pair.world.kill(pair.active);
        pair.world.kill(pair.other);
        pair.pass(5 * SECOND);

        pair.world.start(pair.other);
        let other = pair.other;
        let alone = time_until(&mut pair.world, |world| is_active(&world.nodes[other]));
        assert!(alone < 3500 * MILLISECOND, "seed {seed}: after {alone:?}");
        pair.world.start(pair.active);
        let [none, both] = pair.pass(30 * SECOND);
        assert_eq!([none, both], [Duration::ZERO; 2], "seed {seed}");
        pair.assert_swapped();
    }
}

#[test]
fn a_gateway_without_news_of_its_sibling_is_active_until_it_hears_from_it() {
    for seed in 0..10 {
        let mut pair = cut_off_from_each_other(seed);
        let count = pair.world.nodes.len();
        pair.world.kill(pair.other);
        pair.world.network.cut_off(&[pair.other].into(), count);
        pair.world.start(pair.other);
        let other = pair.other;
        let alone = time_until(&mut pair.world, |world| is_active(&world.nodes[other]));
        assert!(alone < 3500 * MILLISECOND, "seed {seed}: after {alone:?}");

        // Peers reach it again, and its sibling does not.
        pair.world.network.heal();
        pair.world.network.cut(pair.active, pair.other);
        pair.pass(10 * SECOND);
        let [none, both] = pair.pass(10 * SECOND);
        assert_eq!([none, both], [Duration::ZERO; 2], "seed {seed}");
        pair.assert_unchanged();
    }
}

#[test]
fn a_drain_in_a_partition_hands_over_without_a_gap() {
    for seed in 0..10 {
        let mut pair = cut_off_from_each_other(seed);
        pair.world.input(pair.active, Input::Drain { on: true });
        let [none, both] = pair.pass(2 * SECOND);
        pair.assert_swapped();
        assert_eq!(none, Duration::ZERO, "seed {seed}");
        // Until it is asked the next time, and until it asks.
        assert!(both <= 500 * MILLISECOND, "seed {seed}: {both:?}");

        pair.world.input(pair.active, Input::Drain { on: false });
        let [none, both] = pair.pass(10 * SECOND);
        assert_eq!([none, both], [Duration::ZERO; 2], "seed {seed}");
    }
}
