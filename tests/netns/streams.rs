//! Streams on which only the far end sends, through outages: the silent client's gateway forgets
//! everything, or its way is cut.
//!
//! ```text
//!   peer0.org1 (server, 7051) ── gw.org1 ══ wan ══ gw.org0 ── orderer0.org0 (client, silent)
//! ```
//! The WAN forwards private addresses here, so that a leaked packet would arrive.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use ringway_tests::etcd::{Cluster, MEMBERS};
use ringway_tests::scene::eventually_ok;
use ringway_tests::{Capture, Pushed, Scene};

use crate::{PRIVATE, RINGWAY};

pub(crate) const SERVER: &str = "peer0.org1";
pub(crate) const CLIENT: &str = "orderer0.org0";

/// A port of a rule, in each family.
const ADDRESSES: [&str; 2] = ["10.10.1.11:7051", "[fd00:10:1::11]:7050"];

/// Nothing between gw.org0 and the others arrives any more.
const CUT_ORG0: &str = "table inet cut {
    chain through { type filter hook forward priority 0; policy accept;
        ip saddr 203.0.113.2 drop
        ip daddr 203.0.113.2 drop
        ip6 saddr 2001:db8::2 drop
        ip6 daddr 2001:db8::2 drop
    }
}";

fn start(scene: &Scene) -> [Pushed; 2] {
    ADDRESSES.map(|address| {
        let address: SocketAddr = address.parse().expect("an address");
        Pushed::start(scene, SERVER, address, CLIENT)
    })
}

/// Cuts gw.org0 off, silently, or ends the cut.
pub(crate) fn cut(scene: &Scene, is_cut: bool) {
    if is_cut {
        scene.output("wan", "nft", &[CUT_ORG0]);
    } else {
        scene.output("wan", "nft", &["delete", "table", "inet", "cut"]);
    }
}

pub(crate) fn assert_nothing_private(outside: Capture) {
    let outside = outside.stop();
    assert_eq!(outside.matching(PRIVATE), [""; 0]);
    assert!(
        !outside.matching("udp port 4600").is_empty(),
        "the capture did not see the tunnels"
    );
}

/// The client's gateway has forgotten every flow, and the client sends nothing by itself. Grace
/// lets the server's next segment in, and its acknowledgement makes the flow known again.
#[test]
fn a_silent_clients_stream_goes_on_when_its_gateway_is_killed_and_started() {
    let mut scene = Scene::without_wan_filter("push-kill", RINGWAY);
    let outside = Capture::headers(&scene, "wan", "any");
    let streams = start(&scene);

    for gateway in ["gw.org0", "gw.org1"] {
        scene.kill(gateway).expect("it runs");
        scene.start(gateway).expect("it starts");
        for stream in &streams {
            stream.wait_for(10, 20);
        }
    }

    for (stream, address) in streams.iter().zip(ADDRESSES) {
        let seen = stream.seen();
        println!("{address}: longest gap {:.1?}", seen.longest_gap);
        assert_eq!((seen.connections, seen.resets), (1, 0), "{address}");
        assert!(seen.longest_gap < Duration::from_secs(5), "{seen:?}");
    }
    assert_nothing_private(outside);
    scene.close();
}

/// A cut shorter than `reset-after` ends nothing.
#[test]
fn a_silent_clients_stream_outlasts_a_short_cut() {
    let scene = Scene::without_wan_filter("push-cut", RINGWAY);
    let outside = Capture::headers(&scene, "wan", "any");
    let streams = start(&scene);

    cut(&scene, true);
    streams[0].wait_for_silence(Duration::from_secs(3), 10);
    cut(&scene, false);
    for stream in &streams {
        stream.wait_for(10, 20);
        let seen = stream.seen();
        println!("longest gap {:.1?}", seen.longest_gap);
        assert_eq!((seen.connections, seen.resets), (1, 0), "{seen:?}");
    }
    assert_nothing_private(outside);
    scene.close();
}

/// The control of the captures: a private packet on the WAN is seen.
#[test]
fn a_private_packet_on_the_wan_is_seen() {
    let scene = Scene::without_wan_filter("push-control", RINGWAY);
    let outside = Capture::headers(&scene, "wan", "any");
    let ping = ["-c", "1", "-W", "1", "-I", "10.10.9.9", "203.0.113.6"];
    scene.output("wan", "ip", &["addr", "add", "10.10.9.9/32", "dev", "lo"]);
    scene.output_of_any_exit("wan", "ping", &ping);
    assert!(!outside.stop().matching(PRIVATE).is_empty());
    scene.close();
}

/// A cluster loses a gateway by `kill -9`, and then a way by a silent cut: it goes on, and the
/// member behind it catches up.
#[test]
fn a_cluster_outlasts_a_killed_gateway_and_a_silent_cut() {
    let mut scene = Scene::without_wan_filter("push-etcd", RINGWAY);
    let outside = Capture::headers(&scene, "wan", "any");
    let cluster = Cluster::start(&scene, MEMBERS);
    let put =
        |scene: &Scene, member: &str, key: &str| cluster.ctl(scene, member, &["put", key, "x"]);
    eventually_ok("a write by every member", 40, || {
        for member in MEMBERS {
            put(&scene, member, "begin")?;
        }
        Ok(())
    });

    scene.kill("gw.org0").expect("it runs");
    eventually_ok("a write by the others", 30, || {
        put(&scene, MEMBERS[1], "killed")
    });
    scene.start("gw.org0").expect("it starts");
    eventually_ok("the member behind it to catch up", 20, || {
        let value = cluster.stored_by(&scene, MEMBERS[0], "killed")?;
        ensure!(value.trim() == "x", "it holds {value:?}");
        Ok(())
    });

    cut(&scene, true);
    eventually_ok("a write by the others", 30, || {
        put(&scene, MEMBERS[2], "cut")
    });
    cut(&scene, false);
    eventually_ok("a write through the member that was cut off", 30, || {
        put(&scene, MEMBERS[0], "end")
    });
    let value = cluster.stored_by(&scene, MEMBERS[0], "cut");
    assert_eq!(value.expect("it answers").trim(), "x");
    assert_nothing_private(outside);
    scene.close();
}
