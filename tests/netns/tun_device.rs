//! The TUN device of a running gateway is taken away: the daemon goes on, its sessions stay up, and
//! packets flow again soon.

use std::time::Duration;

use anyhow::bail;
use ringway_lab::ping::{Family, Outcome};
use ringway_lab::process::Process;
use ringway_tests::scene::{eventually, eventually_ok};
use ringway_tests::{Flow, Scene};
use serde_json::Value;

use crate::RINGWAY;

/// Limit from the fault to the first reply.
const CONTRACT: Duration = Duration::from_secs(2);

/// A command of `ip` that takes gw.org1's TUN device away, and the reason in the daemon's log.
/// `AWAY` stands for another network namespace.
const FAULTS: [(&str, &str); 5] = [
    ("link set ringway0 down", "set down"),
    ("link delete ringway0", "deleted"),
    ("link set ringway0 carrier off", "set down"),
    ("link set ringway0 name stolen0", "renamed"),
    (
        "link set ringway0 netns AWAY",
        "moved to another network namespace",
    ),
];

#[test]
fn a_tun_device_that_is_taken_away_is_back_within_two_seconds() {
    let scene = Scene::new("tun", RINGWAY);
    let daemon = daemon(&scene);
    let since = scene.up_since("gw.org0", "gw.org1");
    let flow = Flow::start(&scene, "peer0.org2", "peer0.org1");
    let routes_before = settled_routes(&scene);

    for (count, (fault, reason)) in (1..).zip(FAULTS) {
        let logged = scene.logged("gw.org1").len();
        assert!(ip(&scene, fault), "{fault}");
        assert_reachable_both_ways(&scene);
        eventually_ok("the routes as before", 10, || {
            let now = routes(&scene);
            if now != routes_before {
                bail!("{fault}: {routes_before:?} before, {now:?} now");
            }
            Ok(())
        });
        assert_eq!(recreated(&scene), count, "{fault}");
        let log = scene.logged("gw.org1").split_off(logged);
        assert!(
            log.contains(&format!("reason=\"{reason}\"")),
            "{fault}: {log}"
        );
    }

    assert!(daemon.is_alive(), "the daemon has ended");
    assert_eq!(scene.up_since("gw.org0", "gw.org1"), since);
    let left = scene.output("wan", "ip", &["link", "show", "type", "tun"]);
    assert_eq!(left, "", "a device is left in the other namespace");
    println!("{:?}", flow.stop());
    scene.close();
}

#[test]
fn the_policy_holds_after_the_tun_device_was_re_created() {
    let scene = Scene::new("tun-policy", RINGWAY);
    assert!(ip(&scene, "link delete ringway0"));
    assert_reachable_both_ways(&scene);

    let before = scene.filtered("gw.org1", "denied");
    let datagram = "echo >/dev/udp/10.10.1.11/9";
    scene.output("peer0.org2", "bash", &["-c", datagram]);
    eventually("the policy to drop what it does not allow", 5, || {
        scene.filtered("gw.org1", "denied") > before
    });
    scene.close();
}

/// The threads of a re-created device must judge probes by the same clock as those before. With a
/// clock that starts at zero, the new threads drop probes as `echo_limit` for as long as the daemon
/// was up before, and the tunnels are lost again and again.
#[test]
fn tunnels_stay_up_after_the_tun_device_was_re_created() {
    let scene = Scene::new("tun-clock", RINGWAY);
    let peers = ["gw.org0", "gw.org2"];
    let since = || peers.map(|peer| scene.up_since(peer, "gw.org1"));
    let before = since();

    // The longer the daemon runs before the fault, the longer tunnels would be lost after it.
    let flow = Flow::start(&scene, "peer0.org2", "peer0.org1");
    eventually("pings for ten seconds", 20, || {
        flow.replies() > 10 * Flow::RATE
    });
    drop(flow);

    assert!(ip(&scene, "link delete ringway0"));
    assert_reachable_both_ways(&scene);
    let flow = Flow::start(&scene, "peer0.org2", "peer0.org1");
    eventually("pings for ten seconds more", 30, || {
        flow.replies() > 10 * Flow::RATE
    });

    assert_eq!(since(), before, "a tunnel was lost");
    // Probes that have queued up during the outage arrive at once, and some exceed the limit. With
    // the wrong clock every probe of the last ten seconds does, four in a second.
    let dropped = scene.drops("gw.org1", "echo_limit");
    assert!(dropped < 10, "{dropped} probes were dropped");
    flow.assert_none_lost("after the device was re-created");
    scene.close();
}

