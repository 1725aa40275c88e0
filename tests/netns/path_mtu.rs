//! Paths of 1500, 1420 and 1280 bytes that silently drop longer packets, over IPv4 and IPv6. To
//! hosts, the mesh behaves as a correct router.
//!
//! The WAN's router accepts shorter and shorter packets, and no ICMP error leaves it. IPv4 to org2
//! is cut, so that its tunnels run over IPv6:
//!
//! ```text
//!   orderer0.org0 ─ gw.org0 ══ IPv4 outside ══ gw.org1 ─ peer0.org1
//!                          ╚══ IPv6 outside ══ gw.org2 ─ peer0.org2
//! ```

use std::time::Duration;

use anyhow::bail;
use ringway_tests::scene::{append, eventually, eventually_ok};
use ringway_tests::{Background, Scene};
use serde_json::Value;

use crate::{CUT_IPV4_TO_ORG2, RINGWAY};

/// Keeps the WAN's router from reporting that a packet is too long.
const NO_ICMP_ERRORS: &str = "table inet silence {
    chain from-here { type filter hook output priority 0; policy accept;
        icmp type destination-unreachable drop
        icmpv6 type packet-too-big drop
    }
}";

/// Lets the UDP datagrams of the test in; the laboratory's policy has a rule for TCP only.
const ALLOW_UDP: &str = r#"
[[policy.allow]]
from = "all"
to = ["10.10.1.0/24", "fd00:10:1::/64"]
proto = "udp"
ports = 5201
"#;

