//! The filter against a naive model of it: every verdict, on packets of many classes, in both
//! directions and families.
//!
//! The [model](model) is written from what the filter promises, in lists and maps, and never parses
//! a packet. With `RINGWAY_FILTER_PACKETS` the property test sees more packets, and `RINGWAY_SEED`
//! sets its seed. The [table](table) is the same by hand: packets as text, with the verdict that
//! each must get.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod classes;
mod course;
mod ends;
mod model;
mod packet;
mod pressure;
mod records;
mod rng;
mod table;
mod world;

use std::time::Duration;

use course::{Course, Tally};

/// Packets of the short form.
const PACKETS: u64 = 60_000;

#[test]
fn the_filter_and_the_model_agree_on_every_packet() {
    let packets = number("RINGWAY_FILTER_PACKETS").unwrap_or(PACKETS);
    let seed = number("RINGWAY_SEED").unwrap_or(0x5eed);
    let classes = classes::all();

    let mut tally = Tally::default();
    let mut round = 0;
    while tally.packets < packets {
        tally.add(run_each_class_once(&classes, seed.wrapping_add(round)));
        round += 1;
    }

    println!(
        "result: {} packets of {} classes, {} passed, {} wrong deliveries, {} false drops (seed \
         {seed})",
        tally.packets,
        tally.classes.len(),
        tally.passed,
        total(&tally.wrong_deliveries),
        total(&tally.false_drops),
    );
    assert!(
        tally.agrees(),
        "wrong deliveries {:#?}, false drops {:#?}, wrong forms {:#?}",
        tally.wrong_deliveries,
        tally.false_drops,
        tally.wrong_forms
    );
    assert!(tally.classes.len() >= 30);
    assert!(tally.passed * 5 > tally.packets, "hardly anything passes");
}

/// One course through all classes, in an order of its own.
fn run_each_class_once(classes: &[classes::Class], seed: u64) -> Tally {
    let mut course = Course::new(seed, "fabric");
    let first = course.rng.below(classes.len() as u64) as usize;

    for offset in 0..classes.len() {
        let (name, run) = classes[(first + offset) % classes.len()];
        course.class = name;
        run(&mut course);
        // Grace of a class must not reach into the next one.
        course.pass(Duration::from_secs(130));
    }
    course.tally
}

fn total(differences: &course::Differences) -> u64 {
    differences.values().map(|(count, _)| count).sum()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
