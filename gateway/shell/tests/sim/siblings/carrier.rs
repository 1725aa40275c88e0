//! The interface to the site's network loses its carrier.

use super::{MILLISECOND, Pair, SECOND, is_active};
use crate::model;

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
        let expected = "lan0 does not lead to the site's hosts, and gw";
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
fn no_role_changes_if_both_siblings_have_lost_the_sites_network() {
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
