//! Failures to reach a peer, and the end of the back-off.

use std::time::Duration;

use ringway_core::{Action, DialError, ExternalText, Role, Settings};

use crate::bench::{Bench, SECOND, hello, id};

/// Pauses long enough to be told from dials at once.
fn slow() -> Settings {
    Settings {
        backoff_min: SECOND,
        backoff_max: 64 * SECOND,
        ..Settings::default()
    }
}

fn unreachable() -> DialError {
    DialError::Resolve {
        host: "gw.z".into(),
        error: ExternalText::new("no such name"),
    }
}

/// Fails the last dial of `gw.z`, if it has not ended yet, and forgets what was done.
fn fail(bench: &mut Bench) {
    if let Some(dial) = bench.last_dial("gw.z") {
        bench
            .mesh
            .handle_dial_failed(dial, unreachable(), bench.now);
        bench.collect();
    }
    bench.actions.clear();
}

#[test]
fn an_echo_ends_the_back_off_and_nothing_less_does() {
    for echoes in [true, false] {
        let mut bench = Bench::with(slow());
        // Until the pauses have become the longest.
        for _ in 0..300 {
            bench.pass(SECOND, &[]);
            fail(&mut bench);
        }

        let conn = bench.connect("gw.z", Role::Accepter);
        bench.receive(conn, hello(1, 0));
        if echoes {
            bench.pass(Duration::ZERO, &[conn]);
        } else {
            // Of no probe that was sent.
            let index = bench.index(conn);
            bench.mesh.handle_echo(index, 9999, bench.now);
        }
        bench.actions.clear();
        bench.disconnect(conn);

        let mut dials = 0;
        for _ in 0..50 {
            bench.pass(SECOND / 10, &[]);
            dials += bench.dials("gw.z");
            fail(&mut bench);
        }
        let expected = if echoes { 2..=5 } else { 0..=0 };
        assert!(expected.contains(&dials), "{echoes}: {dials} dials in 5 s");
    }
}

#[test]
fn the_first_failure_is_reported_once_and_that_of_an_older_attempt_is_ignored() {
    let mut bench = Bench::with(slow());
    bench.pass(SECOND, &[]);
    let first = bench.last_dial("gw.z").unwrap();
    // It has no answer yet: others join it, and fail.
    bench.pass(4 * SECOND, &[]);
    assert!(bench.dials("gw.z") >= 2);
    let before = bench.error("gw.z");
    bench
        .mesh
        .handle_dial_failed(first, unreachable(), bench.now);
    bench.collect();
    assert_eq!(bench.error("gw.z"), before);

    let told = Action::FirstAttemptFailed { peer: id("gw.z") };
    let found = bench.actions.iter().filter(|action| **action == told);
    assert_eq!(found.count(), 1);
}
