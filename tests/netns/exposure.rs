//! The exposure of a mesh to the WAN: one port of each gateway, and nothing readable.
//!
//! The WAN forwards private addresses here, so that a leaked packet would arrive.

use std::net::IpAddr;
use std::time::Duration;

use ringway_lab::ping::{Family, Outcome};
use ringway_tests::scene::eventually;
use ringway_tests::{Background, Capture, Scene};

use crate::{PRIVATE, RINGWAY};

/// Text that no header contains by chance. `ping -p` takes it in hexadecimal.
const MARKER: &str = "Zq7!plain-text?";

/// What may cross the WAN: the tunnel port, ARP, ICMP and ICMPv6. The last part is for MLD, which
/// follows a hop-by-hop header.
const EXPECTED: &str = "udp port 4600 or arp or icmp or icmp6 or (ip6[6] == 0 and ip6[40] == 58)";

#[test]
fn each_gateway_has_one_socket_that_the_wan_can_reach() {
    let scene = Scene::without_wan_filter("sockets", RINGWAY);

    for gateway in ["gw.org0", "gw.org1", "gw.org2"] {
        let sockets = scene.output(gateway, "ss", &["-Hlntu"]);
        let facing: Vec<_> = sockets.lines().filter(|line| faces_the_wan(line)).collect();
        assert!(
            matches!(facing[..], [line] if line.starts_with("udp") && line.contains(":4600")),
            "{sockets}"
        );
        let raw = scene.output(gateway, "ss", &["-Hnw"]);
        assert_eq!(raw, "", "{gateway} has raw sockets");
    }

    // The control: a server that faces the WAN is noticed.
    let _stray = Background::server(&scene, "gw.org1", 9999, "iperf3", &["-s", "-p", "9999"]);
    let sockets = scene.output("gw.org1", "ss", &["-Hlntu"]);
    let facing = sockets.lines().filter(|line| faces_the_wan(line)).count();
    assert_eq!(facing, 2, "{sockets}");
    scene.close();
}

/// True unless the local address (the fifth column of `ss`) is private or loopback.
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
        // `*`: all addresses.
        Err(_) => true,
    }
}

#[test]
fn a_capture_on_the_wan_shows_nothing_but_the_tunnels() {
    let scene = Scene::without_wan_filter("capture", RINGWAY);
    let outside = Capture::start(&scene, "wan", "any");
    let inside = Capture::start(&scene, "gw.org1", "lan0");
    for family in Family::BOTH {
        scene.assert_all_reachable(family);
        ping_with_marker(&scene, family);
    }
    let outside = outside.stop();
    let inside = inside.stop();

    assert!(
        inside.contains(MARKER),
        "the search does not find the marker where it is in the clear"
    );
    assert!(!outside.contains(MARKER), "plaintext on the WAN");
    assert_eq!(outside.matching(&format!("not ({EXPECTED})")), [""; 0]);
    assert_eq!(outside.matching(PRIVATE), [""; 0]);
    assert!(
        !outside.matching("udp port 4600").is_empty(),
        "the capture did not see the tunnels"
    );
    scene.assert_no_leaks();
    scene.close();
}

/// Sends the marker through a tunnel as the payload of a ping.
fn ping_with_marker(scene: &Scene, family: Family) {
    let hex: String = MARKER.bytes().map(|byte| format!("{byte:02x}")).collect();
    let timing = ["-c", "2", "-i", "0.05", "-W", "2"];
    let payload = ["-s", "200", "-p", &hex, family.option(), "peer1.org1"];
    scene.output("orderer0.org0", "ping", &[&timing[..], &payload].concat());
}

/// Sources of another organization, of the receiver's organization, and of no organization: raw
/// packets in IPv4, and in IPv6 from an address that the node has added to its interface.
#[test]
fn a_packet_with_a_foreign_source_is_dropped_and_counted() {
    let scene = Scene::without_wan_filter("spoofed", RINGWAY);
    // The guard stops members' addresses, the data plane those of nobody.
    let stopped =
        || scene.filtered("gw.org1", "spoofed") + scene.filtered("gw.org1", "wrong_source");
    let before = stopped();
    let arrival = Capture::start(&scene, "orderer0.org0", "eth0");
    let leaving = Capture::start(&scene, "gw.org1", "wan0");

    for source in ["10.10.2.11", "198.51.100.7", "10.10.0.12"] {
        send_ten_spoofed_pings(&scene, source);
    }
    send_five_spoofed_pings_over_ipv6(&scene);
    scene.ping_until(
        "peer0.org1",
        "orderer0.org0",
        Family::V4,
        &Outcome::Reply,
        Duration::from_secs(5),
    );

    let arrival = arrival.stop();
    let leaving = leaving.stop();
    for foreign in [
        "src host 10.10.2.11",
        "src host 198.51.100.7",
        "src host 10.10.0.12 and icmp",
        "src host fd00:10:2::99",
    ] {
        assert_eq!(arrival.matching(foreign), [""; 0], "{foreign}");
    }
    assert_eq!(leaving.matching(PRIVATE), [""; 0]);
    assert!(
        !arrival.matching("src host 10.10.1.11").is_empty(),
        "the capture did not see the true source"
    );
    // Thirty of IPv4. Over IPv6 the solicitation of the gateway's link-layer address is dropped
    // already, since it has the same source.
    eventually("every packet to be counted", 5, || stopped() - before > 30);
    scene.close();
}

