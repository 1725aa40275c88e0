//! Two gateways of one organization, at one site, with different names in their files: the names of
//! both are answered at every gateway, whichever started last, and without one of them.

use std::fs;

use ringway_tests::Scene;
use ringway_tests::scene::{append, eventually};
use ringway_tests::second_gateway::SecondGateway;

use crate::RINGWAY;

/// Hosts, and the argument of `dig` for the gateways that they ask.
const ASKERS: [(&str, &str); 4] = [
    ("orderer0.org0", "@10.10.0.1"),
    ("peer0.org1", "@10.10.1.1"),
    ("peer0.org1", "@10.10.1.2"),
    ("peer0.org2", "@10.10.2.1"),
];
/// The askers of gateways that have copies only.
const OTHERS: [(&str, &str); 2] = [ASKERS[0], ASKERS[3]];

#[test]
fn names_of_both_gateways_of_an_organization_are_answered_in_any_order_of_starts() {
    let mut scene = Scene::new("fragments", RINGWAY);
    let mut second = SecondGateway::add(&scene, RINGWAY);
    append(&scene.config("gw.org1"), &record("first", "10.10.1.81"));
    scene.reload("gw.org1");
    second.kill();
    append(&second.config(), &record("second", "10.10.1.82"));
    second.start();
    wait_until_answered(&scene, "first", "10.10.1.81", &ASKERS);
    wait_until_answered(&scene, "second", "10.10.1.82", &ASKERS);

    // The first one starts last, with files of a while ago.
    let snapshot = fs::read_to_string(scene.config("gw.org1")).expect("it is readable");
    append(&scene.config("gw.org1"), &record("later", "10.10.1.83"));
    scene.reload("gw.org1");
    wait_until_answered(&scene, "later", "10.10.1.83", &ASKERS);
    scene.kill("gw.org1").expect("gw.org1 runs");
    fs::write(scene.config("gw.org1"), snapshot).expect("it is writable");
    scene.start("gw.org1").expect("gw.org1 starts");
    for asker in ASKERS {
        eventually("the later name to be gone", 20, || {
            ask(&scene, asker, "later").0 == "NXDOMAIN"
        });
    }
    wait_until_answered(&scene, "first", "10.10.1.81", &ASKERS);
    wait_until_answered(&scene, "second", "10.10.1.82", &ASKERS);

    // One of them is away; its names are not.
    second.kill();
    wait_until_answered(&scene, "second", "10.10.1.82", &OTHERS);
    wait_until_answered(&scene, "second", "10.10.1.82", &ASKERS[1..2]);
    for asker in OTHERS {
        assert_eq!(ask(&scene, asker, "nobody").0, "NXDOMAIN");
    }
    drop(second);
    scene.close();
}

fn record(name: &str, address: &str) -> String {
    format!("\n[[dns.record]]\nname = \"{name}\"\ntype = \"A\"\ndata = \"{address}\"\n")
}

fn wait_until_answered(scene: &Scene, host: &str, address: &str, askers: &[(&str, &str)]) {
    for asker in askers {
        eventually(&format!("{address} for {host} at {asker:?}"), 20, || {
            ask(scene, *asker, host).1.contains(address)
        });
    }
}

/// The response code, and everything that `dig` prints about a host of org1.
fn ask(scene: &Scene, (host, server): (&str, &str), name: &str) -> (String, String) {
    let name = format!("{name}.org1.consortium.example");
    let dig = ["+tries=1", "+timeout=2", server, &name];
    let output = scene.output_of_any_exit(host, "dig", &dig);
    let status = output.split("status: ").nth(1);
    let code = status.and_then(|rest| rest.split(',').next());
    (code.unwrap_or_default().to_owned(), output)
}
