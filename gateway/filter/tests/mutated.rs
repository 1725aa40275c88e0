//! Damaged sequences of packets, rules and times: nothing panics, and the laws of the fuzz target
//! hold. The laws and the samples are in `tests/fuzz`.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

#[expect(unreachable_pub, reason = "the fuzzer's crate exports them")]
#[path = "../../../tests/fuzz/src/filter.rs"]
mod targets;

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn seeds() -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/filter");
    let mut paths: Vec<_> = fs::read_dir(corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("/seed-"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 5, "the seeds are missing");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Up to three seeds one after the other, with some bytes replaced.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let values = prop_oneof![
        select(vec![0, 1, 4, 6, 17, 44, 0x40, 0x60, 0xff]),
        any::<u8>()
    ];
    let changes = vec((any::<Index>(), values), 0..8);
    (vec(select(seeds()), 1..4), changes).prop_map(|(seeds, changes)| {
        let mut bytes = seeds.concat();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes
    })
}

#[test]
fn every_seed_is_of_use() {
    for seed in seeds() {
        assert!(targets::sequence(&seed), "{seed:02x?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_opens_a_host_that_has_sent_nothing(bytes in damaged()) {
        targets::sequence(&bytes);
    }
}
