//! Damaged packets, super-packets and sequences of packets: nothing panics, and the laws of the
//! fuzz targets hold. The laws and the samples are in `tests/fuzz`.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

#[expect(unreachable_pub, reason = "the fuzzer's crate exports them")]
#[path = "../../../tests/fuzz/src/packet.rs"]
mod targets;

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The seeds of a target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus");
    let mut paths: Vec<_> = fs::read_dir(corpus.join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("/seed-"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 5, "the seeds of {target} are missing");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// A seed of the target with some bytes replaced, and perhaps its end cut off.
fn damaged(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let values = prop_oneof![
        select(vec![0, 1, 4, 6, 17, 44, 0x40, 0x60, 0xff]),
        any::<u8>()
    ];
    let changes = vec((any::<Index>(), values), 0..6);
    let cut = proptest::option::weighted(0.2, any::<Index>());
    (select(seeds(target)), changes, cut).prop_map(|(mut bytes, changes, cut)| {
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_packet_or_are_refused(bytes in damaged("packet_parse")) {
        targets::parse(&bytes);
    }

    #[test]
    fn only_packets_between_the_two_sites_are_admitted(bytes in damaged("packet_admit")) {
        targets::admit(&bytes);
    }

    #[test]
    fn segments_are_packets_and_lose_nothing(bytes in damaged("packet_split")) {
        targets::split(&bytes);
    }

    #[test]
    fn what_is_joined_can_be_cut_again(bytes in damaged("packet_coalesce")) {
        targets::coalesce(&bytes);
    }
}

#[test]
fn the_fuzzers_seeds_reach_what_they_are_for() {
    for (target, law) in [
        ("packet_parse", targets::parse as fn(&[u8]) -> bool),
        ("packet_admit", targets::admit),
        ("packet_split", targets::split),
        ("packet_coalesce", targets::coalesce),
    ] {
        for seed in seeds(target) {
            assert!(law(&seed), "{target}: {seed:02x?}");
        }
    }
}
