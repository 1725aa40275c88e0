//! Paths of 1500, 1420 and 1280 bytes that drop what is larger without a word, over IPv4 and IPv6: what hosts see
//! is a correct router.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`). The WAN's router takes less and less, and no
//! ICMP error leaves it. IPv4 to org2 is cut, so that its tunnels run over IPv6:
//!
//! ```text
//!   orderer0.org0 ─ gw.org0 ══ IPv4 outside ══ gw.org1 ─ peer0.org1
//!                          ╚══ IPv6 outside ══ gw.org2 ─ peer0.org2
//! ```

use std::time::Duration;

use ringway_tests::scene::{append, eventually};
use ringway_tests::{Background, Scene};
use serde_json::Value;

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");

const SILENT_WAN: &str = "table inet silence {
    chain from-here { type filter hook output priority 0; policy accept;
        icmp type destination-unreachable drop
        icmpv6 type packet-too-big drop
    }
    chain through { type filter hook forward priority 0; policy accept;
        ip saddr 203.0.113.10 drop
        ip daddr 203.0.113.10 drop
    }
}";

/// Policies name ports; the test sends large UDP to this one.
const UDP: &str = "\n[[policy.allow]]\nfrom = \"all\"\nto = [\"10.10.1.0/24\", \"fd00:10:1::/64\"]\nproto = \"udp\"\nports = 5201\n";

