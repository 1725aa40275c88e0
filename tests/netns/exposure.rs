//! What the WAN sees of a mesh: one port per gateway, and nothing readable.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`), with a WAN that lets private
//! addresses through, so that a leak would arrive.

use std::net::IpAddr;
use std::time::Duration;

use ringway_lab::ping::{self, Family, Outcome};
use ringway_lab::wan;
use ringway_tests::{Background, Capture, Scene};

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");

/// A word that no header holds by chance; `ping -p` takes it in hexadecimal.
const MARKER: &str = "Zq7!plain-text?";

/// All that may cross the WAN: the tunnel port, ARP, ICMP and ICMPv6 (neighbour discovery, and MLD, which
/// stands behind a hop-by-hop header).
const EXPECTED: &str = "udp port 4600 or arp or icmp or icmp6 or (ip6[6] == 0 and ip6[40] == 58)";
const PRIVATE: &str =
    "net 10.0.0.0/8 or net 172.16.0.0/12 or net 192.168.0.0/16 or ip6 net fc00::/7";

#[test]
fn only_the_tunnel_port_meets_the_wan_and_nothing_on_it_is_readable() {
    let scene = Scene::without_wan_filter("exposure", RINGWAY);
    one_socket_faces_the_wan(&scene);
    a_capture_shows_only_the_tunnel(&scene);
    a_foreign_source_goes_nowhere_and_is_counted(&scene);
    a_scan_finds_nothing_else(&scene);
    assert_eq!(
        wan::leaks(scene.node("wan").expect("the WAN")).expect("counters"),
        wan::Leaks::default()
    );
    a_stranger_reaches_nothing_behind_a_gateway(&scene);
    scene.close();
}

fn one_socket_faces_the_wan(scene: &Scene) {
    for gateway in ["gw.org0", "gw.org1", "gw.org2"] {
        let sockets = scene.output(gateway, "ss", &["-Hlntu"]);
        let facing: Vec<_> = sockets.lines().filter(|line| faces_the_wan(line)).collect();
        assert!(
            matches!(facing[..], [line] if line.starts_with("udp") && line.contains(":4600")),
            "{sockets}"
        );
        let raw = scene.output(gateway, "ss", &["-Hnw"]);
        assert_eq!(raw, "", "raw sockets");
    }
}

/// True unless the local address (the fifth column) is private or loopback.
fn faces_the_wan(line: &str) -> bool {
    let local = line.split_whitespace().nth(4).unwrap_or_default();
    let host = local.rsplit_once(':').map_or(local, |(host, _)| host);
    let host = host
        .trim_matches(['[', ']'])
        .split('%')
        .next()
        .unwrap_or_default();
    match host.parse() {
        Ok(IpAddr::V4(address)) => !address.is_private() && !address.is_loopback(),
        Ok(IpAddr::V6(address)) => !address.is_unique_local() && !address.is_loopback(),
        Err(_) => true,
    }
}

fn a_capture_shows_only_the_tunnel(scene: &Scene) {
    let outside = Capture::start(scene, "wan", "any");
    let inside = Capture::start(scene, "gw.org1", "lan0");
    for family in Family::BOTH {
        let failed = ping::all_pairs(scene, family).expect("ping runs").failed;
        assert!(failed.is_empty(), "{family:?}: {failed:#?}");
        speak_plainly(scene, family);
    }
    let (outside, inside) = (outside.stop(), inside.stop());
    assert!(
        inside.contains(MARKER),
        "the search finds the marker where it is in the clear"
    );
    assert!(!outside.contains(MARKER), "plaintext on the WAN");
    assert_eq!(outside.matching(&format!("not ({EXPECTED})")), [""; 0]);
    assert_eq!(outside.matching(PRIVATE), [""; 0]);
    assert!(
        !outside.matching("udp port 4600").is_empty(),
        "the capture saw the tunnels"
    );
}

/// Sends the marker through a tunnel in a ping's payload.
fn speak_plainly(scene: &Scene, family: Family) {
    let hex: String = MARKER.bytes().map(|byte| format!("{byte:02x}")).collect();
    let arguments = [
        family.option(),
        "-c",
        "2",
        "-i",
        "0.05",
        "-W",
        "2",
        "-s",
        "200",
        "-p",
        &hex,
        "peer1.org1",
    ];
    scene.output("orderer0.org0", "ping", &arguments);
}

