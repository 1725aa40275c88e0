//! Two gateways of one site that follow the same Services.

use ringway_apiserver::Certificates;
use ringway_tests::Scene;
use ringway_tests::scene::{append, eventually};
use serde_json::{Value, json};

use super::{Order, Server, service, slice};
use crate::RINGWAY;

const GATEWAYS: [&str; 2] = ["gw.org0", "gw2.org0"];
const NAME: &str = "service.org0.consortium.example";
/// Each with its own gateway's DNS server.
const ASKERS: [(&str, &str); 3] = [
    ("orderer0.org0", "@10.10.0.1"),
    ("orderer0.org0", "@10.10.0.2"),
    ("peer0.org1", "@10.10.1.1"),
];

#[test]
fn the_later_names_are_answered_and_no_older_ones_beside_them() {
    let mut scene = Scene::with_siblings("kube-siblings", RINGWAY);
    let cluster = Certificates::new();
    let [first, second] = GATEWAYS.map(|gateway| {
        let server = Server::of_cluster(&cluster, &scene, gateway);
        server.send(Order::Put(service()));
        server.send(Order::Put(ready([true, true])));
        append(&scene.config(gateway), &server.table());
        scene.reload(gateway);
        server
    });
    answered(&scene, &["10.10.0.11", "10.10.0.12"]);

    // Only the second one learns of a change.
    first.send(Order::Stop);
    said(&scene, GATEWAYS[0], "are those of another gateway");
    second.send(Order::Put(ready([true, false])));
    answered(&scene, &["10.10.0.11"]);

    // Nor does it answer earlier names after a restart.
    scene.kill(GATEWAYS[0]).expect("it runs");
    scene.start(GATEWAYS[0]).expect("it starts");
    scene.wait_until_joined().expect("the tunnels come up");
    said(&scene, GATEWAYS[0], "are those of another gateway");
    answered(&scene, &["10.10.0.11"]);

    // If both have lost the server, those of the one that had it for longer stay.
    second.send(Order::Stop);
    said(&scene, GATEWAYS[1], "stay as they are");
    answered(&scene, &["10.10.0.11"]);
    first.send(Order::Put(ready([false, true])));
    first.send(Order::Resume);
    answered(&scene, &["10.10.0.12"]);
    said(&scene, GATEWAYS[1], "are those of another gateway");
    println!("result: of two gateways, the one that reached the API server last has the names");
    scene.close();
}

/// The endpoints at this site's addresses.
fn ready(ready: [bool; 2]) -> Value {
    let mut slice = slice(ready);
    for (endpoint, host) in [(0, 11), (1, 12)] {
        slice["endpoints"][endpoint]["addresses"] = json!([format!("10.10.0.{host}")]);
    }
    slice
}

fn said(scene: &Scene, gateway: &str, what: &str) {
    eventually(what, 40, || {
        scene.status(gateway)["attention"]
            .to_string()
            .contains(what)
    });
}

fn answered(scene: &Scene, expected: &[&str]) {
    for (host, server) in ASKERS {
        eventually(&format!("{expected:?} at {server}"), 30, || {
            let printed = scene.output_of_any_exit(host, "dig", &["+short", server, NAME]);
            let mut answered: Vec<&str> = printed.lines().collect();
            answered.sort_unstable();
            answered == expected
        });
    }
}