/// A peer of gw.org0: its organization, a host there in both families, and what the outer packet adds.
struct Peer {
    org: &'static str,
    hosts: [&'static str; 2],
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

#[test]
fn a_silent_path_of_any_size_is_a_link_of_that_size() {
    let scene = Scene::new("pathmtu", RINGWAY);
    append(&scene.config("gw.org1"), UDP);
    scene.reload("gw.org1");
    scene.output("wan", "nft", &[SILENT_WAN]);
    // A ping has no other way than IPv6.
    eventually("the tunnel over IPv6", 20, || {
        ping(&scene, ("orderer0.org0", "10.10.2.11"), "dont", 100).contains(" 0% packet loss")
    });
    let servers = servers(&scene);
    behaves_as_a_link(&scene, 1500);
    for mtu in [1420, 1280] {
        set_mtu(&scene, mtu);
        assert!(
            is_black_hole(&scene, mtu),
            "the WAN says nothing of what is too large"
        );
        behaves_as_a_link(&scene, mtu);
    }
    set_mtu(&scene, 1500);
    behaves_as_a_link(&scene, 1500);
    drop(servers);
    survives_a_change_under_traffic(&scene);
    scene.close();
}

fn servers(scene: &Scene) -> [Background; 2] {
    let server = |peer: &Peer| {
        Background::server(
            scene,
            &format!("peer0.{}", peer.org),
            5201,
            "iperf3",
            &["-s"],
        )
    };
    PEERS.each_ref().map(server)
}

fn set_mtu(scene: &Scene, mtu: u16) {
    set_wan_mtu(scene, mtu);
    // Hosts shall ask again instead of remembering.
    for node in ["orderer0.org0", "peer0.org1", "peer0.org2"] {
        for family in ["-4", "-6"] {
            scene.output(node, "ip", &[family, "route", "flush", "cache"]);
        }
    }
}

/// What the WAN's router takes on its way to each gateway.
fn set_wan_mtu(scene: &Scene, mtu: u16) {
    let mtu = mtu.to_string();
    for number in 0..3 {
        let v4 = format!("203.0.113.{}/30", 4 * number);
        let (v6, org) = (format!("2001:db8:0:{number}::/64"), format!("org{number}"));
        scene.output(
            "wan",
            "ip",
            &["route", "replace", &v4, "dev", &org, "mtu", "lock", &mtu],
        );
        let metric = ["metric", "256", "mtu", "lock", &mtu];
        let replace = ["-6", "route", "replace", &v6, "dev", &org];
        scene.output("wan", "ip", &[&replace[..], &metric].concat());
    }
}

/// The positive control: between the gateways' own addresses, a packet of that size passes, one byte more vanishes.
fn is_black_hole(scene: &Scene, mtu: u16) -> bool {
    let sent =
        |len: u16| ping(scene, ("gw.org0", "203.0.113.6"), "do", len).contains(" 0% packet loss");
    sent(mtu) && !sent(mtu + 1)
}

fn behaves_as_a_link(scene: &Scene, mtu: u16) {
    for peer in &PEERS {
        let gateway = format!("gw.{}", peer.org);
        for (here, there) in [("gw.org0", &*gateway), (&gateway, "gw.org0")] {
            eventually(
                &format!("{here} to know of {mtu} bytes to {there}"),
                20,
                || {
                    scene
                        .tunnel(here, there)
                        .is_some_and(|tunnel| tunnel["path_mtu"] == mtu)
                },
            );
        }
        let inner = (mtu - peer.overhead).max(1280);
        for host in peer.hosts {
            pings_fit_or_are_told(scene, host, inner);
        }
        streams_pass(scene, peer);
    }
    datagrams_pass(scene);
}

/// With Don't Fragment: exactly what fits passes, and what does not is answered by the gateway with the size that
/// would. Without: any length passes.
fn pings_fit_or_are_told(scene: &Scene, host: &str, inner: u16) {
    let from = ("orderer0.org0", host);
    // The gateway's routes follow its path MTU a moment later.
    eventually(&format!("{inner} bytes to {host} to fit"), 5, || {
        ping(scene, from, "do", inner).contains(" 0% packet loss")
    });
    let told = ping(scene, from, "do", inner + 1);
    let gateway = if host.contains(':') {
        "fd00:10::1"
    } else {
        "10.10.0.1"
    };
    let from_gateway = told.to_lowercase().contains(&format!("from {gateway}"));
    assert!(
        from_gateway && told.replace(' ', "").contains(&format!("mtu={inner}")),
        "{host}: {told}"
    );
    // IPv6 has no other way than to lose the first answer, until its sender is told too.
    eventually(&format!("4000 bytes to {host} and back"), 5, || {
        ping(scene, from, "dont", 4000).contains(" 0% packet loss")
    });
}

/// One ping of `len` bytes, IP header included; what `ping` said.
fn ping(scene: &Scene, (from, to): (&str, &str), fragmentation: &str, len: u16) -> String {
    let headers = if to.contains(':') { 48 } else { 28 };
    let len = (len - headers).to_string();
    let mut command = scene.command(from, "ping").expect("a machine");
    let output = command
        .args([
            "-n",
            "-c",
            "1",
            "-W",
            "1",
            "-M",
            fragmentation,
            "-s",
            &len,
            to,
        ])
        .output();
    let output = output.expect("ping runs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn streams_pass(scene: &Scene, peer: &Peer) {
    for host in peer.hosts {
        for direction in [None, Some("-R")] {
            let arguments = ["-c", host, "-n", "16M", "--connect-timeout", "3000"];
            let arguments: Vec<_> = arguments.into_iter().chain(direction).collect();
            let report = scene.iperf3("orderer0.org0", &arguments);
            let received = report["end"]["sum_received"]["bytes"].as_u64();
            // The receiver stops counting when the sender has handed over its last byte.
            assert!(
                received.is_some_and(|bytes| bytes >= 3_000_000),
                "{host} {direction:?}: {report}"
            );
        }
    }
}

/// Datagrams that no path carries whole.
fn datagrams_pass(scene: &Scene) {
    for host in PEERS[0].hosts {
        let arguments = ["-c", host, "-u", "-l", "4000", "-b", "3M", "-n", "200K"];
        let report = scene.iperf3("orderer0.org0", &arguments);
        let (lost, sent) = (
            &report["end"]["sum"]["lost_packets"],
            &report["end"]["sum"]["packets"],
        );
        assert!(
            lost == 0 && sent.as_u64().is_some_and(|sent| sent >= 50),
            "{host}: {lost} of {sent} lost"
        );
    }
}

fn survives_a_change_under_traffic(scene: &Scene) {
    // New ones: they listen now, which they do not at once after a client.
    let _servers = servers(scene);
    let label = |host: &str| format!("stream-{}", host.replace([':', '.'], "-"));
    let streams = PEERS.each_ref().map(|peer| {
        let host = peer.hosts[0];
        let arguments = ["-c", host, "-t", "18", "-b", "20M", "-J"];
        Background::start(scene, "orderer0.org0", &label(host), "iperf3", &arguments)
    });
    for mtu in [1280, 1500] {
        set_wan_mtu(scene, mtu);
        for peer in &PEERS {
            eventually(&format!("{mtu} bytes to {}", peer.org), 20, || {
                scene
                    .tunnel("gw.org0", &format!("gw.{}", peer.org))
                    .is_some_and(|tunnel| tunnel["path_mtu"] == mtu)
            });
        }
    }
    for (stream, peer) in streams.into_iter().zip(&PEERS) {
        let (success, said) = stream.finish(Duration::from_secs(40));
        let report = json(&said);
        let intervals = report["intervals"].as_array().expect("intervals");
        let silent = intervals
            .iter()
            .filter(|second| second["sum"]["bytes"] == 0)
            .count();
        println!(
            "{}: {silent} of {} seconds silent",
            peer.org,
            intervals.len()
        );
        assert!(
            success && silent <= 6,
            "{}: {silent} seconds silent",
            peer.org
        );
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}
