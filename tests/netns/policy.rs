//! The policy under attack: from another way than the tunnel, from another member, from other
//! programs on the gateway's host, and changed while connections run.
//!
//! The WAN forwards private addresses here, so that what the gateways let through would arrive.

use std::fs;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};
use ringway_lab::ping::{Family, Outcome};
use ringway_tests::inside::connects;
use ringway_tests::scene::{eventually, replace};
use ringway_tests::{Background, Capture, Pushed, Scene, inside};

use crate::{PRIVATE, RINGWAY};

const SERVER: &str = "peer0.org1";
const SERVER_V4: &str = "10.10.1.11";
const CLIENT: &str = "orderer0.org0";
/// A host of a third organization.
const THIRD: &str = "peer0.org2";

/// No rule allows it.
const DENIED: u16 = 2222;
/// A rule for Fabric allows it.
const ALLOWED: u16 = 7051;

#[test]
fn a_narrowed_and_an_emptied_policy_cut_running_streams_at_once() {
    let scene = Scene::without_wan_filter("narrowed", RINGWAY);
    let outside = Capture::headers(&scene, "wan", "any");
    let address = SocketAddr::from(([10, 10, 1, 11], 8080));
    let stream = Pushed::start(&scene, SERVER, address, CLIENT);
    let config = scene.config("gw.org1");
    let full = fs::read_to_string(&config).expect("the file is there");

    replace(&config, "ports = [5201, 8080]", "ports = 5201");
    assert_reload_cuts(&scene, &stream);
    let emptied: Vec<_> = full
        .split("\n\n")
        .filter(|paragraph| !paragraph.contains("[[policy.allow]]"))
        .collect();

    fs::write(&config, &full).expect("the file is writable");
    scene.reload("gw.org1");
    stream.wait_for(5, 15);
    fs::write(&config, emptied.join("\n\n")).expect("the file is writable");
    assert_reload_cuts(&scene, &stream);

    fs::write(&config, &full).expect("the file is writable");
    scene.reload("gw.org1");
    stream.wait_for(5, 30);
    assert_eq!(outside.stop().matching(PRIVATE), [""; 0]);
    scene.close();
}

/// What the client acknowledges no longer reaches the server, so the stream stands still.
fn assert_reload_cuts(scene: &Scene, stream: &Pushed) {
    scene.reload("gw.org1");
    stream.wait_for_silence(Duration::from_secs(1), 15);

    // Long enough for the server to repeat a segment, and the client to answer it.
    let at_client = Capture::headers(scene, CLIENT, "eth0");
    let at_server = Capture::headers(scene, SERVER, "eth0");
    stream.wait_for_silence(Duration::from_secs(8), 15);
    let from_client = "src host 10.10.0.11 and tcp port 8080";
    assert_eq!(at_server.stop().matching(from_client), [""; 0]);
    assert!(
        !at_client.stop().matching(from_client).is_empty(),
        "the control"
    );
}

#[test]
fn flushing_the_ruleset_opens_no_denied_port() {
    let scene = Scene::without_wan_filter("flushed", RINGWAY);
    let port = DENIED.to_string();
    let _denied = Background::server(&scene, SERVER, DENIED, "iperf3", &["-s", "-p", &port]);
    let _gateway = Background::server(&scene, "gw.org1", DENIED, "iperf3", &["-s", "-p", &port]);
    let port = ALLOWED.to_string();
    let _allowed = Background::server(&scene, SERVER, ALLOWED, "iperf3", &["-s", "-p", &port]);
    assert!(
        connects(&scene, "peer1.org1", SERVER_V4, DENIED),
        "the control"
    );
    assert!(
        connects(&scene, "peer1.org1", "10.10.1.1", DENIED),
        "the control"
    );

    for _ in 0..3 {
        scene.output("gw.org1", "nft", &["flush", "ruleset"]);
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            assert!(!connects(&scene, CLIENT, SERVER_V4, DENIED));
            assert!(!connects(&scene, CLIENT, "10.10.1.1", DENIED));
        }
        assert!(connects(&scene, CLIENT, SERVER_V4, ALLOWED));
    }
    scene.close();
}

