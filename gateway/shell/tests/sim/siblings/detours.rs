//! The active gateway loses its tunnels to one peer, and its sibling does not: the sibling passes
//! packets on.

use std::time::Duration;

use ringway_config::Prefix;

use super::{MILLISECOND, Pair, SECOND, is_active};
use crate::model;
use crate::scenario::time_until;
use crate::world::World;

/// The sites of the pair and of its first peer.
const SITE: &str = "10.0.0.0/16";
const FAR: &str = "10.2.0.0/16";

fn leads_to(world: &World, from: usize, prefix: &str, to: usize) -> bool {
    let prefix: Prefix = prefix.parse().unwrap();
    let route = world.nodes[from].fib().routes.get(&prefix);

    route.is_some_and(|(gateway, _)| *gateway == world.nodes[to].id)
}

impl Pair {
    /// Sends a packet to the first peer every 5 ms. Gives how many arrived, and how many were sent.
    fn send_to_the_peer(&mut self, count: usize) -> [usize; 2] {
        let far: Prefix = FAR.parse().unwrap();
        let before = self.world.delivered;
        let mut sent = 0;
        for _ in 0..count {
            sent += usize::from(self.world.send_data(self.active, &far));
            self.world.run_for(5 * MILLISECOND).unwrap();
        }

        self.world.run_for(SECOND).unwrap();
        [self.world.delivered - before, sent]
    }
}

#[test]
fn a_peer_that_only_the_sibling_reaches_is_reached_through_it() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed);
        let (active, other, peer) = (pair.active, pair.other, pair.peers[0]);
        pair.world.network.cut(active, peer);
        let out = time_until(&mut pair.world, |world| leads_to(world, active, FAR, other));
        assert!(out < SECOND / 2, "seed {seed}: out after {out:?}");
        let back = time_until(&mut pair.world, |world| leads_to(world, peer, SITE, other));
        assert!(out + back < 2 * SECOND, "seed {seed}: back after {back:?}");

        // Everything arrives, the roles stay, and the other peer notices nothing.
        assert_eq!(pair.send_to_the_peer(200), [200; 2], "seed {seed}");
        let [none, both] = pair.pass(20 * SECOND);
        assert_eq!([none, both], [Duration::ZERO; 2], "seed {seed}");
        assert!(is_active(&pair.world.nodes[active]), "seed {seed}");
        assert!(leads_to(&pair.world, pair.peers[1], SITE, active));
        model::compare(&pair.world, true).unwrap();

        pair.world.network.heal();
        let direct = time_until(&mut pair.world, |world| leads_to(world, active, FAR, peer));
        assert!(direct < 32 * SECOND, "seed {seed}: direct after {direct:?}");
        pair.pass(70 * SECOND);
        pair.assert_unchanged();
        model::compare(&pair.world, true).unwrap();
    }
}

/// They lose it within a moment of each other. For that moment, each may count on the other.
#[test]
fn a_peer_that_both_have_lost_is_unreachable_and_no_packet_is_passed_on_twice() {
    for seed in 0..40 {
        let mut pair = Pair::new(seed);
        let peer = pair.peers[0];
        for gateway in [pair.active, pair.other] {
            pair.world.network.cut(gateway, peer);
            let moment = pair.world.rng.millis(0, 400);
            pair.world.run_for(moment).unwrap();
        }
        pair.send_to_the_peer(400);

        let far: Prefix = FAR.parse().unwrap();
        for gateway in [pair.active, pair.other] {
            let routes = &pair.world.nodes[gateway].fib().routes;
            assert!(!routes.contains_key(&far), "seed {seed}");
        }
        model::compare(&pair.world, true).unwrap();
    }
}

#[test]
fn the_way_by_a_sibling_ends_with_it() {
    let mut pair = Pair::new(1);
    let (active, other, peer) = (pair.active, pair.other, pair.peers[0]);
    pair.world.network.cut(active, peer);
    pair.pass(3 * SECOND);
    assert!(leads_to(&pair.world, active, FAR, other));

    pair.world.kill(other);
    let gone = time_until(&mut pair.world, |world| {
        !leads_to(world, active, FAR, other)
    });
    assert!(gone < SECOND / 2, "after {gone:?}");
    pair.world.start(other);
    pair.pass(5 * SECOND);
    assert!(leads_to(&pair.world, active, FAR, other));
    model::compare(&pair.world, true).unwrap();
}
