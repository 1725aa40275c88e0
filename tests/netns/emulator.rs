//! The link emulator between real kernels: gateways' packets get what its conditions say.
//!
//! It is installed between gw.org0 and the WAN. Nothing here goes through a tunnel.

use ringway_tests::{Emulator, Scene};

use crate::{EMULATOR, RINGWAY};

/// The addresses of gw.org1.
const PEER: [&str; 2] = ["203.0.113.6", "2001:db8:0:1::2"];

#[test]
fn the_emulator_delays_drops_and_reports_the_mtu() {
    let scene = Scene::new("emulator", RINGWAY);
    let mut emulator = Emulator::install(&scene, "org0", EMULATOR, 3);

    for to in PEER {
        emulator.apply(&["both clear"]);
        assert!(ping(&scene, &[to]).contains("3 received"), "{to}");

        emulator.apply(&["both delay 25ms"]);
        let printed = ping(&scene, &[to]);
        assert!(shortest_round_trip(&printed) >= 50.0, "{printed}");

        emulator.apply(&["both delay 0ms", "out loss 100%"]);
        assert!(ping(&scene, &[to]).contains(" 0 received"), "{to}");

        emulator.apply(&["both clear", "out mtu 1300"]);
        let printed = ping(&scene, &["-M", "do", "-s", "1350", to]).to_lowercase();
        assert!(
            printed.contains("mtu = 1300") || printed.contains("mtu=1300"),
            "{printed}"
        );
    }
    assert_nothing_overflowed(&emulator.counts());
    drop(emulator);
    scene.close();
}

#[test]
fn a_silent_mtu_drops_what_is_too_long_and_fragments_what_may_be_fragmented() {
    let scene = Scene::new("emulator-mtu", RINGWAY);
    let mut emulator = Emulator::install(&scene, "org0", EMULATOR, 3);
    emulator.apply(&["both mtu 1290 silent"]);

    let printed = ping(&scene, &["-M", "do", "-s", "1263", PEER[0]]);
    assert!(printed.contains(" 0 received"), "{printed}");
    assert!(!printed.contains("mtu"), "{printed}");

    let printed = ping(&scene, &["-M", "dont", "-s", "1350", PEER[0]]);
    assert!(printed.contains("3 received"), "{printed}");

    let counts = emulator.counts();
    // The three pings; the gateway's probes for the path MTU may be more.
    assert!(counts["out"]["too_big"].as_u64() >= Some(3), "{counts}");
    assert_nothing_overflowed(&counts);
    drop(emulator);
    scene.close();
}

fn assert_nothing_overflowed(counts: &serde_json::Value) {
    assert_eq!(counts["out"]["overflow"], 0, "{counts}");
    assert_eq!(counts["shell"]["dropped_before"], 0, "{counts}");
}

/// The output of three pings from gw.org0.
fn ping(scene: &Scene, arguments: &[&str]) -> String {
    let common = ["-n", "-c", "3", "-i", "0.05", "-W", "1"];
    scene.output_of_any_exit("gw.org0", "ping", &[&common[..], arguments].concat())
}

/// The minimum in milliseconds of `rtt min/avg/max/mdev = 50.1/…`.
fn shortest_round_trip(printed: &str) -> f64 {
    printed
        .split(" = ")
        .nth(1)
        .and_then(|times| times.split('/').next()?.parse().ok())
        .unwrap_or_else(|| panic!("no round trips in {printed}"))
}