fn send_ten_spoofed_pings(scene: &Scene, source: &str) {
    let count = ["-c", "10", "--delay", "10ms", "-N"];
    let packet = ["--icmp", "-S", source, "10.10.0.11"];
    scene.output("peer0.org1", "nping", &[&count[..], &packet].concat());
}

fn send_five_spoofed_pings_over_ipv6(scene: &Scene) {
    let add = ["address", "add", "fd00:10:2::99/128", "dev", "eth0"];
    scene.output("peer0.org1", "ip", &[&add[..], &["nodad"]].concat());

    let timing = ["-c", "5", "-i", "0.05", "-W", "0.2"];
    let status = scene
        .command("peer0.org1", "ping")
        .expect("a node")
        .args(timing)
        .args(["-I", "fd00:10:2::99", "fd00:10::11"])
        .output()
        .expect("ping runs")
        .status;
    assert_eq!(status.code(), Some(1), "a ping was answered");
}

/// A machine on the WAN routes a site's prefix through the site's gateway.
#[test]
fn a_stranger_on_the_wan_reaches_nothing_behind_a_gateway() {
    let scene = Scene::without_wan_filter("stranger", RINGWAY);
    let route = ["route", "add", "10.10.1.0/24", "via", "203.0.113.6"];
    scene.output("wan", "ip", &route);
    let inside = Capture::start(&scene, "peer0.org1", "eth0");

    let outcome = scene.ping("wan", "10.10.1.11", Family::V4);
    assert_ne!(outcome, Outcome::Reply);
    let name = "peer0.org1.consortium.example";
    let dig = ["+tries=1", "+time=1", "@10.10.1.1", name, "A"];
    let printed = scene.output_of_any_exit("wan", "dig", &dig);
    assert!(
        !printed.contains("10.10.1.11"),
        "a stranger got a private address: {printed}"
    );

    assert_eq!(inside.stop().matching("net 203.0.113.0/24"), [""; 0]);

    // The control: once the host forwards for all, which is its operator's decision, packets pass.
    let inside = Capture::start(&scene, "peer0.org1", "eth0");
    scene.output("gw.org1", "sysctl", &["-qw", "net.ipv4.ip_forward=1"]);
    scene.ping("wan", "10.10.1.11", Family::V4);
    assert!(!inside.stop().matching("net 203.0.113.0/24").is_empty());
    scene.close();
}

/// Scans all TCP ports, and the UDP ports that services use. All would take too long in UDP: Linux
/// sends at most a thousand ICMP errors a second.
#[test]
fn a_scan_from_the_wan_finds_only_the_tunnel_port() {
    let scene = Scene::without_wan_filter("scan", RINGWAY);
    let no_limit_per_target = "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; \
                               echo 0 >/proc/sys/net/ipv6/icmp/ratelimit";
    scene.output("gw.org1", "sh", &["-c", no_limit_per_target]);

    for target in ["203.0.113.6", "2001:db8:0:1::2"] {
        let tcp = ["-sS", "-p", "1-65535", "--min-rate", "4000"];
        for port in ports_not_closed(&scene, target, &tcp) {
            assert!(port.starts_with("4600/tcp "), "{target}: {port}");
        }
        let udp = ["-sU", "-p", "1-1100,4590-4610", "--max-rate", "500"];
        for port in ports_not_closed(&scene, target, &udp) {
            assert!(port.starts_with("4600/udp "), "{target}: {port}");
        }
    }
    scene.assert_no_leaks();
    scene.close();
}

/// The lines of nmap about ports of `target` that did not refuse. Fails the test unless most ports
/// refused: a host that does not answer at all would prove nothing.
fn ports_not_closed(scene: &Scene, target: &str, scan: &[&str]) -> Vec<String> {
    let family = if target.contains(':') { "-6" } else { "-4" };
    let common = [family, "-Pn", "-n", "-T5", "--max-retries", "3", target];
    let printed = scene.output("wan", "nmap", &[scan, &common].concat());
    assert!(
        printed.contains("Not shown: ") && printed.contains(" closed "),
        "{printed}"
    );

    printed
        .lines()
        .filter(|line| line.contains("/tcp ") || line.contains("/udp "))
        .filter(|line| line.split_whitespace().nth(1) != Some("closed"))
        .map(String::from)
        .collect()
}
