//! One mesh: reachability, names, throughput in both families, and what the policy lets through.

use std::time::Duration;

use ringway_lab::Kind;
use ringway_lab::ping::Family;
use ringway_tests::scene::{append, eventually};
use ringway_tests::{Background, Flow, Scene};

use crate::RINGWAY;

#[test]
fn every_node_reaches_every_other_by_name() {
    let scene = Scene::new("reach", RINGWAY);
    for family in Family::BOTH {
        scene.assert_all_reachable(family);
    }
    scene.close();
}

#[test]
fn every_gateway_answers_for_every_organization_over_udp_and_tcp() {
    let scene = Scene::new("names", RINGWAY);
    for node in scene.topology().of_kind(Kind::Node) {
        let org = node.org.expect("a node belongs to an organization");
        let server = format!("@{}", org.v4(1));

        for (name, address) in [
            ("orderer0.org0.consortium.example", "10.10.0.11"),
            ("peer1.org1.consortium.example", "10.10.1.12"),
            ("peer0.org2.consortium.example", "10.10.2.11"),
        ] {
            for protocol in ["+notcp", "+tcp"] {
                let dig = ["+short", protocol, &server, name, "A"];
                let answer = scene.output(&node.name, "dig", &dig);
                assert_eq!(answer.trim(), address, "{name} {protocol} at {}", node.name);
            }
        }
    }
    scene.close();
}

#[test]
fn a_gateway_refuses_foreign_names_and_denies_unknown_ones() {
    let scene = Scene::new("denial", RINGWAY);
    for (node, server) in [
        ("orderer0.org0", "@10.10.0.1"),
        ("peer0.org2", "@10.10.2.1"),
    ] {
        let foreign = scene.output(node, "kdig", &[server, "www.example.net", "A"]);
        assert!(foreign.contains("status: REFUSED"), "{foreign}");

        let name = "nobody.org1.consortium.example";
        let unknown = scene.output(node, "kdig", &[server, name, "A"]);
        assert!(unknown.contains("status: NXDOMAIN"), "{unknown}");
        assert!(unknown.contains("SOA"), "{unknown}");
    }
    scene.close();
}

#[test]
fn a_tcp_stream_is_fast_in_both_directions_and_families() {
    let scene = Scene::new("iperf3", RINGWAY);
    let _server = Background::server(&scene, "peer0.org1", 5201, "iperf3", &["-s"]);

    for family in Family::BOTH {
        for reverse in [&[][..], &["-R"]] {
            let arguments = ["-c", "peer0.org1", "-t", "1", family.option()];
            let report = scene.iperf3("peer0.org2", &[&arguments[..], reverse].concat());
            let received = report["end"]["sum_received"]["bits_per_second"]
                .as_f64()
                .expect("iperf3 reports a rate");
            println!("{family:?} {reverse:?}: {:.0} Mbit/s", received / 1e6);
            assert!(received > 50e6, "{family:?} {reverse:?}: {received} bit/s");
        }
    }
    scene.close();
}

/// A connection to a closed port is refused if the policy lets it through, and times out if not.
#[test]
fn the_policy_lets_through_only_the_ports_that_it_lists() {
    let scene = Scene::new("policy", RINGWAY);
    for target in ["10.10.1.11", "fd00:10:1::11"] {
        let expected = [
            ("22", "filtered"),
            ("7050", "closed"),
            ("7051", "closed"),
            ("7052", "filtered"),
            ("7054", "closed"),
        ];
        for (port, state) in scan(&scene, "peer0.org2", target) {
            assert!(
                expected.contains(&(&port, &state)),
                "port {port} of {target} is {state}"
            );
        }
        for (port, state) in scan(&scene, "peer1.org1", target) {
            assert_eq!(state, "closed", "inside a site there is no policy: {port}");
        }
    }

    let _listed = Background::server(&scene, "peer0.org1", 7051, "iperf3", &["-s", "-p", "7051"]);
    let _other = Background::server(&scene, "peer0.org1", 7052, "iperf3", &["-s", "-p", "7052"]);
    assert!(connects(&scene, "7051"), "a listed port");
    assert!(!connects(&scene, "7052"), "a port that is not listed");
    scene.close();
}

#[test]
fn a_reload_changes_the_policy_without_touching_a_tunnel() {
    let scene = Scene::new("policy-reload", RINGWAY);
    let since = || ["gw.org0", "gw.org2"].map(|peer| scene.up_since("gw.org1", peer));
    let before = since();
    let flow = Flow::start(&scene, "peer0.org2", "peer1.org1");
    assert_eq!(port_state(&scene, "peer0.org2", "7052"), "filtered");

    let rule = "\n[[policy.allow]]\nfrom = \"org2\"\nto = \"10.10.1.11\"\nproto = \"tcp\"\n\
                ports = 7052\n";
    append(&scene.config("gw.org1"), rule);
    scene.reload("gw.org1");

    eventually("port 7052 to be let through", 15, || {
        port_state(&scene, "peer0.org2", "7052") == "closed"
    });
    let of_org0 = port_state(&scene, "orderer0.org0", "7052");
    assert_eq!(of_org0, "filtered", "the rule names org2 only");
    let other_port = port_state(&scene, "peer0.org2", "22");
    assert_eq!(other_port, "filtered", "the rule names one port");
    flow.assert_none_lost("during the reload");
    assert_eq!(since(), before);
    scene.close();
}

/// A port of peer0.org1 as `from` sees it: `closed` (refused, so let through) or `filtered`.
fn port_state(scene: &Scene, from: &str, port: &str) -> String {
    let states = scan(scene, from, "10.10.1.11");
    let found = states.into_iter().find(|(other, _)| other == port);
    found.expect("nmap reports every port").1
}

/// Five ports of `target` as `from` sees them, each with its state.
fn scan(scene: &Scene, from: &str, target: &str) -> Vec<(String, String)> {
    let family = if target.contains(':') { "-6" } else { "-4" };
    let how = [family, "-sS", "-Pn", "-n", "-T4", "--max-retries", "2"];
    let what = ["-p", "22,7050,7051,7052,7054", target];
    let printed = scene.output(from, "nmap", &[&how[..], &what].concat());

    let states: Vec<_> = printed
        .lines()
        .filter_map(|line| {
            let (port, rest) = line.split_once("/tcp ")?;
            let state = rest.split_whitespace().next()?;
            Some((port.to_string(), state.to_string()))
        })
        .collect();
    assert_eq!(states.len(), 5, "{printed}");
    states
}

/// True if a client of org2 can send to `port` of peer0.org1.
fn connects(scene: &Scene, port: &str) -> bool {
    let label = format!("iperf3-{port}");
    let target = ["-c", "peer0.org1", "-p", port];
    let limits = ["-n", "1K", "--connect-timeout", "2000"];
    let arguments = [&target[..], &limits].concat();
    let client = Background::start(scene, "peer0.org2", &label, "iperf3", &arguments);
    client.finish(Duration::from_secs(10)).success
}
