//! Every alert of deploy/observability fires for its cause alone, once, and is silent again after
//! the repair, with Debian's Prometheus in the site.
//!
//! In `tests/campaign alerts` alone, which sets `RINGWAY_ALERTS`: it takes minutes, because names
//! are held for a minute at least. `observability.rs` has a short form with four alerts.

use std::env;
use std::time::SystemTime;

use ringway_lab::program;
use ringway_lab::topology::Equipment;
use ringway_tests::certificate::{self, seconds_since_1970};
use ringway_tests::prometheus::Alerts;
use ringway_tests::scene::{append, eventually, replace};
use ringway_tests::siblings::{SIBLINGS, active, other, wait_until_it_holds};
use ringway_tests::{Prometheus, Scene};

use crate::RINGWAY;

const GATEWAY: &str = "gw.org0";
const PEERS: [&str; 2] = ["gw.org1", "gw.org2"];
/// Attached to the gateway.
const NODE: &str = "dc0.org0";
/// Prometheus runs here.
const NEIGHBOUR: &str = "orderer0.org0";
/// Addresses for `[http]`: the gateway's and, in a site with siblings, the other one's.
const ADDRESSES: [&str; 2] = ["10.10.0.1:9460", "10.10.0.2:9460"];
/// How long a cause must last where a rule says so.
const LAST: &str = "5s";

/// Of each alert with a cause in a site with one gateway.
const ONCE: [&str; 10] = [
    "Attention",
    "CertificateExpires",
    "FlowsLost",
    "GatewayDown",
    "NamesStale",
    "NoTunnel",
    "NodesDetached",
    "PacketsLost",
    "ReloadRefused",
    "TunnelDown",
];

#[test]
fn each_alert_of_a_gateway_fires_once_and_ends_with_its_cause() {
    if !is_wanted() {
        return;
    }
    let equipment = Equipment {
        attach: true,
        ..Equipment::PLAIN
    };
    let mut scene = Scene::with_equipment("alerts", RINGWAY, equipment);
    prepare(&mut scene);
    let prometheus = Prometheus::start(&scene, NEIGHBOUR, &ADDRESSES[..1], LAST);
    prometheus.wait_for(&scene, &[]);

    packets_are_lost(&scene, &prometheus);
    a_filter_of_another_program(&scene, &prometheus);
    a_certificate_of_three_days(&scene, &prometheus);
    a_broken_file(&scene, &prometheus);
    more_flows_than_places(&scene, &prometheus);
    all_nodes_are_gone(&mut scene, &prometheus);
    a_peer_is_gone_for_longer_than_its_names_are_held(&mut scene, &prometheus);
    both_peers_are_gone(&mut scene, &prometheus);
    the_gateway_is_gone(&mut scene, &prometheus);

    let fired = prometheus.fired(&scene);
    let expected = ONCE.map(|name| (format!("Ringway{name}"), 1));
    assert_eq!(fired, Alerts::from(expected));
    println!("result: of {} alerts each fired once", fired.len());
    drop(prometheus);
    scene.close();
}

#[test]
fn a_takeover_fires_once_and_ends_by_itself() {
    if !is_wanted() {
        return;
    }
    let mut scene = Scene::with_siblings("takeover-alert", RINGWAY);
    for (gateway, address) in SIBLINGS.into_iter().zip(ADDRESSES) {
        serve_metrics(&mut scene, gateway, address);
    }
    let prometheus = Prometheus::start(&scene, NEIGHBOUR, &ADDRESSES, LAST);
    prometheus.wait_for(&scene, &[]);

    let before = active(&scene).expect("one of them is active");
    run(&scene, before, &["drain"]);
    run(&scene, before, &["drain", "--cancel"]);
    wait_until_it_holds(&scene, other(before));
    prometheus.wait_for(&scene, &[("Takeover", 1)]);
    prometheus.wait_for(&scene, &[]);

    let fired = prometheus.fired(&scene);
    assert_eq!(fired, Alerts::from([("RingwayTakeover".to_owned(), 1)]));
    println!("result: a takeover fired once");
    drop(prometheus);
    scene.close();
}

fn is_wanted() -> bool {
    env::var_os("RINGWAY_ALERTS").is_some()
}

/// The gateway serves metrics, holds names for a minute, has places for few flows, and knows a
/// second node that never comes.
fn prepare(scene: &mut Scene) {
    let config = scene.config(GATEWAY);
    replace(&config, "\n[dns]\n", "\n[dns]\nhold = 60\n");
    replace(&config, "\n[policy]\n", "\n[policy]\nflows = 1024\n");
    run(
        scene,
        GATEWAY,
        &["node", "add", "absent", "--prefix", "10.20.0.99/32"],
    );

    serve_metrics(scene, GATEWAY, ADDRESSES[0]);
}

