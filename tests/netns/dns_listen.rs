//! An address that the DNS server listens on is missing at the start, comes, goes and comes back,
//! as a virtual address or a late DHCP lease does.

use ringway_lab::ping::{Family, Outcome};
use ringway_tests::attention::{remedy, wait_until_over};
use ringway_tests::scene::{eventually, replace};
use ringway_tests::{Background, Scene};

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";

/// The virtual addresses, with their prefix lengths.
const VIRTUAL: [&str; 2] = ["10.10.1.53/24", "fd00:10:1::53/64"];

#[test]
fn a_dns_address_is_served_whenever_the_host_has_it() {
    let mut scene = Scene::new("dns-listen", RINGWAY);
    scene.stop(GATEWAY);
    let listen = "listen = [\"10.10.1.1\", ";
    let more = "listen = [\"10.10.1.53\", \"fd00:10:1::53\", \"10.10.1.1\", ";
    replace(&scene.config(GATEWAY), listen, more);

    scene.start(GATEWAY).expect("gw.org1 starts");
    scene.wait_until_joined().expect("the tunnels come up");
    assert_eq!(
        scene.ping("peer0.org1", "10.10.2.11", Family::V4),
        Outcome::Reply
    );
    eventually("the address that is there", 5, || {
        is_served(&scene, "10.10.1.1")
    });

    for turn in 0..2 {
        let missing = remedy(&scene, GATEWAY, "address missing dns 10.10.1.53");
        assert!(missing.starts_with("ip address add 10.10.1.53"));
        for address in VIRTUAL {
            let (host, _) = address.split_once('/').expect("a prefix length");
            assert!(!is_served(&scene, host), "{host} is nowhere");
            change_address(&scene, "add", address);
            eventually("the address that has come", 5, || is_served(&scene, host));
            assert!(is_served_over_tcp(&scene, host), "{host}, turn {turn}");
        }
        wait_until_over(&scene, GATEWAY, "address missing");
        for address in VIRTUAL {
            change_address(&scene, "del", address);
        }
    }
    assert!(is_served(&scene, "10.10.1.1"));
    scene.close();
}

#[test]
fn a_gateway_without_any_address_of_its_site_runs_and_serves_when_they_come() {
    let mut scene = Scene::new("dns-late", RINGWAY);
    scene.stop(GATEWAY);
    for address in ["10.10.1.1/24", "fd00:10:1::1/64"] {
        change_address(&scene, "del", address);
    }

    scene.start(GATEWAY).expect("gw.org1 starts");
    eventually("a tunnel", 15, || scene.is_up("gw.org0", GATEWAY));
    for address in ["10.10.1.1/24", "fd00:10:1::1/64"] {
        change_address(&scene, "add", address);
    }
    eventually("the site's hosts to be answered", 5, || {
        is_served(&scene, "10.10.1.1") && is_served(&scene, "fd00:10:1::1")
    });
    for (family, to) in [(Family::V4, "10.10.2.11"), (Family::V6, "fd00:10:2::11")] {
        let limit = std::time::Duration::from_secs(5);
        scene.ping_until("peer0.org1", to, family, &Outcome::Reply, limit);
    }
    scene.close();
}

#[test]
fn a_dns_port_used_by_another_program_is_reported_and_served_once_free() {
    let mut scene = Scene::new("dns-taken", RINGWAY);
    scene.stop(GATEWAY);
    let bound = ["-s", "-B", "10.10.1.1", "-p", "53"];
    let other = Background::server(&scene, GATEWAY, 53, "iperf3", &bound);

    scene.start(GATEWAY).expect("gw.org1 starts");
    eventually("a tunnel", 15, || scene.is_up("gw.org0", GATEWAY));
    let command = remedy(&scene, GATEWAY, "address missing port 10.10.1.1:53");
    assert!(command.starts_with("ss -lntup 'sport = 53'"));
    assert!(!is_served(&scene, "10.10.1.1"));
    drop(other);
    eventually("the address that is free", 5, || {
        is_served(&scene, "10.10.1.1")
    });
    wait_until_over(&scene, GATEWAY, "address missing");
    scene.close();
}

fn change_address(scene: &Scene, verb: &str, address: &str) {
    scene.output(GATEWAY, "ip", &["address", verb, address, "dev", "lan0"]);
}

fn is_served(scene: &Scene, server: &str) -> bool {
    asks(scene, server, "+notcp")
}

fn is_served_over_tcp(scene: &Scene, server: &str) -> bool {
    asks(scene, server, "+tcp")
}

fn asks(scene: &Scene, server: &str, transport: &str) -> bool {
    let server = format!("@{server}");
    let name = "peer1.org1.consortium.example";
    let dig = [&server, transport, "+short", "+tries=1", "+timeout=1", name];
    let printed = scene.output_of_any_exit("peer0.org1", "dig", &dig);
    printed.trim() == "10.10.1.12"
}
