//! The policy when it changes under running connections, and when another program on the gateway's
//! host flushes nftables.
//!
//! The WAN forwards private addresses here, so that what the gateways let through would arrive.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ringway_tests::scene::replace;
use ringway_tests::{Background, Capture, Pushed, Scene, inside};

use crate::{PRIVATE, RINGWAY};

const SERVER: &str = "peer0.org1";
const SERVER_V4: &str = "10.10.1.11";
const CLIENT: &str = "orderer0.org0";

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

fn connects(scene: &Scene, from: &str, address: &str, port: u16) -> bool {
    let address = SocketAddr::new(address.parse().expect("an address"), port);
    inside::run(scene, from, move || {
        TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
    })
}
