//! One mesh: names, reachability in both families, throughput, and what policy lets through.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`).

use std::time::Duration;

use ringway_lab::Kind;
use ringway_lab::ping::{self, Family};
use ringway_tests::scene::{append, eventually};
use ringway_tests::{Background, Flow, Scene};

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
        let pairs = ping::all_pairs(scene, family).expect("ping runs");
        assert!(
            pairs.failed.is_empty(),
            "{family:?}: {} of {} failed: {:#?}",
            pairs.failed.len(),
            pairs.tried,
            pairs.failed
        );
    }
}

/// Asked by `dig` and `kdig`, at every gateway, for a machine of every organization.
fn names_are_answered_over_udp_and_tcp(scene: &Scene) {
    for node in scene.topology().of_kind(Kind::Node) {
        let server = format!("@{}", node.org.expect("a node is somebody's").v4(1));
        for (name, address) in [
            ("orderer0.org0", "10.10.0.11"),
            ("peer1.org1", "10.10.1.12"),
            ("peer0.org2", "10.10.2.11"),
        ] {
            let fqdn = format!("{name}.consortium.example");
            for protocol in ["+notcp", "+tcp"] {
                let answer = scene.output(
                    &node.name,
                    "dig",
                    &["+short", protocol, &server, &fqdn, "A"],
                );
                assert_eq!(answer.trim(), address, "{fqdn} {protocol} at {}", node.name);
            }
        }
        let foreign = scene.output(&node.name, "kdig", &[&server, "www.example.net", "A"]);
        assert!(foreign.contains("status: REFUSED"), "{foreign}");
        let unknown = scene.output(
            &node.name,
            "kdig",
            &[&server, "nobody.org1.consortium.example", "A"],
        );
        assert!(
            unknown.contains("status: NXDOMAIN") && unknown.contains("SOA"),
            "{unknown}"
        );
    }
}

fn iperf3_runs_both_ways(scene: &Scene) {
    let _server = Background::server(scene, "peer0.org1", 5201, "iperf3", &["-s"]);
    for family in Family::BOTH {
        for direction in [None, Some("-R")] {
            let mut arguments = vec!["-c", "peer0.org1", "-t", "1", family.option()];
            arguments.extend(direction);
            let report = scene.iperf3("peer0.org2", &arguments);
            let received = report["end"]["sum_received"]["bits_per_second"]
                .as_f64()
                .expect("a rate");
            println!(
                "iperf3 {family:?} {}: {:.0} Mbit/s",
                direction.unwrap_or("->"),
                received / 1e6
            );
            assert!(
                received > 50e6,
                "{family:?} {direction:?}: {received} bit/s"
            );
        }
    }
}

/// A connection to a closed port is refused if policy lets it through, and silent if it does not.
fn policy_lets_through_what_it_lists(scene: &Scene) {
    let expected = [
        ("22", "filtered"),
        ("7050", "closed"),
        ("7051", "closed"),
        ("7052", "filtered"),
        ("7054", "closed"),
    ];
    for target in ["10.10.1.11", "fd00:10:1::11"] {
        for (port, state) in scan(scene, "peer0.org2", target) {
            assert!(
                expected.contains(&(&port, &state)),
                "port {port} of {target} is {state}"
            );
        }
        let neighbour = scan(scene, "peer1.org1", target);
        assert!(
            neighbour.iter().all(|(_, state)| state == "closed"),
            "inside a site there is no policy: {neighbour:?}"
        );
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
    let rule =
        "\n[[policy.allow]]\nfrom = \"org2\"\nto = \"10.10.1.11\"\nproto = \"tcp\"\nports = 7052\n";
    append(&scene.config("gw.org1"), rule);
    scene.reload("gw.org1");
    let state = |from, port: &str| {
        let states = scan(scene, from, "10.10.1.11");
        states
            .into_iter()
            .find(|(other, _)| other == port)
            .map(|(_, state)| state)
    };
    eventually("port 7052 to be let through", 15, || {
        state("peer0.org2", "7052").as_deref() == Some("closed")
    });
    assert_eq!(
        state("orderer0.org0", "7052").as_deref(),
        Some("filtered"),
        "the rule names org2 only"
    );
    assert_eq!(state("peer0.org2", "22").as_deref(), Some("filtered"));
    let tally = flow.stop();
    assert!(tally.replies > 0 && tally.lost == 0, "{tally:?}");
    assert_eq!([since("gw.org0"), since("gw.org2")], before);
}

/// The state of five ports of `target` as `from` sees them: closed (refused, so let through) or filtered.
fn scan(scene: &Scene, from: &str, target: &str) -> Vec<(String, String)> {
    let family = if target.contains(':') { "-6" } else { "-4" };
    let ports = "22,7050,7051,7052,7054";
    let found = scene.output(
        from,
        "nmap",
        &[
            family,
            "-sS",
            "-Pn",
            "-n",
            "-T4",
            "--max-retries",
            "2",
            "-p",
            ports,
            target,
        ],
    );
    let states = found.lines().filter_map(|line| line.split_once("/tcp "));
    let states: Vec<_> = states
        .filter_map(|(port, rest)| {
            Some((
                port.to_string(),
                rest.split_whitespace().next()?.to_string(),
            ))
        })
        .collect();
    assert_eq!(states.len(), 5, "{found}");
    states
}

fn connects(scene: &Scene, port: &str) -> bool {
    let label = format!("iperf3-{port}");
    let arguments = [
        "-c",
        "peer0.org1",
        "-p",
        port,
        "-n",
        "1K",
        "--connect-timeout",
        "2000",
    ];
    let client = Background::start(scene, "peer0.org2", &label, "iperf3", &arguments);
    client.finish(Duration::from_secs(10)).0
}
