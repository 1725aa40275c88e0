//! Two gateways of one site (`gw0.b`, `gw1.b`) and two peers: what each fault leads to. The table
//! of gateway/PROTOCOL.md, "Siblings", promises it.

mod carrier;
mod cuts;
mod detours;
mod lives;
mod partition;

use std::collections::BTreeSet;
use std::time::Duration;

use ringway_config::Prefix;
use ringway_core::message::{SIBLING_ROUTES, SIBLINGS};
use ringway_core::{Settings, SiteRole};
use ringway_intent::{Address, HostRoute, Links};

use crate::incident::Incident;
use crate::node::Node;
use crate::scenario::{settled, time_until};
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
    /// The peers are called as the siblings are, as they often are.
    fn new(seed: u64) -> Pair {
        let settings = Settings {
            features: SIBLINGS | SIBLING_ROUTES,
            ..Settings::default()
        };
        let mut world = settled(&["gw0.b", "gw1.b", "gw0.a", "gw1.c"], seed, settings);
        let moment = world.rng.millis(0, 500);
        world.run_for(moment).unwrap();

        let [first, second] = ["gw0.b", "gw1.b"].map(|id| world.find(id));
        let is_first = is_active(&world.nodes[first]);
        let (active, other) = if is_first {
            (first, second)
        } else {
            (second, first)
        };
        let peers = ["gw0.a", "gw1.c"].map(|id| world.find(id));
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
