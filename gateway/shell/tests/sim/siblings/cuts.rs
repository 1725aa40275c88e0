//! Networks are cut, or lose packets: the uplinks, the site's network, or both.

use std::time::Duration;

use super::{MILLISECOND, Pair, SECOND, is_active};
use crate::seeds::number;

#[test]
fn a_dead_uplink_is_handed_over_within_half_a_second_with_one_always_active() {
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
fn no_role_changes_while_all_uplinks_are_dead() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed);
        for gateway in [pair.active, pair.other] {
            pair.cut_uplink(gateway);
        }
        let outage = pair.world.rng.millis(300, 8000);
        let [none, both] = pair.pass(outage);
        assert_eq!([none, both], [Duration::ZERO; 2], "seed {seed}");
        assert!(is_active(&pair.world.nodes[pair.active]), "seed {seed}");

        // A peer whose session with the other is up first keeps its route there for a minute.
        pair.world.network.heal();
        pair.pass(70 * SECOND);
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
fn an_isolated_gateway_is_replaced_and_stands_down_when_it_is_back() {
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
