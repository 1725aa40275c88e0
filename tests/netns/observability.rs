//! The dashboard and the alerts of deploy/observability, with Debian's Prometheus in the site. Four
//! alerts fire here; all of them in `alerts.rs`.

use std::fs;
use std::process::Command;

use ringway_tests::prometheus::files;
use ringway_tests::scene::{append, eventually, replace};
use ringway_tests::{Prometheus, Scene};
use serde_json::Value;

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";
const PEERS: [&str; 2] = ["gw.org0", "gw.org2"];
/// Prometheus runs here.
const NEIGHBOUR: &str = "peer0.org1";
const ADDRESS: &str = "10.10.1.1:9460";

#[test]
fn every_alert_fires_for_its_cause_alone() {
    let test = files().join("ringway.rules.test.yml");
    let checked = Command::new("promtool")
        .args(["test", "rules"])
        .arg(test)
        .output();

    let checked = checked.expect("promtool runs");
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}");
}

#[test]
fn panels_have_series_and_alerts_fire_once() {
    let mut scene = Scene::beside_others("observability", RINGWAY);
    scene.stop(GATEWAY);
    let listen = format!("listen = \"{ADDRESS}\"");
    append(&scene.config(GATEWAY), &format!("\n[http]\n{listen}\n"));
    scene.start(GATEWAY).expect("gw.org1 starts");
    scene.wait_until_joined().expect("the tunnels come up");
    // Something to show: questions that were answered.
    scene.output(
        NEIGHBOUR,
        "dig",
        &["+short", "@10.10.1.1", "peer0.org2.consortium.example"],
    );
    let prometheus = Prometheus::start(&scene, NEIGHBOUR, &[ADDRESS], "0s");

    for (title, query) in panels() {
        eventually(&format!("{title}: {query}"), 20, || {
            !prometheus.query(&scene, &query).is_empty()
        });
    }
    prometheus.wait_for(&scene, &[]);

    scene.stop(PEERS[0]);
    prometheus.wait_for(&scene, &[("TunnelDown", 1)]);
    scene.stop(PEERS[1]);
    // That one says it all.
    prometheus.wait_for(&scene, &[("NoTunnel", 1)]);
    replace(&scene.config(GATEWAY), &listen, "listen = \"nowhere\"");
    scene.reload(GATEWAY);
    prometheus.wait_for(&scene, &[("NoTunnel", 1), ("ReloadRefused", 1)]);
    scene.stop(GATEWAY);
    prometheus.wait_for(&scene, &[("GatewayDown", 1)]);
    drop(prometheus);
    scene.close();
}

/// Title and query of each panel.
fn panels() -> Vec<(String, String)> {
    let text = fs::read_to_string(files().join("dashboard.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");

    let shown = panels.iter().map(|panel| {
        let title = panel["title"].as_str().expect("a title");
        let query = panel["targets"][0]["expr"].as_str().expect("a query");
        (title.to_owned(), query.to_owned())
    });
    shown.collect()
}
