//! A gateway starts with another TUN name, routing table, protocol number or mark than the run
//! before it: nothing of that run is left in the kernel, and nothing leaks on the way.

use std::time::Duration;

use ringway_lab::ping::{Family, Outcome};
use ringway_tests::scene::replace;
use ringway_tests::{Background, Capture, Scene};

use crate::{PRIVATE, RINGWAY};

const GATEWAY: &str = "gw.org1";

/// What changes from one run to the next, and how the run before ends.
const CHANGES: [(End, &[(&str, &str)]); 4] = [
    (End::Terminated, &[("table = 4600", "table = 4700")]),
    (End::Killed, &[("name = \"ringway0\"", "name = \"mesh1\"")]),
    (
        End::Terminated,
        &[
            ("protocol = 146", "protocol = 147"),
            ("mark = 0x00001057", "mark = 0x00002057"),
        ],
    ),
    (
        End::Killed,
        &[
            ("table = 4700", "table = 4800"),
            ("name = \"mesh1\"", "name = \"mesh2\""),
            ("protocol = 147", "protocol = 148"),
        ],
    ),
];

#[derive(Clone, Copy)]
enum End {
    Terminated,
    Killed,
}

#[test]
fn a_start_with_other_names_removes_what_the_previous_run_left_without_a_leak() {
    let mut scene = Scene::without_wan_filter("renumbered", RINGWAY);
    // A host that forwards anyway: what no route of ours holds goes to the WAN.
    scene.sh(
        GATEWAY,
        "echo 1 >/proc/sys/net/ipv4/ip_forward; \
         echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
    );
    let outside = Capture::headers(&scene, GATEWAY, "wan0");
    let pings = ["10.10.2.11", "fd00:10:2::11"].map(|to| ping_steadily(&scene, to));
    let rules = count_rules(&scene);

    for (end, changes) in CHANGES {
        match end {
            End::Terminated => scene.stop(GATEWAY),
            End::Killed => scene.kill(GATEWAY).expect("gw.org1 runs"),
        }
        for (old, new) in changes {
            replace(&scene.config(GATEWAY), old, new);
        }

        scene.start(GATEWAY).expect("gw.org1 starts");
        assert_reachable(&scene);
        assert_eq!(count_rules(&scene), rules, "{changes:?}");
        for (old, _) in changes {
            assert_gone(&scene, old);
        }
    }
    drop(pings);
    assert_eq!(outside.stop().matching(PRIVATE), [""; 0]);

    // The control: without a gateway's traces, the same packets leave.
    scene.stop(GATEWAY);
    let purged = scene.ringway(GATEWAY, &["purge"]).status();
    assert!(purged.is_ok_and(|status| status.success()));
    let outside = Capture::headers(&scene, GATEWAY, "wan0");
    scene.ping("peer0.org1", "10.10.2.11", Family::V4);
    assert!(!outside.stop().matching(PRIVATE).is_empty());
    scene.close();
}

fn ping_steadily(scene: &Scene, to: &str) -> Background {
    let label = format!("pings-{}", to.replace(':', "-"));
    Background::start(
        scene,
        "peer1.org1",
        &label,
        "ping",
        &["-n", "-i", "0.02", to],
    )
}

fn assert_reachable(scene: &Scene) {
    for (from, family, to) in [
        ("peer0.org1", Family::V4, "10.10.2.11"),
        ("peer0.org2", Family::V6, "fd00:10:1::11"),
    ] {
        let limit = Duration::from_secs(15);
        scene.ping_until(from, to, family, &Outcome::Reply, limit);
    }
}

/// The policy rules of both families.
fn count_rules(scene: &Scene) -> usize {
    let rules = scene.sh(GATEWAY, "ip -4 rule; ip -6 rule");
    rules.lines().count()
}

/// Nothing in the kernel has the setting `old` of `gateway.toml`.
fn assert_gone(scene: &Scene, old: &str) {
    let (setting, value) = old.split_once(" = ").expect("a setting");
    // nft writes leading zeros, and ip does not.
    let value = value.trim_matches('"').trim_start_matches("0x0000");
    let list = match setting {
        "table" => {
            "for f in -4 -6; do ip $f route show table V; ip $f rule | grep \"lookup V\"; done"
        }
        "protocol" => {
            "for f in -4 -6; do ip $f route show table all; ip $f rule; done | grep -w \"proto V\""
        }
        "mark" => "{ ip rule; ip -6 rule; nft list ruleset; } | grep -w -e 0xV -e 0x0000V",
        _ => "{ ip -o link; nft list tables; } | grep -w V",
    };

    let list = list.replace('V', value);
    let left = scene.sh(GATEWAY, &format!("{{ {list}; }} 2>/dev/null || true"));
    assert_eq!(left, "", "{old} is left");
}
