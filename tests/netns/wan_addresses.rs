//! The addresses and interfaces that a gateway uses on the WAN change while it runs.
//!
//! IPv4 to org2 is cut, so that one tunnel of gw.org0 runs over IPv4 and the other over IPv6.

use std::time::Duration;

use ringway_lab::ping::{Family, Outcome};
use ringway_tests::scene::eventually;
use ringway_tests::{Flow, Scene};

use crate::{CUT_IPV4_TO_ORG2, RINGWAY};

/// Limit from the change to the first reply.
const CONTRACT: Duration = Duration::from_secs(2);

/// Longer than QUIC keeps a connection on which nothing arrives, in seconds.
const QUIC_IDLE: usize = 12;

/// A gateway's address on the WAN.
struct WanAddress {
    gateway: &'static str,
    /// With its prefix length.
    address: &'static str,
    /// The router's address.
    router: &'static str,
}

const V4: WanAddress = WanAddress {
    gateway: "gw.org1",
    address: "203.0.113.6/30",
    router: "203.0.113.5",
};
const V6: WanAddress = WanAddress {
    gateway: "gw.org2",
    address: "2001:db8:0:2::2/64",
    router: "2001:db8:0:2::1",
};

/// The addresses after the change. The first is outside its link's prefix.
const NEW_V4: WanAddress = WanAddress {
    address: "203.0.113.130/32",
    ..V4
};
const NEW_V6: WanAddress = WanAddress {
    address: "2001:db8:0:2::99/64",
    ..V6
};

/// gw.org0 has dialled both, and QUIC follows a change of the dialler's address only (RFC 9000, 9).
#[test]
fn tunnels_survive_a_change_of_the_dialled_gateways_addresses() {
    let scene = scene_with_ipv6_to_org2("wan-change");
    let since = || [V4, V6].map(|wan| scene.up_since("gw.org0", wan.gateway));
    let before = since();
    let flows = ["peer0.org1", "peer0.org2"].map(|to| Flow::start(&scene, "orderer0.org0", to));

    let route = ["route", "add", NEW_V4.address, "dev", "org1"];
    scene.output("wan", "ip", &route);
    for (old, new) in [(&V4, &NEW_V4), (&V6, &NEW_V6)] {
        change_address(&scene, old, new);
    }
    for to in ["10.10.1.11", "10.10.2.11"] {
        scene.ping_until("orderer0.org0", to, Family::V4, &Outcome::Reply, CONTRACT);
    }

    // Until the QUIC connections to the old addresses have timed out and were replaced.
    let replies = flows.each_ref().map(Flow::replies);
    eventually("pings for twelve seconds", 36, || {
        flows
            .iter()
            .zip(replies)
            .all(|(flow, before)| flow.replies() > before + QUIC_IDLE * Flow::RATE)
    });
    assert_eq!(since(), before, "a tunnel was lost");
    for flow in flows {
        let tally = flow.stop();
        println!("{tally:?}");
        let allowed = CONTRACT.as_secs() as usize * Flow::RATE;
        assert!(tally.lost <= allowed, "{tally:?}");
    }
    scene.close();
}

#[test]
fn an_interface_that_comes_back_is_used_again() {
    let scene = scene_with_ipv6_to_org2("wan-down");
    for wan in [V4, V6] {
        let gateway = wan.gateway;
        scene.output(gateway, "ip", &["link", "set", "wan0", "down"]);
        eventually("the tunnel to be lost", 5, || {
            !scene.is_up("gw.org0", gateway)
        });

        // An interface that is set down loses its IPv6 addresses.
        scene.output(gateway, "ip", &["link", "set", "wan0", "up"]);
        let restore = ["address", "replace", wan.address, "dev", "wan0"];
        scene.output(gateway, "ip", &restore);
        send_from(&scene, &wan);

        let from = format!("peer0.{}", gateway.trim_start_matches("gw."));
        scene.ping_until(&from, "10.10.0.11", Family::V4, &Outcome::Reply, CONTRACT);
    }
    scene.close();
}

/// A laboratory in which packets to org2 pass; they have no other way than a tunnel over IPv6.
fn scene_with_ipv6_to_org2(test: &str) -> Scene {
    let scene = Scene::new(test, RINGWAY);
    scene.output("wan", "nft", &[CUT_IPV4_TO_ORG2]);
    for from in ["orderer0.org0", "peer0.org1"] {
        let limit = Duration::from_secs(20);
        scene.ping_until(from, "10.10.2.11", Family::V4, &Outcome::Reply, limit);
    }
    scene
}

fn change_address(scene: &Scene, old: &WanAddress, new: &WanAddress) {
    let add = ["address", "add", new.address, "dev", "wan0"];
    scene.output(new.gateway, "ip", &add);
    send_from(scene, new);

    let delete = ["address", "delete", old.address, "dev", "wan0"];
    scene.output(old.gateway, "ip", &delete);
    // The kernel has deleted the routes that had the old address as their source.
    send_from(scene, new);
}

/// Makes the gateway's packets leave with this source address.
fn send_from(scene: &Scene, wan: &WanAddress) {
    let (address, _) = wan
        .address
        .split_once('/')
        .expect("the address has a prefix length");
    let route = format!(
        "route replace default via {} dev wan0 onlink src {address}",
        wan.router
    );
    let arguments: Vec<&str> = route.split(' ').collect();

    // The kernel refuses an address that was added just now for a moment.
    eventually("the kernel to accept the source address", 5, || {
        let mut ip = scene.command(wan.gateway, "ip").expect("a gateway");
        ip.args(&arguments)
            .status()
            .is_ok_and(|status| status.success())
    });
}
