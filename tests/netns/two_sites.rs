//! Two gateways of one organization, at two sites: every member answers the names of both, also of
//! one that is away, for as long as names are held; and a rule of a third organization works for
//! both.

use std::time::{Duration, Instant};

use ringway_lab::ping::{Family, Outcome};
use ringway_tests::scene::{append, eventually, replace};
use ringway_tests::second_gateway::NAME;
use ringway_tests::second_site::SecondSite;
use ringway_tests::{Background, Scene, inside};

use crate::RINGWAY;

/// Hosts, and the argument of `dig` for the gateways that they ask.
const ASKERS: [(&str, &str); 3] = [
    ("orderer0.org0", "@10.10.0.1"),
    ("peer0.org1", "@10.10.1.1"),
    ("peer0.org2", "@10.10.2.1"),
];
/// Names of the two gateways' files, and their addresses.
const EAST: (&str, &str) = ("ledger", "10.10.1.11");
const WEST: (&str, &str) = ("archive", "10.11.1.11");

/// How long names are held, in seconds: as short as it may be.
const HOLD: u64 = 60;

/// So long before the end of the hold the test does not look any more.
const SLACK: Duration = Duration::from_secs(10);

/// A rule for each site of org1, at org0: to a port of its own, at which a server listens.
const RULES: &str = "
[[policy.allow]]
from = \"org1/west\"
to = [\"10.10.0.0/24\"]
proto = \"tcp\"
ports = 9001

[[policy.allow]]
from = \"org1/vpc\"
to = [\"10.10.0.0/24\"]
proto = \"tcp\"
ports = 9002

[[policy.allow]]
from = \"org1\"
to = [\"10.10.0.0/24\"]
proto = \"tcp\"
ports = 9003
";

/// The second site of org1. Each of its two gateways has a name of its own, which all know.
fn second_site(scene: &Scene) -> SecondSite {
    let second = SecondSite::add(scene, RINGWAY);
    append(&scene.config("gw.org1"), &record(EAST));
    append(&second.gateway.config(), &record(WEST));
    scene.reload("gw.org1");
    second.gateway.reload();

    for name in [EAST, WEST] {
        wait_until_answered(scene, name, &ASKERS);
    }
    second
}

#[test]
fn names_and_rules_of_an_organization_with_two_sites_work_for_both() {
    let scene = Scene::new("sites", RINGWAY);
    let second = second_site(&scene);
    for name in [EAST, WEST] {
        eventually("the name at the second site", 20, || {
            ask_at(&second, name.0).1.contains(name.1)
        });
    }

    // Packets, to and from the second site, and between the organization's own.
    let limit = Duration::from_secs(10);
    for from in ["orderer0.org0", "peer0.org1", "peer0.org2"] {
        scene.ping_until(from, WEST.1, Family::V4, &Outcome::Reply, limit);
        scene.ping_until(from, "fd00:11:1::11", Family::V6, &Outcome::Reply, limit);
    }
    for to in ["10.10.0.11", "10.10.1.11", "fd00:10:2::11"] {
        eventually(to, 10, || {
            second
                .sh(&format!("ping -c 1 -W 1 {to}"))
                .contains(" 0% packet loss")
        });
    }

    assert_rules(&scene, &second);
    drop(second);
    scene.close();
}

#[test]
fn names_of_a_site_that_is_away_are_held_and_the_others_are_not_touched() {
    let scene = Scene::beside_others("hold", RINGWAY);
    let mut second = second_site(&scene);
    replace(
        &scene.config("gw.org0"),
        "[dns]\n",
        &format!("[dns]\nhold = {HOLD}\n"),
    );
    scene.reload("gw.org0");

    // Each of the two in turn: the other one's names stay, and so do the copies of its own.
    second.gateway.kill();
    eventually("the loss of a tunnel", 10, || !scene.is_up("gw.org0", NAME));
    for name in [EAST, WEST] {
        wait_until_answered(&scene, name, &ASKERS);
    }
    second.gateway.start();
    second.gateway.wait_for_tunnels(&scene);
    scene.kill("gw.org1").expect("it runs");
    let killed = Instant::now();
    eventually("the loss of the other tunnel", 10, || {
        !scene.is_up("gw.org0", "gw.org1")
    });
    while killed.elapsed() < Duration::from_secs(HOLD) - SLACK {
        for asker in [ASKERS[0], ASKERS[2]] {
            for name in [EAST, WEST] {
                let answer = ask(&scene, asker, name.0).1;
                assert!(answer.contains(name.1), "{:?}: {answer}", killed.elapsed());
            }
        }
    }

    // Then those of the silent one fail where they are held for so long only, and no others.
    eventually("the end of the hold", 30, || {
        ask(&scene, ASKERS[0], EAST.0).0 == "SERVFAIL"
    });
    wait_until_answered(&scene, WEST, &[ASKERS[0], ASKERS[2]]);
    wait_until_answered(&scene, EAST, &ASKERS[2..]);
    drop(second);
    scene.close();
}

/// A rule about one site is about no other; one about the organization is about both.
fn assert_rules(scene: &Scene, second: &SecondSite) {
    append(&scene.config("gw.org0"), RULES);
    scene.reload("gw.org0");
    let servers = [9001, 9002, 9003].map(|port| {
        let number = port.to_string();
        let arguments = ["-m", "http.server", "--bind", "10.10.0.11", &number];
        Background::server(scene, "orderer0.org0", port, "python3", &arguments)
    });

    let east = |port| inside::connects(scene, "peer0.org1", "10.10.0.11", port);
    let west = |port| {
        let connect = format!("timeout 1 bash -c '</dev/tcp/10.10.0.11/{port}' && echo open");
        second.sh(&connect).contains("open")
    };
    eventually("the rules", 10, || west(9001) && east(9002));
    assert!(east(9003) && west(9003), "a rule about the organization");
    assert!(!east(9001) && !west(9002), "a rule about the other site");
    let elsewhere = inside::connects(scene, "peer0.org2", "10.10.0.11", 9003);
    assert!(!elsewhere, "another organization");
    drop(servers);
}

fn record((name, address): (&str, &str)) -> String {
    format!("\n[[dns.record]]\nname = \"{name}\"\ntype = \"A\"\ndata = \"{address}\"\n")
}

fn wait_until_answered(scene: &Scene, (name, address): (&str, &str), askers: &[(&str, &str)]) {
    for asker in askers {
        eventually(&format!("{address} for {name} at {asker:?}"), 20, || {
            ask(scene, *asker, name).1.contains(address)
        });
    }
}

/// The response code, and everything that `dig` prints about a host of org1.
fn ask(scene: &Scene, (host, server): (&str, &str), name: &str) -> (String, String) {
    let name = format!("{name}.org1.consortium.example");
    let dig = ["+tries=1", "+timeout=2", server, &name];
    let output = scene.output_of_any_exit(host, "dig", &dig);
    (code(&output), output)
}

fn ask_at(second: &SecondSite, name: &str) -> (String, String) {
    let output = second.sh(&format!(
        "dig +tries=1 +timeout=2 @10.11.1.1 {name}.org1.consortium.example"
    ));
    (code(&output), output)
}

fn code(printed: &str) -> String {
    let status = printed.split("status: ").nth(1);
    let code = status.and_then(|rest| rest.split(',').next());
    code.unwrap_or_default().to_owned()
}
