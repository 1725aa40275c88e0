//! How soon streams on which only the server sends go on after an outage: through a tunnel, and
//! beside it between the same two hosts' gateways without one, over the same WAN.
//!
//! ```text
//!   peer0.org1 (server, 7051) ── gw.org1 ══ wan ══ gw.org0 ── orderer0.org0 (client, silent)
//!                  (server, 7951) gw.org1 ── wan ── gw.org0 (client, silent)
//! ```
//! Its long form: `tests/campaign outage`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ringway_tests::scene::eventually;
use ringway_tests::{Capture, Pushed, Scene};

use crate::RINGWAY;
use crate::streams::{CLIENT, SERVER, assert_nothing_private, cut};

/// Seconds of the outages, unless `RINGWAY_OUTAGES` names others.
const OUTAGES: &str = "3 8";

/// Server, client and the server's address, for each family.
const TUNNELLED: [Pair; 2] = [
    (SERVER, CLIENT, "10.10.1.11:7051"),
    (SERVER, CLIENT, "[fd00:10:1::11]:7051"),
];
const ROUTED: [Pair; 2] = [
    ("gw.org1", "gw.org0", "203.0.113.6:7951"),
    ("gw.org1", "gw.org0", "[2001:db8:0:1::2]:7951"),
];

/// Seconds that a stream may need in this test, which is not about speed.
const LIMIT: u64 = 60;

type Pair = (&'static str, &'static str, &'static str);

#[test]
fn silent_streams_go_on_after_outages_of_any_length() {
    let outages = std::env::var("RINGWAY_OUTAGES").unwrap_or_else(|_| OUTAGES.into());
    let scene = Scene::without_wan_filter("recovery", RINGWAY);
    let outside = Capture::headers(&scene, "wan", "org1");
    let tunnelled = TUNNELLED.map(|pair| start(&scene, pair));
    let routed = ROUTED.map(|pair| start(&scene, pair));

    for seconds in outages.split_whitespace() {
        let length = Duration::from_secs(seconds.parse().expect("a number of seconds"));
        let resets = tunnelled.each_ref().map(|stream| stream.seen().resets);
        let all = tunnelled.iter().chain(&routed).collect::<Vec<_>>();
        let end = outage(&scene, length, &all);

        let through = tunnelled.each_ref().map(|stream| recovery(stream, end));
        let plain = routed.each_ref().map(|stream| recovery(stream, end));
        let resets = (0..2).map(|at| tunnelled[at].seen().resets - resets[at]);
        println!(
            "result: outage of {seconds} s: first message after {} s (IPv4, IPv6; {} reset), \
             plain routing {} s",
            shown(through),
            resets.sum::<usize>(),
            shown(plain)
        );
    }
    assert_nothing_private(outside);
    scene.close();
}

fn start(scene: &Scene, (server, client, address): Pair) -> Pushed {
    let address: SocketAddr = address.parse().expect("an address");
    Pushed::start(scene, server, address, client)
}

/// Cuts gw.org0 off for so long; returns when the command that ended that began. All streams run
/// through the cut.
fn outage(scene: &Scene, length: Duration, streams: &[&Pushed]) -> Instant {
    let begin = Instant::now();
    cut(scene, true);
    eventually("the end of the outage", length.as_secs() + 5, || {
        begin.elapsed() >= length
    });

    for stream in streams {
        let silence = stream.seen().last.elapsed();
        assert!(silence + Duration::from_secs(1) >= length, "{silence:?}");
        stream.await_next();
    }
    let end = Instant::now();
    cut(scene, false);
    end
}

/// How long after `end` the first message came.
fn recovery(stream: &Pushed, end: Instant) -> Duration {
    eventually("a message after the outage", LIMIT, || {
        stream.seen().next.is_some()
    });
    let next = stream.seen().next.expect("it has come");
    next.saturating_duration_since(end)
}

fn shown(times: [Duration; 2]) -> String {
    times
        .map(|time| format!("{:.1}", time.as_secs_f64()))
        .join(", ")
}
