//! A million damaged queries, zone files, replicas and differences: nothing panics, no response is
//! answered, memory stays bounded. What must hold for each input is defined in `tests/fuzz`.
//!
//! `RINGWAY_DNS_MUTATED` overrides the number of inputs of each kind, `RINGWAY_DNS_SEED` the seed.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[expect(unreachable_pub, reason = "the fuzzer's crate exports them")]
#[path = "../../../tests/fuzz/src/dns.rs"]
mod targets;

#[path = "../../../tests/fuzz/src/mutator.rs"]
mod mutator;

use mutator::Mutator;
use ringway_dns::delta::{Journal, Step};
use ringway_dns::{Name, Zone};

const MESSAGES: u64 = 700_000;
const FILES: u64 = 50_000;
const REPLICAS: u64 = 150_000;
const DIFFERENCES: u64 = 100_000;

/// Zone files that caused failures in the past.
const REGRESSIONS: [&str; 1] = ["a A 10.0.0.1\x0c\n"];

/// MiB by which a run may increase the peak memory of the process.
const MEMORY: u64 = 128;

/// A well-formed query; every second 64 have EDNS with a cookie.
fn question(number: u64) -> Vec<u8> {
    const NAMES: [&str; 8] = ["a", "b", "x.c", "q.w", "y.sub", "_s._tcp", "no", "gw"];
    let name = Name::from_text(&format!("{}.org1.example.", NAMES[number as usize % 8])).unwrap();
    let kind = [1, 28, 16, 15, 6, 255, 33, 2][number as usize / 8 % 8];
    let edns = number / 64 % 2;
    let header = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns as u8];
    let mut message = [&header[..], name.as_wire(), &[0, kind, 0, 1]].concat();
    if edns == 1 {
        message.extend(b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x0c\x00\x0a\x00\x08cookieha");
    }
    message
}

/// A zone file with all kinds of records and directives.
const FILE: &str = "$ORIGIN org1.example.\n$TTL 1h\n\
    @ IN SOA gw h ( 1 ; serial\n 60 10 600 5 )\n@ NS gw\n\
    gw 30 A 10.0.0.1\n  AAAA fd00::1\n\\097b CNAME gw\nt TXT \"a;b\" c\\\"d \"\\255\"\n\
    * MX 10 gw.org1.example.\n\
    _s._tcp SRV 0 0 7051 gw\nd DNAME e\n\
    u TYPE65400 \\# 4 0a000001\nc CAA 0 issue \"ca.example\"\nh HTTPS 1 . alpn=h2 port=443\n\
    $INCLUDE /etc/passwd\n$ORIGIN sub\nx A 10.0.0.2\n";

fn zones() -> [Zone; 3] {
    let file = FILE.replace("$INCLUDE /etc/passwd\n", "");
    let long: String = (0..40)
        .map(|i| format!("host{i}.of.a.long.way.down A 10.0.0.{i}\n"))
        .collect();
    let long = format!("{}{long}", targets::ZONE);
    [targets::ZONE, &file, &long]
        .map(|text| Zone::from_text(text, Some(&targets::origin())).unwrap())
}

/// Runs `target` with damaged `samples`; returns how many it accepted.
fn run(count: u64, samples: &[Vec<u8>], target: impl Fn(&[u8]) -> bool) -> u64 {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let count = number("RINGWAY_DNS_MUTATED").unwrap_or(count);
    let before = peak();
    assert!(
        samples.iter().all(|sample| target(sample)),
        "a sample is not accepted"
    );
    let mut mutator = Mutator::new(number("RINGWAY_DNS_SEED").unwrap_or(1));
    let accepted = (0..count)
        .filter(|_| target(mutator.damage(samples)))
        .count() as u64;

    let grown = peak() - before;
    assert!(grown < MEMORY, "peak memory grew by {grown} MiB");
    assert!(
        count < 1000 || (1..count).contains(&accepted),
        "{accepted} of {count} were accepted"
    );
    accepted
}

/// The peak memory of this process in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim()
        .split(' ')
        .next()
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}

#[test]
fn damaged_queries() {
    let samples: Vec<_> = (0..128).map(question).collect();
    run(MESSAGES, &samples, targets::message);
}

#[test]
fn damaged_zone_files() {
    let file = FILE.replace("$INCLUDE /etc/passwd\n", "").into_bytes();
    run(FILES, &[targets::ZONE.into(), file], targets::zone_file);
}

#[test]
fn inputs_that_failed_in_the_past() {
    for file in REGRESSIONS {
        targets::zone_file(file.as_bytes());
        assert!(
            targets::zone_file(format!("{}{file}", targets::ZONE).as_bytes()),
            "{file:?}"
        );
    }
}

#[test]
fn text_without_a_file_cannot_include_files() {
    let faults = Zone::from_text(FILE, Some(&targets::origin())).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
}

#[test]
fn damaged_replicas() {
    run(
        REPLICAS,
        &zones().map(|zone| zone.encode()),
        targets::replica,
    );
}

#[test]
fn damaged_differences() {
    let old = targets::zone();
    let version = (old.serial(), old.digest());
    let differences = zones().into_iter().skip(1).filter_map(|new| {
        let mut journal = Journal::default();
        journal.note(Step::new(version, &old.encode(), &new.encode()));
        journal.since(version)
    });
    run(
        DIFFERENCES,
        &differences.collect::<Vec<_>>(),
        targets::difference,
    );
}
