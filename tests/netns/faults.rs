//! The devices under a running gateway are taken away: the daemon goes on, its sessions live on, and packets flow
//! again soon.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway::lab`).

use std::time::Duration;

use ringway::lab::ping::{self, Family, Outcome};
use ringway_tests::scene::eventually;
use ringway_tests::{Flow, Scene};
use serde_json::Value;

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");

/// From the fault to the first reply.
const CONTRACT: Duration = Duration::from_secs(2);

/// What happens to the TUN device of gw.org1.
const FAULTS: [&[&str]; 3] = [
    &["link", "set", "ringway0", "down"],
    &["link", "delete", "ringway0"],
    &["link", "set", "ringway0", "carrier", "off"],
];

#[test]
fn a_tun_device_that_is_taken_away_is_back_within_two_seconds() {
    let scene = Scene::new("tun", RINGWAY);
    let (daemon, since) = (scene.process("gw.org1").expect("it was started"), since(&scene));
    let flow = Flow::start(&scene, "peer0.org2", "peer0.org1");
    let routes = routes(&scene);
    for (mended, fault) in (1..).zip(FAULTS) {
        scene.output("gw.org1", "ip", fault);
        reaches_both_ways(&scene, fault);
        eventually("the routes as before", 2, || self::routes(&scene) == routes);
        assert_eq!(scene.status("gw.org1")["tun_mended"], mended, "{fault:?}");
    }
    let denied = || scene.status("gw.org1")["filtered"]["denied"].as_u64().unwrap_or(0);
    let before = denied();
    scene.output("peer0.org2", "bash", &["-c", "echo >/dev/udp/10.10.1.11/9"]);
    eventually("the policy to drop what it does not allow", 5, || denied() > before);
    assert!(daemon.is_alive(), "the daemon goes on");
    assert_eq!(self::since(&scene), since, "the session was never lost");
    assert_eq!(scene.logged("gw.org1").matches("it is up again").count(), FAULTS.len());
    println!("{:?}", flow.stop());
    scene.close();
}

/// In both families.
fn reaches_both_ways(scene: &Scene, fault: &[&str]) {
    for (from, family, to) in [
        ("peer0.org2", Family::V4, "10.10.1.11"),
        ("peer0.org1", Family::V4, "10.10.0.11"),
        ("peer0.org1", Family::V6, "fd00:10:2::11"),
    ] {
        ping::until(scene, (from, to), family, &Outcome::Reply, CONTRACT)
            .unwrap_or_else(|error| panic!("{fault:?}: {error:#}"));
    }
}

/// Those of gw.org1, without the device's number.
fn routes(scene: &Scene) -> [String; 2] {
    ["-4", "-6"].map(|family| scene.output("gw.org1", "ip", &[family, "route", "show", "table", "4600"]))
}

/// When the session between gw.org1 and gw.org2 came up.
fn since(scene: &Scene) -> Value {
    scene.tunnel("gw.org1", "gw.org2").expect("a tunnel")["since"].clone()
}
