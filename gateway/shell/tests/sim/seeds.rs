//! Many seeds, each another course of events.

use std::time::Duration;

use ringway_core::Settings;
use ringway_core::message::{ATTACH, SIBLING_ROUTES, SIBLINGS};

use crate::network::Network;
use crate::rng::Rng;
use crate::world::{Violation, World};
use crate::{attached, consortium, incident, model, trials};

/// How long things happen, and how long the mesh has to settle after that.
const CHAOS: Duration = Duration::from_secs(7);
const CALM: Duration = Duration::from_secs(8);

#[test]
fn whatever_happens_the_right_gateways_reach_each_other_in_the_end() {
    if let Some(seed) = number("RINGWAY_SIM_SEED") {
        return report(seed, course(seed, true));
    }
    let seeds = number("RINGWAY_SIM_SEEDS").unwrap_or(200);
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for seed in (thread..seeds).step_by(threads as usize) {
                    report(seed, course(seed, false));
                }
            });
        }
    });
    println!("result: {seeds} seeds, each as the model says");
}

#[test]
fn the_same_seed_repeats_exactly() {
    let print = |world: World| {
        (
            world.scheduled(),
            world.wires.len(),
            world.rng.clone().next(),
        )
    };
    let [first, second] = [(), ()].map(|()| course(4, false).map(print).unwrap());
    assert_eq!(first, second);
}

/// One course of events.
fn course(seed: u64, verbose: bool) -> Result<World, Violation> {
    let mut rng = Rng::new(seed);
    let network = Network::new(&mut rng);
    // Every other seed renews its sessions all the time; then one is always being replaced.
    let renews = seed % 2 == 1;
    // One in four has attached nodes.
    let has_nodes = seed % 4 > 2;
    let rekey_after = Duration::from_secs(if renews { 5 } else { 3600 });
    // What is left of the chaos must end within the calm.
    let (drain, hello_timeout) = (Duration::from_secs(2), Duration::from_secs(3));
    let settings = Settings {
        rekey_after,
        drain,
        hello_timeout,
        features: if has_nodes {
            SIBLINGS | SIBLING_ROUTES | ATTACH
        } else {
            SIBLINGS | SIBLING_ROUTES
        },
        ..Settings::default()
    };
    let mut records = consortium::found(&mut rng);
    if has_nodes {
        attached::add_nodes(&mut records);
    }
    let mut world = World::new(rng.next(), settings, network);
    world.verbose = verbose;
    world.is_chaotic = true;
    world.populate(&records);
    incident::plan(&mut world, &records, CHAOS);
    world.run_for(CHAOS + incident::LONGEST_OUTAGE)?;
    calm_down(&mut world);
    world.run_for(CALM)?;
    model::compare(&world, !renews)?;
    // A session that is being replaced may lose a packet.
    if !renews {
        trials::examine(&mut world)?;
    }
    Ok(world)
}

/// The network works again, but some paths stay cut and some daemons dead.
fn calm_down(world: &mut World) {
    let count = world.nodes.len();
    world.network.calm_down();
    world.is_chaotic = false;
    for node in 0..count {
        if world.nodes[node].has_lied {
            world.restart(node);
        }
    }
    if world.rng.chance(300) {
        let (a, b) = (world.rng.below(count), world.rng.below(count));
        world.network.cut(a, b);
    }
    if world.rng.chance(300) {
        let node = world.rng.below(count);
        world.kill(node);
    }
    if world.rng.chance(500) {
        divide_a_site(world);
    }
}

/// Two gateways of a site do not reach each other any more, and one of them starts again.
fn divide_a_site(world: &mut World) {
    let pairs: Vec<(usize, usize)> = world.network.neighbours().collect();
    let (a, b) = pairs[world.rng.below(pairs.len())];

    world.network.cut(a, b);
    if world.nodes[a].runs() {
        world.restart(a);
    }
}

fn report(seed: u64, outcome: Result<World, Violation>) {
    if let Err(Violation(text)) = outcome {
        panic!(
            "seed {seed}: {text}\nreplay: RINGWAY_SIM_SEED={seed} cargo test -p ringway-shell \
             --test sim seeds -- --nocapture"
        );
    }
}

/// The number in an environment variable.
pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().expect("a number"))
}
