//! The link emulator itself, between real kernels: what it is told is what the gateways' own packets meet.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`), with the link emulator between gw.org0
//! and the WAN. Nothing here goes through a tunnel.

use ringway_tests::{Emulator, Scene};

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");
const EMULATOR: &str = env!("CARGO_BIN_EXE_ringway-emulator");

/// gw.org1, in both families.
const PEER: [&str; 2] = ["203.0.113.6", "2001:db8:0:1::2"];

#[test]
fn the_emulator_delays_drops_and_tells_the_mtu_as_it_is_told() {
    let scene = Scene::new("emulator", RINGWAY);
    let mut emulator = Emulator::before(&scene, "org0", EMULATOR, 3);
    for to in PEER {
        emulator.tell(&["both clear"]);
        assert!(ping(&scene, &[to]).contains("3 received"), "{to}");
        emulator.tell(&["both delay 25ms"]);
        let said = ping(&scene, &[to]);
        assert!(quickest(&said) >= 50.0, "{said}");
        emulator.tell(&["both delay 0ms", "out loss 100%"]);
        assert!(ping(&scene, &[to]).contains(" 0 received"), "{to}");

        emulator.tell(&["both clear", "out mtu 1300"]);
        let said = ping(&scene, &["-M", "do", "-s", "1350", to]).to_lowercase();
        assert!(
            said.contains("mtu = 1300") || said.contains("mtu=1300"),
            "{said}"
        );
    }
    emulator.tell(&["both clear", "both mtu 1290 silent"]);
    // The kernel remembers the MTU that it was told above, and a packet of 1291 bytes is below that.
    let said = ping(&scene, &["-M", "do", "-s", "1263", PEER[0]]);
    assert!(
        said.contains(" 0 received") && !said.contains("mtu"),
        "{said}"
    );
    assert!(
        ping(&scene, &["-M", "dont", "-s", "1350", PEER[0]]).contains("3 received"),
        "routers cut"
    );
    let counts = emulator.counts();
    assert!(counts["out"]["too_big"].as_u64() >= Some(5), "{counts}");
    assert_eq!(
        [
            &counts["out"]["overflow"],
            &counts["shell"]["dropped_before"]
        ],
        [0, 0],
        "{counts}"
    );
    drop(emulator);
    scene.close();
}

/// What three pings from gw.org0 print.
fn ping(scene: &Scene, arguments: &[&str]) -> String {
    let mut ping = scene.command("gw.org0", "ping").expect("a gateway");
    let output = ping
        .args(["-n", "-c", "3", "-i", "0.05", "-W", "1"])
        .args(arguments)
        .output();
    let output = output.expect("ping runs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The least round trip, in milliseconds, of `rtt min/avg/max/mdev = 50.1/…`.
fn quickest(said: &str) -> f64 {
    let least = said
        .split(" = ")
        .nth(1)
        .and_then(|times| times.split('/').next()?.parse().ok());
    least.unwrap_or_else(|| panic!("no round trips in {said}"))
}