/// Packets whose source is another organization's, a neighbour organization's own, or nobody's: raw ones in IPv4,
/// and in IPv6 from an address that the node has given itself.
fn a_foreign_source_goes_nowhere_and_is_counted(scene: &Scene) {
    let before = filtered(scene, "gw.org1", "wrong-source");
    let arrival = Capture::start(scene, "orderer0.org0", "eth0");
    let leaving = Capture::start(scene, "gw.org1", "wan0");
    for source in ["10.10.2.11", "198.51.100.7", "10.10.0.12"] {
        scene.output(
            "peer0.org1",
            "nping",
            &[
                "--icmp",
                "-S",
                source,
                "-c",
                "10",
                "--delay",
                "10ms",
                "-N",
                "10.10.0.11",
            ],
        );
    }
    scene.output(
        "peer0.org1",
        "ip",
        &[
            "address",
            "add",
            "fd00:10:2::99/128",
            "dev",
            "eth0",
            "nodad",
        ],
    );
    let ping = [
        "-c",
        "5",
        "-i",
        "0.05",
        "-W",
        "0.2",
        "-I",
        "fd00:10:2::99",
        "fd00:10::11",
    ];
    let unanswered = scene
        .command("peer0.org1", "ping")
        .expect("a node")
        .args(ping)
        .output();
    assert!(unanswered.is_ok_and(|output| output.status.code() == Some(1)));
    ping::until(
        scene,
        "peer0.org1",
        "orderer0.org0",
        Family::V4,
        &Outcome::Reply,
        Duration::from_secs(5),
    )
    .expect("the true source passes");

    let (arrival, leaving) = (arrival.stop(), leaving.stop());
    let foreign = "src host 10.10.2.11 or src host 198.51.100.7 or src host fd00:10:2::99 or (src host 10.10.0.12 and icmp)";
    assert_eq!(arrival.matching(foreign), [""; 0]);
    assert_eq!(leaving.matching(PRIVATE), [""; 0]);
    assert!(
        !arrival.matching("src host 10.10.1.11").is_empty(),
        "the capture saw the true source"
    );
    assert_eq!(
        filtered(scene, "gw.org1", "wrong-source") - before,
        35,
        "each is counted: {}",
        scene.status("gw.org1")
    );
}

/// A neighbour on the WAN routes a site's range through its gateway.
fn a_stranger_reaches_nothing_behind_a_gateway(scene: &Scene) {
    scene.output(
        "wan",
        "ip",
        &["route", "add", "10.10.1.0/24", "via", "203.0.113.6"],
    );
    let inside = Capture::start(scene, "peer0.org1", "eth0");
    let before = filtered(scene, "gw.org1", "transit");
    assert_ne!(
        ping::once(scene, "wan", "10.10.1.11", Family::V4).expect("ping runs"),
        Outcome::Reply
    );
    let question = [
        "+tries=1",
        "+time=1",
        "@10.10.1.1",
        "peer0.org1.consortium.example",
        "A",
    ];
    let dig = scene
        .command("wan", "dig")
        .expect("the WAN")
        .args(question)
        .output()
        .expect("dig runs");
    let said = String::from_utf8_lossy(&dig.stdout);
    assert!(
        !said.contains("10.10.1.11"),
        "a stranger was told a private address: {said}"
    );
    assert_eq!(inside.stop().matching("net 203.0.113.0/24"), [""; 0]);
    assert!(
        filtered(scene, "gw.org1", "transit") > before,
        "it was the gateway that stopped it"
    );
}

/// How many packets the firewall of `gateway` has dropped for `reason`.
fn filtered(scene: &Scene, gateway: &str, reason: &str) -> u64 {
    scene.status(gateway)["filtered"][reason]
        .as_u64()
        .unwrap_or(0)
}

/// The whole TCP range, and of UDP what services use (Linux answers a thousand probes a second, no more).
fn a_scan_finds_nothing_else(scene: &Scene) {
    let per_target =
        "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit";
    scene.output("gw.org1", "sh", &["-c", per_target]);
    for target in ["203.0.113.6", "2001:db8:0:1::2"] {
        let tcp = scan(
            scene,
            target,
            &["-sS", "-p", "1-65535", "--min-rate", "4000"],
        );
        assert!(
            tcp.iter().all(|(port, _)| port == "4600/tcp"),
            "{target}: {tcp:?}"
        );
        let udp = scan(
            scene,
            target,
            &["-sU", "-p", "1-1100,4590-4610", "--max-rate", "500"],
        );
        assert!(
            udp.iter().all(|(port, _)| port == "4600/udp"),
            "{target}: {udp:?}"
        );
    }
}

/// The ports of `target` that did not refuse, with their state. Most must have refused: a host that does not
/// answer at all would prove nothing.
fn scan(scene: &Scene, target: &str, what: &[&str]) -> Vec<(String, String)> {
    let family = if target.contains(':') { "-6" } else { "-4" };
    let common = [family, "-Pn", "-n", "-T5", "--max-retries", "3", target];
    let found = scene.output("wan", "nmap", &[what, &common].concat());
    assert!(
        found.contains("Not shown: ") && found.contains(" closed "),
        "{found}"
    );
    let ports = found
        .lines()
        .filter(|line| line.contains("/tcp ") || line.contains("/udp "));
    let states =
        ports.filter_map(|line| line.split_once(' ').map(|(port, rest)| (port, rest.trim())));
    states
        .filter(|(_, rest)| !rest.starts_with("closed"))
        .map(|(port, rest)| (port.into(), rest.into()))
        .collect()
}

#[test]
fn a_server_that_faces_the_wan_would_be_noticed() {
    let scene = Scene::without_wan_filter("control", RINGWAY);
    let _stray = Background::server(&scene, "gw.org1", 9999, "iperf3", &["-s", "-p", "9999"]);
    let sockets = scene.output("gw.org1", "ss", &["-Hlntu"]);
    assert_eq!(
        sockets.lines().filter(|line| faces_the_wan(line)).count(),
        2,
        "{sockets}"
    );
    scene.close();
}
