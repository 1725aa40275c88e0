//! A gateway is killed and started: how long until a packet passes through it again.
//!
//! ```sh
//! RINGWAY_RESTARTS=20 RINGWAY_BINARY=target/release/ringway \
//!     cargo test -p ringway-tests --test netns restarts:: -- --nocapture
//! ```

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use ringway_tests::scene::eventually;
use ringway_tests::{Background, Scene};

use crate::RINGWAY;

/// Restarts, unless `RINGWAY_RESTARTS` says another number.
const RESTARTS: usize = 3;

const GATEWAY: &str = "gw.org0";
const PEERS: [&str; 2] = ["gw.org1", "gw.org2"];

#[test]
fn a_killed_gateway_carries_packets_soon_after_its_start() {
    let binary = std::env::var("RINGWAY_BINARY").unwrap_or_else(|_| RINGWAY.into());
    let count = std::env::var("RINGWAY_RESTARTS").map_or(RESTARTS, |count| {
        count.parse().expect("RINGWAY_RESTARTS is a number")
    });
    let mut scene = Scene::new("restarts", &binary);

    let mut seconds: Vec<f64> = (0..count)
        .map(|_| restart(&mut scene).as_secs_f64())
        .collect();
    seconds.sort_by(f64::total_cmp);
    let at = |percent: usize| seconds[(count * percent).div_ceil(100).max(1) - 1];
    println!(
        "result: {count} restarts: p50 {:.2} s, p90 {:.2} s, longest {:.2} s",
        at(50),
        at(90),
        at(100)
    );
    scene.close();
}

/// Kills the gateway and starts it; the time from its start to the first reply.
fn restart(scene: &mut Scene) -> Duration {
    scene.kill(GATEWAY).expect("it runs");
    let arguments = ["-n", "-D", "-i", "0.01", "10.10.1.11"];
    let pings = Background::start(scene, "orderer0.org0", "pings", "ping", &arguments);

    let start = SystemTime::now();
    scene.start(GATEWAY).expect("it starts");
    pings.wait_for("bytes from");
    let printed = pings.stop(Signal::SIGINT);
    let reply = first_reply(&printed).expect("there is one");

    // The next restart finds the mesh as it is on any day.
    eventually("all tunnels", 15, || {
        PEERS.iter().all(|peer| scene.is_up(peer, GATEWAY))
    });
    let start = start.duration_since(UNIX_EPOCH).expect("a clock of today");
    reply.saturating_sub(start)
}

/// Time of day of the first reply in the output of `ping -D`: `[1764326400.123456] 64 bytes from`.
fn first_reply(printed: &str) -> Option<Duration> {
    let line = printed.lines().find(|line| line.contains("bytes from"))?;
    let (seconds, _) = line.strip_prefix('[')?.split_once(']')?;

    Some(Duration::from_secs_f64(seconds.parse().ok()?))
}