/// The SYN reaches the server by another way: here a neighbour on its own network writes it. What
/// follows goes through the tunnels.
#[test]
fn a_syn_by_another_way_and_the_rest_through_the_tunnel_reach_nothing() {
    let scene = Scene::without_wan_filter("wan-syn", RINGWAY);
    let mut servers = Vec::new();
    for port in [DENIED, ALLOWED] {
        let text = port.to_string();
        let arguments = ["-s", "-p", &text];
        servers.push(Background::server(
            &scene, SERVER, port, "iperf3", &arguments,
        ));
    }
    scene.ping_until(
        CLIENT,
        SERVER_V4,
        Family::V4,
        &Outcome::Reply,
        Duration::from_secs(5),
    );
    let at_client = Capture::headers(&scene, CLIENT, "eth0");
    let at_server = Capture::headers(&scene, SERVER, "eth0");

    forge(&scene, "peer1.org1", "syn", DENIED);
    forge(&scene, CLIENT, "ack", DENIED);
    assert_eq!(dropped(&scene, "gw.org0"), 0, "an answer crossed the WAN");

    // The control. The client has opened nothing, so its gateway drops the answer that comes.
    forge(&scene, "peer1.org1", "syn", ALLOWED);
    forge(&scene, CLIENT, "ack", ALLOWED);
    eventually("the answer to cross the WAN", 5, || {
        dropped(&scene, "gw.org0") > 0
    });
    // By the WAN itself, to a host behind a gateway that routes there.
    scene.output(
        "wan",
        "ip",
        &["route", "add", "10.10.1.0/24", "via", "203.0.113.6"],
    );
    forge(&scene, "wan", "syn", 9);

    let at_client = at_client.stop();
    let at_server = at_server.stop();
    let synack = |port: u16| format!("src port {port} and tcp[13] & 0x12 == 0x12");
    let ack = |port: u16| format!("dst port {port} and tcp[13] & 0x12 == 0x10");
    assert!(
        !at_server.matching(&synack(DENIED)).is_empty(),
        "the server answers"
    );
    assert_eq!(at_client.matching(&synack(DENIED)), [""; 0]);
    assert_eq!(at_server.matching(&ack(DENIED)), [""; 0]);
    assert!(!at_server.matching(&ack(ALLOWED)).is_empty(), "the control");
    assert_eq!(at_server.matching("dst port 9"), [""; 0], "through the WAN");
    scene.close();
}

/// Packets from the tunnels that the filter of `gateway` has dropped.
fn dropped(scene: &Scene, gateway: &str) -> u64 {
    scene.status(gateway)["policy"]["drops"]
        .as_object()
        .into_iter()
        .flat_map(|drops| drops.values())
        .filter_map(|count| count.as_u64())
        .sum()
}

/// Sends three segments from the client's address to the server.
fn forge(scene: &Scene, node: &str, flags: &str, port: u16) {
    let port = port.to_string();
    let count = ["-c", "3", "--delay", "50ms", "-N", "--source-port", "45000"];
    let source = if node == CLIENT {
        vec![]
    } else {
        vec!["-S", "10.10.0.11"]
    };
    let segment = [
        "--tcp", "--flags", flags, "--seq", "1000", "-p", &port, SERVER_V4,
    ];
    let arguments = [&count[..], &source, &segment].concat();
    // nping waits for answers that go elsewhere; its exit code says nothing.
    scene.output_of_any_exit(node, "nping", &arguments);
}