/// A peer of gw.org0.
struct Peer {
    org: &'static str,
    /// A host there in both families.
    hosts: [&'static str; 2],
    /// Bytes that the outer packet adds.
    overhead: u16,
}

const PEERS: [Peer; 2] = [
    Peer {
        org: "org1",
        hosts: ["10.10.1.11", "fd00:10:1::11"],
        overhead: 60,
    },
    Peer {
        org: "org2",
        hosts: ["10.10.2.11", "fd00:10:2::11"],
        overhead: 80,
    },
];

impl Peer {
    fn gateway(&self) -> String {
        format!("gw.{}", self.org)
    }
}

#[test]
fn a_silent_path_of_any_mtu_is_a_link_of_that_mtu() {
    let scene = silent_scene("pathmtu");
    let _servers = start_servers(&scene);
    assert_is_a_link(&scene, 1500);

    for mtu in [1420, 1280] {
        set_mtu(&scene, mtu);
        assert!(
            is_black_hole(&scene, mtu),
            "the WAN reports what is too long"
        );
        assert_is_a_link(&scene, mtu);
    }

    set_mtu(&scene, 1500);
    assert_is_a_link(&scene, 1500);
    scene.close();
}

#[test]
fn streams_survive_a_change_of_the_paths_mtu() {
    let scene = silent_scene("mtu-change");
    let _servers = start_servers(&scene);
    let streams = PEERS.each_ref().map(|peer| {
        let arguments = ["-c", peer.hosts[0], "-t", "18", "-b", "20M", "-J"];
        let label = format!("stream-{}", peer.org);
        Background::start(&scene, "orderer0.org0", &label, "iperf3", &arguments)
    });

    for mtu in [1280, 1500] {
        set_wan_mtu(&scene, mtu);
        for peer in &PEERS {
            eventually(&format!("{mtu} bytes to {}", peer.org), 20, || {
                path_mtu(&scene, "gw.org0", &peer.gateway()) == u64::from(mtu)
            });
        }
    }

    for (stream, peer) in streams.into_iter().zip(&PEERS) {
        let finished = stream.finish(Duration::from_secs(40));
        let silent = silent_seconds(&finished.printed);
        println!("{}: {silent} seconds silent", peer.org);
        assert!(finished.success, "{}: {}", peer.org, finished.printed);
        assert!(silent <= 6, "{}: {silent} seconds silent", peer.org);
    }
    scene.close();
}

/// A laboratory whose WAN sends no ICMP errors, with tunnels to org2 over IPv6.
fn silent_scene(test: &str) -> Scene {
    let scene = Scene::new(test, RINGWAY);
    append(&scene.config("gw.org1"), ALLOW_UDP);
    scene.reload("gw.org1");
    scene.output("wan", "nft", &[NO_ICMP_ERRORS]);
    scene.output("wan", "nft", &[CUT_IPV4_TO_ORG2]);

    // No ping gets through before the tunnel runs over IPv6.
    eventually("the tunnel over IPv6", 20, || {
        passes(&ping(&scene, "orderer0.org0", "10.10.2.11", "dont", 100))
    });
    scene
}

fn start_servers(scene: &Scene) -> [Background; 2] {
    PEERS.each_ref().map(|peer| {
        let node = format!("peer0.{}", peer.org);
        Background::server(scene, &node, 5201, "iperf3", &["-s"])
    })
}

/// Sets the MTU of the WAN's router, and makes the hosts forget the path MTUs that they know.
fn set_mtu(scene: &Scene, mtu: u16) {
    set_wan_mtu(scene, mtu);
    for node in ["orderer0.org0", "peer0.org1", "peer0.org2"] {
        for family in ["-4", "-6"] {
            scene.output(node, "ip", &[family, "route", "flush", "cache"]);
        }
    }
}

/// Sets the longest packet that the WAN's router takes, and that it forwards to each gateway.
fn set_wan_mtu(scene: &Scene, mtu: u16) {
    // A link whose ends have different MTUs drops what a router would fragment. Batches that the
    // gateways send by segmentation offload have Don't Fragment set, and the routes judge them.
    let narrow = format!(
        "table ip narrow {{}}; delete table ip narrow; table ip narrow {{
            chain in {{ type filter hook prerouting priority -500;
                ip length > {mtu} ip frag-off & 0x4000 == 0 drop
            }}
        }}"
    );
    scene.output("wan", "nft", &[&narrow]);

    let mtu = mtu.to_string();
    for number in 0..3 {
        let org = format!("org{number}");
        let v4 = format!("203.0.113.{}/30", 4 * number);
        let v6 = format!("2001:db8:0:{number}::/64");

        let to_v4 = ["route", "replace", &v4, "dev", &org, "mtu", "lock", &mtu];
        scene.output("wan", "ip", &to_v4);
        // With the metric of the route that the kernel has created, which it replaces.
        let to_v6 = ["-6", "route", "replace", &v6, "dev", &org];
        let metrics = ["metric", "256", "mtu", "lock", &mtu];
        scene.output("wan", "ip", &[&to_v6[..], &metrics].concat());
    }
}

/// The control: between the gateways' addresses, a packet of `mtu` bytes passes, and one that is a
/// byte longer vanishes.
fn is_black_hole(scene: &Scene, mtu: u16) -> bool {
    let sent = |len| passes(&ping(scene, "gw.org0", "203.0.113.6", "do", len));
    sent(mtu) && !sent(mtu + 1)
}

fn assert_is_a_link(scene: &Scene, mtu: u16) {
    for peer in &PEERS {
        let gateway = peer.gateway();
        for (here, there) in [("gw.org0", gateway.as_str()), (&gateway, "gw.org0")] {
            let what = format!("{here} to find a path MTU of {mtu} to {there}");
            eventually(&what, 20, || path_mtu(scene, here, there) == u64::from(mtu));
        }

        // IPv6 requires a link to carry 1280 bytes (RFC 8200, 5): below that, the tunnel fragments.
        let inner = (mtu - peer.overhead).max(1280);
        for host in peer.hosts {
            assert_pings_fit_or_get_an_error(scene, host, inner);
        }
        assert_streams_pass(scene, peer);
    }
    assert_long_datagrams_pass(scene);
}

