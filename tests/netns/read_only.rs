//! The kernel's settings are read-only, as in a container without privileges: with the right
//! values the gateway runs, and with wrong ones it says which they are.

use nix::sys::signal::Signal;
use ringway_lab::ping::{Family, Outcome};
use ringway_tests::attention::attention;
use ringway_tests::scene::eventually;
use ringway_tests::{Background, Scene};

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";

#[test]
fn read_only_settings_with_the_right_values_are_no_obstacle() {
    let scene = Scene::new("read-only", RINGWAY);
    scene.stop(GATEWAY);
    scene.sh(
        GATEWAY,
        "echo 1 >/proc/sys/net/ipv4/ip_forward; \
         echo 1 >/proc/sys/net/ipv6/conf/all/forwarding; \
         echo 1 >/proc/sys/net/ipv6/conf/wan0/accept_ra",
    );

    let daemon = start(&scene);
    eventually("the tunnels", 15, || {
        ["gw.org0", "gw.org2"]
            .iter()
            .all(|peer| scene.is_up(GATEWAY, peer))
    });
    for (from, family, to) in [
        ("peer0.org1", Family::V4, "10.10.2.11"),
        ("peer0.org2", Family::V4, "10.10.1.11"),
        ("peer0.org1", Family::V6, "fd00:10:2::11"),
        ("peer0.org2", Family::V6, "fd00:10:1::11"),
    ] {
        assert_eq!(scene.ping(from, to, family), Outcome::Reply, "{to}");
    }
    assert_eq!(attention(&scene, GATEWAY), "[]");
    daemon.stop(Signal::SIGTERM);
    scene.close();
}

#[test]
fn read_only_settings_with_wrong_values_are_named_one_by_one() {
    let scene = Scene::new("read-only-wrong", RINGWAY);
    scene.stop(GATEWAY);
    scene.sh(
        GATEWAY,
        "echo 0 >/proc/sys/net/ipv4/conf/lan0/forwarding; \
         echo 1 >/proc/sys/net/ipv4/conf/default/forwarding; \
         echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
    );

    let daemon = start(&scene);
    daemon.wait_for("net/ipv4/conf/lan0/forwarding");
    let list = attention(&scene, GATEWAY);
    assert!(list.contains("net.ipv4.conf.lan0.forwarding"), "{list}");
    for right in ["ringway0.forwarding", "net.ipv6", "wan0"] {
        assert!(!list.contains(right), "{right} is in {list}");
    }

    // The named setting is all that is missing.
    let blocked = scene.ping("peer0.org1", "10.10.2.11", Family::V4);
    assert_ne!(blocked, Outcome::Reply);
    scene.sh(GATEWAY, "sysctl -qw net.ipv4.conf.lan0.forwarding=1");
    ringway_tests::attention::wait_until_over(&scene, GATEWAY, "lan0");
    assert_eq!(
        scene.ping("peer0.org1", "10.10.2.11", Family::V4),
        Outcome::Reply
    );
    daemon.stop(Signal::SIGTERM);
    scene.close();
}

/// Starts the gateway where `/proc/sys` is read-only.
fn start(scene: &Scene) -> Background {
    let config = scene.config(GATEWAY);
    let script = format!(
        "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; \
         exec {RINGWAY} run -c {}",
        config.display()
    );
    let daemon = Background::start(scene, GATEWAY, "read-only", "bash", &["-ec", &script]);
    daemon.wait_for("Gateway running");
    daemon
}