fn serve_metrics(scene: &mut Scene, gateway: &str, address: &str) {
    scene.stop(gateway);
    append(
        &scene.config(gateway),
        &format!("\n[http]\nlisten = \"{address}\"\n"),
    );
    scene.start(gateway).expect("its files are right");
    scene.wait_until_joined().expect("the tunnels come up");
}

/// On the WAN, every fifth packet of a peer. Never two in a row, which might end the tunnel.
fn packets_are_lost(scene: &Scene, prometheus: &Prometheus) {
    let lost = "iifname org1 oifname org0 numgen inc mod 5 == 0 drop;";
    let chain = format!("chain c {{ type filter hook forward priority 0; {lost} }}");
    scene.sh("wan", &format!("nft 'table inet lossy {{ {chain}; }}'"));
    prometheus.wait_for(scene, &[("PacketsLost", 1)]);

    scene.sh("wan", "nft delete table inet lossy");
    prometheus.wait_for(scene, &[]);
}

fn a_filter_of_another_program(scene: &Scene, prometheus: &Prometheus) {
    let chain = "chain c { type filter hook forward priority 0; policy drop; }";
    scene.sh(GATEWAY, &format!("nft 'table inet foreign {{ {chain}; }}'"));
    prometheus.wait_for(scene, &[("Attention", 1)]);

    scene.sh(GATEWAY, "nft delete table inet foreign");
    prometheus.wait_for(scene, &[]);
}

fn a_certificate_of_three_days(scene: &Scene, prometheus: &Prometheus) {
    let now = seconds_since_1970(SystemTime::now());
    certificate::replace(scene, PEERS[1], now..now + 3 * 24 * 3600);
    run(scene, PEERS[1], &["reload"]);
    prometheus.wait_for(scene, &[("CertificateExpires", 1)]);

    run(scene, PEERS[1], &["cert", "renew"]);
    run(scene, PEERS[1], &["reload"]);
    prometheus.wait_for(scene, &[]);
}

fn a_broken_file(scene: &Scene, prometheus: &Prometheus) {
    let [right, wrong] = ["hold = 60", "hold = \"long\""];
    replace(&scene.config(GATEWAY), right, wrong);
    scene.reload(GATEWAY);
    prometheus.wait_for(scene, &[("ReloadRefused", 1)]);

    replace(&scene.config(GATEWAY), wrong, right);
    scene.reload(GATEWAY);
    prometheus.wait_for(scene, &[]);
}

/// A host may have a quarter of the places.
fn more_flows_than_places(scene: &Scene, prometheus: &Prometheus) {
    let flows = "for port in $(seq 20001 20500); do echo >/dev/udp/10.10.1.11/$port; done";
    scene.sh("orderer1.org0", flows);
    prometheus.wait_for(scene, &[("FlowsLost", 1)]);
    prometheus.wait_for(scene, &[]);
}

/// While one of two is up, all is well.
fn all_nodes_are_gone(scene: &mut Scene, prometheus: &Prometheus) {
    scene.stop(NODE);
    prometheus.wait_for(scene, &[("NodesDetached", 1)]);

    scene.start(NODE).expect("it starts");
    prometheus.wait_for(scene, &[]);
}

fn a_peer_is_gone_for_longer_than_its_names_are_held(scene: &mut Scene, prometheus: &Prometheus) {
    scene.stop(PEERS[1]);
    prometheus.wait_for(scene, &[("TunnelDown", 1)]);
    eventually("the end of the hold", 90, || {
        let stale = prometheus.query(scene, "ringway_dns_zone_stale == 1");
        !stale.is_empty()
    });
    prometheus.wait_for(scene, &[("NamesStale", 1), ("TunnelDown", 1)]);

    scene.start(PEERS[1]).expect("it starts");
    prometheus.wait_for(scene, &[]);
}

fn both_peers_are_gone(scene: &mut Scene, prometheus: &Prometheus) {
    for peer in PEERS {
        scene.kill(peer).expect("it runs");
    }
    prometheus.wait_for(scene, &[("NoTunnel", 1)]);

    for peer in PEERS {
        scene.start(peer).expect("it starts");
    }
    scene.wait_until_joined().expect("the tunnels come up");
    prometheus.wait_for(scene, &[]);
}

fn the_gateway_is_gone(scene: &mut Scene, prometheus: &Prometheus) {
    scene.stop(GATEWAY);
    prometheus.wait_for(scene, &[("GatewayDown", 1)]);

    scene.start(GATEWAY).expect("it starts");
    scene.wait_until_joined().expect("the tunnels come up");
    prometheus.wait_for(scene, &[]);
}

fn run(scene: &Scene, gateway: &str, arguments: &[&str]) {
    program::output(&mut scene.ringway(gateway, arguments))
        .unwrap_or_else(|error| panic!("{arguments:?} at {gateway}: {error:#}"));
}
