//! One mesh: names, reachability in both families, throughput, and what policy lets through.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway::lab`).

use std::time::Duration;

use ringway::lab::Kind;
use ringway::lab::ping::{self, Family};
use ringway_tests::scene::{append, eventually};
use ringway_tests::{Background, Flow, Scene};
use serde_json::Value;

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");

#[test]
fn every_node_reaches_every_other_by_name_and_no_more_than_policy_allows() {
    let scene = Scene::new("mesh", RINGWAY);
    every_node_reaches_every_other_by_name(&scene);
    names_are_answered_over_udp_and_tcp(&scene);
    iperf3_runs_both_ways(&scene);
    policy_lets_through_what_it_lists(&scene);
    policy_changes_without_touching_a_tunnel(&scene);
    scene.close();
}

fn every_node_reaches_every_other_by_name(scene: &Scene) {
    for family in Family::BOTH {
        let (failed, pairs) = ping::all_pairs(scene, family).expect("ping runs");
        assert!(failed.is_empty(), "{family:?}: {} of {pairs} failed: {failed:#?}", failed.len());
    }
}

/// Asked by `dig` and `kdig`, at every gateway, for a machine of every organization.
fn names_are_answered_over_udp_and_tcp(scene: &Scene) {
    for node in scene.topology().of_kind(Kind::Node) {
        let server = format!("@{}", node.org.expect("a node is somebody's").v4(1));
        for (name, address) in
            [("orderer0.org0", "10.10.0.11"), ("peer1.org1", "10.10.1.12"), ("peer0.org2", "10.10.2.11")]
        {
            let fqdn = format!("{name}.consortium.example");
            for protocol in ["+notcp", "+tcp"] {
                let answer = scene.output(&node.name, "dig", &["+short", protocol, &server, &fqdn, "A"]);
                assert_eq!(answer.trim(), address, "{fqdn} {protocol} at {}", node.name);
            }
        }
        let foreign = scene.output(&node.name, "kdig", &[&server, "www.example.net", "A"]);
        assert!(foreign.contains("status: REFUSED"), "{foreign}");
        let unknown = scene.output(&node.name, "kdig", &[&server, "nobody.org1.consortium.example", "A"]);
        assert!(unknown.contains("status: NXDOMAIN") && unknown.contains("SOA"), "{unknown}");
    }
}

fn iperf3_runs_both_ways(scene: &Scene) {
    let _server = Background::server(scene, "peer0.org1", 5201, "iperf3", &["-s"]);
    for family in Family::BOTH {
        for direction in [None, Some("-R")] {
            let mut arguments = vec!["-c", "peer0.org1", "-t", "1", "-J", family.option()];
            arguments.extend(direction);
            let report: Value =
                serde_json::from_str(&scene.output("peer0.org2", "iperf3", &arguments)).expect("JSON");
            let received = report["end"]["sum_received"]["bits_per_second"].as_f64().expect("a rate");
            println!("iperf3 {family:?} {}: {:.0} Mbit/s", direction.unwrap_or("->"), received / 1e6);
            assert!(received > 50e6, "{family:?} {direction:?}: {received} bit/s");
        }
    }
}

/// A connection to a closed port is refused if policy lets it through, and silent if it does not.
fn policy_lets_through_what_it_lists(scene: &Scene) {
    for target in ["10.10.1.11", "fd00:10:1::11"] {
        for (port, expected) in
            [(7050, "closed"), (7051, "closed"), (7054, "closed"), (7052, "filtered"), (22, "filtered")]
        {
            assert_eq!(port_state(scene, target, port), expected, "port {port} of {target}");
        }
        let neighbour = "peer1.org1";
        let seen = scan(scene, neighbour, target, 7052);
        assert!(seen.contains("closed"), "inside the site no policy stands between: {seen}");
    }
    let _server = Background::server(scene, "peer0.org1", 7051, "iperf3", &["-s", "-p", "7051"]);
    let _denied = Background::server(scene, "peer0.org1", 7052, "iperf3", &["-s", "-p", "7052"]);
    assert!(connects(scene, "7051"), "a listed port");
    assert!(!connects(scene, "7052"), "a port that is not listed");
}

/// The positive control: what was silent before passes once a rule lists it. No tunnel is touched by that.
fn policy_changes_without_touching_a_tunnel(scene: &Scene) {
    let since = |peer| scene.tunnel("gw.org1", peer).expect("a tunnel")["since"].clone();
    let before = [since("gw.org0"), since("gw.org2")];
    let flow = Flow::start(scene, "peer0.org2", "peer1.org1");
    let rule = "\n[[policy.allow]]\nfrom = \"org2\"\nto = \"10.10.1.11\"\nproto = \"tcp\"\nports = 7052\n";
    append(&scene.config("gw.org1"), rule);
    scene.reload("gw.org1");
    eventually("port 7052 to be let through", 5, || port_state(scene, "10.10.1.11", 7052) == "closed");
    assert!(
        scan(scene, "orderer0.org0", "10.10.1.11", 7052).contains("filtered"),
        "the rule names org2 only"
    );
    assert_eq!(port_state(scene, "10.10.1.11", 22), "filtered");
    let tally = flow.stop();
    assert!(tally.replies > 0 && tally.lost == 0, "{tally:?}");
    assert_eq!([since("gw.org0"), since("gw.org2")], before);
}

fn port_state(scene: &Scene, target: &str, port: u16) -> String {
    let seen = scan(scene, "peer0.org2", target, port);
    let line = seen.lines().find(|line| line.starts_with(&format!("{port}/tcp")));
    line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or(&seen).to_string()
}

fn scan(scene: &Scene, from: &str, target: &str, port: u16) -> String {
    let family = if target.contains(':') { "-6" } else { "-4" };
    let port = port.to_string();
    let arguments =
        [family, "-sS", "-Pn", "-n", "--max-retries", "2", "--host-timeout", "20s", "-p", &port, target];
    scene.output(from, "nmap", &arguments)
}

fn connects(scene: &Scene, port: &str) -> bool {
    let label = format!("iperf3-{port}");
    let arguments = ["-c", "peer0.org1", "-p", port, "-n", "1K", "--connect-timeout", "2000"];
    let client = Background::start(scene, "peer0.org2", &label, "iperf3", &arguments);
    client.finish(Duration::from_secs(10)).0
}