/// An error about a reply of the server's kernel to a ping: no socket is needed to believe it.
#[test]
fn only_the_site_that_a_packet_went_to_may_send_errors_about_it() {
    let scene = Scene::without_wan_filter("forged-icmp", RINGWAY);
    for from in [CLIENT, THIRD] {
        scene.ping_until(
            from,
            SERVER_V4,
            Family::V4,
            &Outcome::Reply,
            Duration::from_secs(5),
        );
    }
    let arriving = Capture::headers(&scene, SERVER, "eth0");

    for _ in 0..5 {
        send_fragmentation_needed(&scene, THIRD);
    }
    scene.ping_until(
        THIRD,
        SERVER_V4,
        Family::V4,
        &Outcome::Reply,
        Duration::from_secs(5),
    );
    assert!(
        !path_mtu(&scene).contains("mtu 600"),
        "{}",
        path_mtu(&scene)
    );

    // The control: from a host of the site that the reply went to.
    eventually("the true site's error to be believed", 10, || {
        send_fragmentation_needed(&scene, CLIENT);
        path_mtu(&scene).contains("mtu 600")
    });
    let arriving = arriving.stop();
    let error = |from: &str| format!("src host {from} and icmp[0] == 3");
    assert_eq!(arriving.matching(&error("10.10.2.11")), [""; 0]);
    assert!(!arriving.matching(&error("10.10.0.11")).is_empty());
    scene.close();
}

/// What the server knows about the path to the client.
fn path_mtu(scene: &Scene) -> String {
    scene.output(SERVER, "ip", &["route", "get", "10.10.0.11"])
}

/// Sends "fragmentation needed, MTU 600" about an echo reply of the server to the client.
fn send_fragmentation_needed(scene: &Scene, from: &str) {
    let mut message = vec![3, 4, 0, 0, 0, 0, 0x02, 0x58];
    message.extend([0x45, 0, 5, 0, 0, 1, 0x40, 0, 64, 1, 0, 0]);
    message.extend([10, 10, 1, 11, 10, 10, 0, 11]);
    message.extend([0, 0, 0xff, 0xff, 0, 0, 0, 0]);
    let sum = checksum(&message[8..28]);
    message[18..20].copy_from_slice(&sum.to_be_bytes());
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());

    inside::run(scene, from, move || {
        let raw = socket(
            AddressFamily::Inet,
            SockType::Raw,
            SockFlag::empty(),
            SockProtocol::Icmp,
        )
        .expect("root may have a raw socket");
        let to: SocketAddrV4 = format!("{SERVER_V4}:0").parse().expect("an address");
        sendto(
            raw.as_raw_fd(),
            &message,
            &SockaddrIn::from(to),
            MsgFlags::empty(),
        )
        .expect("the host has a route");
    });
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A question for peer0.org1.consortium.example, type A, in hexadecimal.
const QUESTION: &str = "000101000001000000000000057065657230\
                        046f7267310a636f6e736f727469756d076578616d706c650000010001";

#[test]
fn dns_over_the_wan_with_a_sites_source_gets_no_answer() {
    let scene = Scene::without_wan_filter("wan-dns", RINGWAY);
    scene.output(
        "wan",
        "ip",
        &["route", "add", "10.10.1.0/24", "via", "203.0.113.6"],
    );
    let at_host = Capture::headers(&scene, SERVER, "eth0");
    let at_other = Capture::headers(&scene, CLIENT, "eth0");

    for source in [SERVER_V4, "10.10.0.11"] {
        for server in ["10.10.1.1", "203.0.113.6"] {
            let question = ["--udp", "-p", "53", "-g", "5353", "--data", QUESTION];
            let count = ["-c", "3", "--delay", "50ms", "-N", "-S", source, server];
            scene.output_of_any_exit("wan", "nping", &[&question[..], &count].concat());
        }
    }
    let own = [
        "--udp",
        "-p",
        "53",
        "-g",
        "5354",
        "--data",
        QUESTION,
        "-c",
        "1",
        "-N",
        "10.10.1.1",
    ];
    scene.output_of_any_exit(SERVER, "nping", &own);

    let at_host = at_host.stop();
    let at_other = at_other.stop();
    assert_eq!(at_host.matching("src port 53 and dst port 5353"), [""; 0]);
    assert_eq!(at_other.matching("src port 53 and dst port 5353"), [""; 0]);
    let control = at_host.matching("src port 53 and dst port 5354");
    assert!(!control.is_empty(), "a host of the site gets an answer");
    scene.close();
}
