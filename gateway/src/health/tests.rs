//! The addresses that are left out, and since when.

use super::*;

fn target(address: &str) -> Target {
    Target {
        name: "peer0.acme.example".into(),
        address: address.parse().unwrap(),
    }
}

fn health(addresses: &[&str], now: Instant) -> Health {
    let targets = addresses.iter().map(|address| target(address));

    Health::of(targets, &FailedAddresses::default(), now)
}

/// One round in which the addresses with these ports fail.
fn round(health: &mut Health, failing: &[u16], now: Instant) -> bool {
    let round = health.poll_round(now).expect("a round is due");
    let results = round.targets().iter().map(|target| {
        let fails = failing.contains(&target.address.port());
        let result = if fails {
            Err("refused".to_owned())
        } else {
            Ok(())
        };
        (target.clone(), result)
    });
    let probed = Probed(results.collect());
    health.handle_probed(probed)
}

#[test]
fn an_address_is_left_out_after_two_failures_and_returns_after_one_success() {
    let start = Instant::now();
    let mut health = health(&["10.1.0.11:1", "10.1.0.12:2"], start);

    assert!(!round(&mut health, &[1], start));
    assert!(health.failed().is_empty());
    assert!(round(&mut health, &[1], start + INTERVAL));
    assert_eq!(health.failed().len(), 1);
    assert!(!round(&mut health, &[1], start + 2 * INTERVAL));
    assert!(round(&mut health, &[], start + 3 * INTERVAL));
    assert!(health.failed().is_empty());
}

#[test]
fn the_time_is_that_of_the_last_change() {
    let begin = SystemTime::UNIX_EPOCH;
    let start = Instant::now();
    let mut health = health(&["10.1.0.11:1"], start);
    let set_since = |health: &mut Health| {
        for state in health.targets.values_mut() {
            state.since = begin;
        }
    };
    set_since(&mut health);

    let mut is_new = Vec::new();
    for (number, failing) in [true, true, true, false, false].into_iter().enumerate() {
        let failing: &[u16] = if failing { &[1] } else { &[] };
        round(&mut health, failing, start + number as u32 * INTERVAL);
        is_new.push(health.list()[0].since != begin);
        set_since(&mut health);
    }
    assert_eq!(is_new, [false, true, false, true, false]);
}

#[test]
fn failures_count_only_in_a_row() {
    let start = Instant::now();
    let mut health = health(&["10.1.0.11:1"], start);

    for number in 0..6 {
        let failing: &[u16] = if number % 2 == 0 { &[1] } else { &[] };
        assert!(!round(&mut health, failing, start + number * INTERVAL));
    }
}

#[test]
fn an_address_that_has_failed_stays_so_after_a_change_of_the_checks() {
    let start = Instant::now();
    let mut health = health(&["10.1.0.11:1", "10.1.0.12:2"], start);
    round(&mut health, &[1], start);
    round(&mut health, &[1], start + INTERVAL);
    let failed = health.failed();

    for port in [1, 3] {
        health.set_targets([target(&format!("10.1.0.11:{port}"))]);
        assert_eq!(health.failed(), failed, "port {port}");
    }
    assert!(round(&mut health, &[], start + 2 * INTERVAL));
    assert!(health.failed().is_empty());

    round(&mut health, &[3], start + 3 * INTERVAL);
    round(&mut health, &[3], start + 4 * INTERVAL);
    assert_eq!(health.failed(), failed);
    health.set_targets([target("10.1.0.13:3")]);
    assert!(health.failed().is_empty(), "nobody checks it any more");
}

#[test]
fn what_had_failed_before_a_start_is_left_out_until_a_probe_succeeds() {
    let start = Instant::now();
    let mut before = health(&["10.1.0.11:1", "10.1.0.12:2", "10.1.0.13:3"], start);
    round(&mut before, &[1, 2], start);
    assert_eq!(
        before.to_store(),
        FailedAddresses::default(),
        "once is not enough"
    );
    round(&mut before, &[1, 2], start + INTERVAL);
    let stored = before.to_store();

    // One of the two has no check any more.
    let targets = ["10.1.0.11:1", "10.1.0.13:3"].map(target);
    let mut after = Health::of(targets.into_iter(), &stored, start);
    assert!(after.failed().len() == 1 && after.summary().unwrap().contains("10.1.0.11:1"));
    assert!(!round(&mut after, &[1], start), "it still fails");
    assert_eq!(after.failed().len(), 1);
    assert!(round(&mut after, &[], start + INTERVAL));
    assert!(after.failed().is_empty() && after.to_store() == FailedAddresses::default());
}

#[test]
fn no_round_begins_before_its_time_or_during_another() {
    let start = Instant::now();
    let mut health = health(&["10.1.0.11:1"], start);

    let first = health.poll_round(start).expect("the first is due at once");
    assert_eq!(health.poll_timeout(), None);
    assert!(health.poll_round(start + 2 * INTERVAL).is_none());
    let results = first.targets().iter().map(|t| (t.clone(), Ok(())));
    let probed = Probed(results.collect());
    health.handle_probed(probed);
    assert!(health.poll_round(start + INTERVAL / 2).is_none());
    assert!(health.poll_round(start + INTERVAL).is_some());
}
