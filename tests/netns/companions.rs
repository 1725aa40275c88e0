//! Two gateways at one site: packets of a connection pass the one in one direction and the other in
//! the other one, and either may die.
//!
//! ```text
//!                                   ┌─ gw.org1 ──┐
//!   peer0.org1, peer1.org1 ── vpc ──┤            ├── wan ── gw.org0 ── orderer0.org0
//!       default route ──► either    └─ gw2.org1 ─┘     chooses either
//! ```
//! No grace lets anything pass here: what passes was let in by a rule, or is an answer to a flow
//! that the gateway knows from its host or from the other gateway.

use std::net::SocketAddr;
use std::time::Duration;

use ringway_tests::scene::{eventually, replace};
use ringway_tests::second_gateway::{NAME, SecondGateway};
use ringway_tests::{Pushed, Scene};

use crate::RINGWAY;

const FIRST: &str = "gw.org1";

/// The last parts of the gateways' addresses on the site's network.
const FIRST_HOP: u8 = 1;
const SECOND_HOP: u8 = 2;

/// Drops everything between the first gateway and org0's.
const CUT: &str = "nft 'table inet cut {
    chain out { type filter hook output priority -400;
        oifname wan0 ip daddr 203.0.113.2 drop;
        oifname wan0 ip6 daddr 2001:db8::2 drop; }
    chain in { type filter hook input priority -400;
        iifname wan0 ip saddr 203.0.113.2 drop;
        iifname wan0 ip6 saddr 2001:db8::2 drop; }
}'";

/// Server, its address, and the client: connections into the site and out of it, which only the
/// server sends on.
const STREAMS: [(&str, &str, &str); 4] = [
    ("peer0.org1", "10.10.1.11:7051", "orderer0.org0"),
    ("peer0.org1", "[fd00:10:1::11]:7050", "orderer0.org0"),
    ("orderer0.org0", "10.10.0.11:7051", "peer0.org1"),
    ("orderer0.org0", "[fd00:10::11]:7050", "peer0.org1"),
];

#[test]
fn streams_open_and_go_on_whichever_gateway_each_direction_takes() {
    let (scene, second) = ready(Scene::new("asymmetric", RINGWAY));

    for hop in [FIRST_HOP, SECOND_HOP] {
        route_by(&scene, hop);
        // One of the two hops is the other one than org0 sends to.
        let streams = start(&scene);
        Pushed::wait_for_each(&streams, 20, 20);
        assert_whole(&streams, Duration::from_secs(3));

        drop(streams);
    }
    one_tunnel_is_cut(&scene);
    drop(second);
    scene.close();
}

#[test]
fn streams_go_on_while_one_of_two_gateways_dies_and_comes_back() {
    let (mut scene, mut second) = ready(Scene::beside_others("one-of-two", RINGWAY));
    let streams = start(&scene);

    for (dies, before) in [
        (FIRST_HOP, FIRST_HOP),
        (SECOND_HOP, FIRST_HOP),
        (FIRST_HOP, SECOND_HOP),
        (SECOND_HOP, SECOND_HOP),
    ] {
        route_by(&scene, before);
        Pushed::wait_for_each(&streams, 5, 20);

        match dies {
            FIRST_HOP => scene.kill(FIRST).expect("it runs"),
            _ => second.kill(),
        }
        // What moves the route is the network's, a virtual address or the cloud's.
        route_by(
            &scene,
            if dies == FIRST_HOP {
                SECOND_HOP
            } else {
                FIRST_HOP
            },
        );
        Pushed::wait_for_each(&streams, 10, 20);

        match dies {
            FIRST_HOP => scene.start(FIRST).expect("it starts"),
            _ => second.start(),
        }
        second.wait_for_tunnels(&scene);
        eventually("the tunnels of the first", 20, || {
            scene.is_up("gw.org0", FIRST) && scene.is_up(FIRST, "gw.org0")
        });
        Pushed::wait_for_each(&streams, 20, 20);
        println!("hosts by {before}, {dies} dies: {:.1?}", gaps(&streams));
        assert_whole(&streams, Duration::from_secs(5));
    }
    drop(streams);
    drop(second);
    scene.close();
}

/// The hosts use the first gateway, which is the active one, and it loses its tunnel to org0 alone:
/// the second one passes packets on, and connections go on, into the site and out of it.
fn one_tunnel_is_cut(scene: &Scene) {
    route_by(scene, FIRST_HOP);
    let streams = start(scene);
    Pushed::wait_for_each(&streams, 5, 20);
    scene.sh(FIRST, CUT);
    eventually("the second to pass packets on", 5, || {
        let status = scene.status(FIRST);
        let mut routes = status["routes"].as_array().into_iter().flatten();
        routes.any(|route| route["org"] == "org0" && route["by_sibling"] == true)
    });

    Pushed::wait_for_each(&streams, 40, 20);
    println!("one tunnel cut: {:.1?}", gaps(&streams));
    assert_whole(&streams, Duration::from_secs(5));
    drop(streams);
    let streams = start(scene);
    Pushed::wait_for_each(&streams, 5, 20);
    let status = scene.status(FIRST);
    assert_eq!(status["role"]["role"], "active", "the role stays");
    let found = status["attention"].to_string();
    assert!(
        found.contains("; gw2.org1, of this site, passes packets to 10.10.0.0/24"),
        "{found}"
    );

    scene.sh(FIRST, "nft delete table inet cut");
    eventually("the first to reach org0 by itself again", 10, || {
        let status = scene.status(FIRST);
        let mut routes = status["routes"].as_array().into_iter().flatten();
        routes.all(|route| route["by_sibling"] == false)
    });
    Pushed::wait_for_each(&streams, 5, 20);
    assert_whole(&streams, Duration::from_secs(5));
}

/// The laboratory with a second gateway, in which nothing has grace.
fn ready(scene: Scene) -> (Scene, SecondGateway) {
    for gateway in ["gw.org0", FIRST] {
        replace(
            &scene.config(gateway),
            "[policy]\n",
            "[policy]\ngrace = 0\n",
        );
        scene.reload(gateway);
    }
    let second = SecondGateway::add(&scene, RINGWAY);
    eventually("flows to be shared", 20, || {
        scene.is_up(FIRST, NAME) && second.status()["tunnels"].is_array()
    });
    (scene, second)
}

/// Streams with clients that open new connections.
fn start(scene: &Scene) -> Vec<Pushed> {
    let mut streams = Vec::new();
    for (server, address, client) in STREAMS {
        let address: SocketAddr = address.parse().expect("an address");
        streams.push(Pushed::start(scene, server, address, client));
    }
    streams
}

/// From now on the packets of peer0.org1 leave by this gateway.
fn route_by(scene: &Scene, hop: u8) {
    for next in [format!("10.10.1.{hop}"), format!("fd00:10:1::{hop}")] {
        let replace = ["route", "replace", "default", "via", &next];
        scene.output("peer0.org1", "ip", &replace);
    }
}

fn gaps(streams: &[Pushed]) -> Vec<Duration> {
    let seen = streams.iter().map(Pushed::seen);
    seen.map(|seen| seen.longest_gap).collect()
}

/// No connection was reset or opened again, and none stood still for longer than `limit`.
fn assert_whole(streams: &[Pushed], limit: Duration) {
    for (stream, (_, address, client)) in streams.iter().zip(STREAMS) {
        let seen = stream.seen();
        assert_eq!(
            (seen.connections, seen.resets),
            (1, 0),
            "{client} of {address}: {seen:?}"
        );
        assert!(seen.longest_gap < limit, "{client} of {address}: {seen:?}");
    }
}
