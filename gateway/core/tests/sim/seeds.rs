//! Many seeds, each another course of events.

use std::time::Duration;

use ringway_core::Settings;

use crate::dice::Dice;
use crate::network::Network;
use crate::world::{Violation, World};
use crate::{chaos, consortium, model};

/// How long things happen, and how long the mesh has to settle after that.
const CHAOS: Duration = Duration::from_secs(7);
const CALM: Duration = Duration::from_secs(5);

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
                (thread..seeds)
                    .step_by(threads as usize)
                    .for_each(|seed| report(seed, course(seed, false)));
            });
        }
    });
}

#[test]
fn the_same_seed_repeats_exactly() {
    let print = |world: World| {
        (
            world.scheduled(),
            world.wires.len(),
            world.dice.clone().next(),
        )
    };
    let [first, second] = [(), ()].map(|()| course(4, false).map(print).unwrap());
    assert_eq!(first, second);
}

/// One course of events.
fn course(seed: u64, verbose: bool) -> Result<World, Violation> {
    let mut dice = Dice::new(seed);
    let network = Network::new(&mut dice);
    // Every other seed renews its sessions all the time; then one is always being replaced.
    let renews = seed % 2 == 1;
    let rekey_after = Duration::from_secs(if renews { 5 } else { 3600 });
    // What is left of the chaos must end within the calm.
    let (drain, hello_timeout) = (Duration::from_secs(2), Duration::from_secs(3));
    let settings = Settings {
        rekey_after,
        drain,
        hello_timeout,
        ..Settings::default()
    };
    let records = consortium::found(&mut dice);
    let mut world = World::new(dice.next(), settings, network);
    world.verbose = verbose;
    world.populate(&records);
    chaos::plan(&mut world, &records, CHAOS);
    world.run_for(CHAOS + chaos::LONGEST_OUTAGE)?;
    calm_down(&mut world);
    world.run_for(CALM)?;
    model::compare(&world, !renews)?;
    Ok(world)
}

/// The network works again, but some paths stay cut and some daemons dead.
fn calm_down(world: &mut World) {
    let count = world.nodes.len();
    world.network = Network::calm();
    if world.dice.chance(300) {
        let (a, b) = (world.dice.below(count), world.dice.below(count));
        world.network.cut(a, b);
    }
    if world.dice.chance(300) {
        let node = world.dice.below(count);
        world.kill(node);
    }
}

fn report(seed: u64, outcome: Result<World, Violation>) {
    if let Err(Violation(text)) = outcome {
        panic!(
            "seed {seed}: {text}\nreplay: RINGWAY_SIM_SEED={seed} cargo test -p ringway-core --test sim seeds \
             -- --nocapture"
        );
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().expect("a number"))
}
