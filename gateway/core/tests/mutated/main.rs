//! Damaged control streams and arbitrary sequences of inputs: nothing panics, and what `tests/fuzz`
//! asserts of each holds.
//!
//! The samples are the seeds of the fuzz targets, in `tests/fuzz/corpus`. `RINGWAY_CORE_MUTATED`
//! sets how many of each are damaged, `RINGWAY_CORE_SEED` damages them in other places.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[expect(unreachable_pub, reason = "the fuzzer's crate exports them")]
#[path = "../../../../tests/fuzz/src/control.rs"]
mod control;
#[expect(unreachable_pub, reason = "the fuzzer's crate exports them")]
#[path = "../../../../tests/fuzz/src/mesh.rs"]
mod mesh;
#[path = "../../../../tests/fuzz/src/mutator.rs"]
mod mutator;

use std::env;
use std::fs;
use std::path::Path;
use std::thread;

use mutator::Mutator;

const STREAMS: u64 = 200_000;
const SEQUENCES: u64 = 10_000;

/// The committed seeds of a target, in the order of their names.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus");
    let files = fs::read_dir(corpus.join(target)).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Drives `target` with its seeds, which are of use, and with damaged ones, some of which are.
fn drive(name: &str, count: u64, target: impl Fn(&[u8]) -> bool) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty());
    for (number, seed) in seeds.iter().enumerate() {
        assert!(target(seed), "seed {number} of {name} is of use");
    }

    let count = number("RINGWAY_CORE_MUTATED").unwrap_or(count);
    let mut mutator = Mutator::new(number("RINGWAY_CORE_SEED").unwrap_or(1));
    let mut useful = 0;
    for _ in 0..count {
        let sample = mutator.damage(&seeds);
        let _shown = ShownOnPanic(sample);
        useful += u64::from(target(sample));
    }

    assert!(
        count < 1000 || (1..count).contains(&useful),
        "{useful} of {count} were of use"
    );
}

/// Prints the sample that a target fails on: a seed for the corpus.
struct ShownOnPanic<'a>(&'a [u8]);

impl Drop for ShownOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("failed on {:02x?}", self.0);
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

#[test]
fn damaged_control_streams_do_no_damage() {
    drive("control", STREAMS, control::control);
}

#[test]
fn no_sequence_of_inputs_breaks_the_mesh() {
    drive("mesh", SEQUENCES, mesh::mesh);
}