#[test]
fn a_foreign_device_with_the_name_of_the_tun_device_is_reported_and_survived() {
    let scene = Scene::new("stolen", RINGWAY);
    let daemon = daemon(&scene);

    // The daemon may be faster than the second command. It makes a pause before it tries again, so
    // that one of the attempts succeeds.
    eventually("another device to have the name", 10, || {
        ip(&scene, "link set ringway0 netns AWAY") && ip(&scene, "link add ringway0 type veth")
    });
    eventually("the daemon to report it", 5, || {
        let log = scene.logged("gw.org1");
        log.contains("ringway0 is another interface")
    });

    assert!(ip(&scene, "link delete ringway0"));
    assert_reachable_both_ways(&scene);
    assert!(daemon.is_alive(), "the daemon has ended");
    scene.close();
}

fn daemon(scene: &Scene) -> Process {
    scene
        .process("gw.org1")
        .expect("gw.org1 was started with the laboratory")
}

/// Runs `ip` at gw.org1, with the WAN's namespace for `AWAY`; true if it succeeds.
fn ip(scene: &Scene, arguments: &str) -> bool {
    let away = &scene.node("wan").expect("there is always a WAN").netns;
    let mut ip = scene.command("gw.org1", "ip").expect("a gateway");
    ip.args(arguments.replace("AWAY", away).split(' '))
        .status()
        .is_ok_and(|status| status.success())
}

fn assert_reachable_both_ways(scene: &Scene) {
    for (from, family, to) in [
        ("peer0.org2", Family::V4, "10.10.1.11"),
        ("peer0.org1", Family::V4, "10.10.0.11"),
        ("peer0.org1", Family::V6, "fd00:10:2::11"),
    ] {
        scene.ping_until(from, to, family, &Outcome::Reply, CONTRACT);
    }
}

/// How often gw.org1 has re-created its TUN device.
fn recreated(scene: &Scene) -> u64 {
    scene.status("gw.org1")["tun_recreated"]
        .as_u64()
        .expect("the status counts it")
}

/// The routes of gw.org1 once all are installed with the MTU that was found for their paths.
fn settled_routes(scene: &Scene) -> [String; 2] {
    eventually("all routes to be installed", 10, || {
        let status = scene.status("gw.org1");
        all(&status["routes"], |route| {
            route["org"] == "org1" || route["installed"] == true
        }) && all(&status["tunnels"], |tunnel| tunnel["path_mtu"] == 1500)
    });

    // The kernel's routes follow with a delay.
    eventually("the routes to have the paths' MTU", 5, || {
        routes(scene)
            .iter()
            .flat_map(|routes| routes.lines())
            .filter(|line| line.contains("dev ringway0"))
            .all(|line| line.contains("mtu 1440"))
    });
    routes(scene)
}

fn all(list: &Value, condition: impl Fn(&Value) -> bool) -> bool {
    list.as_array().expect("a list").iter().all(condition)
}

/// The IPv4 and the IPv6 routes of gw.org1.
fn routes(scene: &Scene) -> [String; 2] {
    ["-4", "-6"].map(|family| {
        let show = [family, "route", "show", "table", "4600"];
        scene.output("gw.org1", "ip", &show)
    })
}