fn path_mtu(scene: &Scene, gateway: &str, peer: &str) -> u64 {
    scene
        .tunnel(gateway, peer)
        .and_then(|tunnel| tunnel["path_mtu"].as_u64())
        .unwrap_or(0)
}

/// With Don't Fragment, a packet of `inner` bytes passes, and for a longer one the gateway reports
/// the size that would pass. Without it, every length passes.
fn assert_pings_fit_or_get_an_error(scene: &Scene, host: &str, inner: u16) {
    let from = "orderer0.org0";
    // The gateway's routes follow the path MTU with a delay.
    eventually(&format!("{inner} bytes to {host}"), 5, || {
        passes(&ping(scene, from, host, "do", inner))
    });

    let error = ping(scene, from, host, "do", inner + 1).to_lowercase();
    let gateway = if host.contains(':') {
        "from fd00:10::1"
    } else {
        "from 10.10.0.1"
    };
    assert!(error.contains(gateway), "{host}: {error}");
    assert!(
        error.replace(' ', "").contains(&format!("mtu={inner}")),
        "{host}: {error}"
    );

    // In IPv6 only senders fragment, so the reply is lost until its sender has got the error too.
    eventually(&format!("4000 bytes to {host} and back"), 5, || {
        passes(&ping(scene, from, host, "dont", 4000))
    });
}

fn passes(printed: &str) -> bool {
    printed.contains(" 0% packet loss")
}

/// The output of one ping with a packet of `len` bytes, IP header included. `fragmentation` is the
/// argument of `ping -M`.
fn ping(scene: &Scene, from: &str, to: &str, fragmentation: &str, len: u16) -> String {
    let headers = if to.contains(':') { 48 } else { 28 };
    let payload = (len - headers).to_string();
    let once = ["-n", "-c", "1", "-W", "1"];
    let packet = ["-M", fragmentation, "-s", &payload, to];
    scene.output_of_any_exit(from, "ping", &[&once[..], &packet].concat())
}

fn assert_streams_pass(scene: &Scene, peer: &Peer) {
    for host in peer.hosts {
        for reverse in [&[][..], &["-R"]] {
            let arguments = ["-c", host, "-n", "16M", "--connect-timeout", "3000"];
            let report = scene.iperf3("orderer0.org0", &[&arguments[..], reverse].concat());

            // The receiver stops counting when the sender has handed over its last byte, so it has
            // not counted all 16 MB.
            let received = report["end"]["sum_received"]["bytes"].as_u64();
            assert!(received >= Some(3_000_000), "{host} {reverse:?}: {report}");
        }
    }
}

/// Datagrams longer than any of the paths' MTUs.
///
/// An ICMPv6 Packet Too Big fails the next send of its socket: a host that had forgotten the MTU
/// learns it by that failure, and sends fragments that fit from then on.
fn assert_long_datagrams_pass(scene: &Scene) {
    for host in PEERS[0].hosts {
        let arguments = ["-c", host, "-u", "-l", "4000", "-b", "3M", "-n", "200K"];
        let report = eventually_ok("a host that knows the path MTU", 10, || {
            let report = scene.iperf3_of_any_result("orderer0.org0", &arguments);
            match report["error"].as_str() {
                Some(error) if error.contains("Message too long") => bail!("{error}"),
                Some(error) => panic!("datagrams to {host}: {error}"),
                None => Ok(report),
            }
        });

        let sum = &report["end"]["sum"];
        assert_eq!(sum["lost_packets"], 0, "{host}: {sum}");
        assert!(sum["packets"].as_u64() >= Some(50), "{host}: {sum}");
    }
}

/// Seconds of an iperf3 report in which nothing was sent.
fn silent_seconds(report: &str) -> usize {
    let report: Value =
        serde_json::from_str(report).unwrap_or_else(|error| panic!("{error} in {report}"));
    let intervals = report["intervals"]
        .as_array()
        .expect("iperf3 reports intervals");
    intervals
        .iter()
        .filter(|second| second["sum"]["bytes"] == 0)
        .count()
}
