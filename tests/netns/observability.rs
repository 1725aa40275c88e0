//! The dashboard and the alerts of deploy/observability, with Debian's Prometheus in the site.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ringway_tests::scene::{append, eventually, replace};
use ringway_tests::{Background, Scene};
use serde_json::Value;

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";
const PEERS: [&str; 2] = ["gw.org0", "gw.org2"];
/// Prometheus runs here.
const NEIGHBOUR: &str = "peer0.org1";
const HTTP: &str = "\n[http]\nlisten = \"10.10.1.1:9460\"\n";

fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/observability")
}

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
    append(&scene.config(GATEWAY), HTTP);
    scene.start(GATEWAY).expect("gw.org1 starts");
    scene.wait_until_joined().expect("the tunnels come up");
    // Something to show: questions that were answered.
    scene.output(
        NEIGHBOUR,
        "dig",
        &["+short", "@10.10.1.1", "peer0.org2.consortium.example"],
    );
    let prometheus = Prometheus::start(&scene);

    for (title, query) in panels() {
        eventually(&format!("{title}: {query}"), 20, || {
            let found = prometheus.ask(&format!("query?query={}", escaped(&query)));
            found["data"]["result"]
                .as_array()
                .is_some_and(|series| !series.is_empty())
        });
    }
    prometheus.wait_for_evaluations();
    assert_eq!(prometheus.firing(), BTreeMap::new(), "all is well");

    scene.stop(PEERS[0]);
    prometheus.wait_for("RingwayTunnelDown", 1);
    scene.stop(PEERS[1]);
    prometheus.wait_for("RingwayNoTunnel", 1);
    // That one says it all.
    prometheus.wait_for("RingwayTunnelDown", 0);
    replace(
        &scene.config(GATEWAY),
        "listen = \"10.10.1.1:9460\"",
        "listen = \"nowhere\"",
    );
    scene.reload(GATEWAY);
    prometheus.wait_for("RingwayReloadRefused", 1);
    scene.stop(GATEWAY);
    prometheus.wait_for("RingwayGatewayDown", 1);
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

/// For a URL.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// A server that asks the gateway every second, and fires alerts at once.
struct Prometheus<'s> {
    scene: &'s Scene,
    dir: PathBuf,
    _server: Background,
}

impl<'s> Prometheus<'s> {
    fn start(scene: &'s Scene) -> Prometheus<'s> {
        let dir = std::env::temp_dir().join(format!("ringway-prometheus-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let rules = fs::read_to_string(files().join("ringway.rules.yml")).expect("the alerts");
        // How long a cause must last is not tried here.
        let rules: Vec<&str> = rules
            .lines()
            .filter(|line| !line.contains("  for: "))
            .collect();
        fs::write(dir.join("rules.yml"), rules.join("\n")).expect("the rules can be written");
        let config = "global: {scrape_interval: 1s, evaluation_interval: 1s}\n\
             rule_files: [rules.yml]\n\
             scrape_configs:\n  - job_name: ringway\n    static_configs:\n      \
             - targets: [\"10.10.1.1:9460\"]\n";
        fs::write(dir.join("prometheus.yml"), config).expect("the file can be written");

        let config = format!("--config.file={}", dir.join("prometheus.yml").display());
        let storage = format!("--storage.tsdb.path={}", dir.join("data").display());
        let arguments = [&config, &storage, "--web.listen-address=127.0.0.1:9090"];
        let server = Background::server(scene, NEIGHBOUR, 9090, "prometheus", &arguments);
        Prometheus {
            scene,
            dir,
            _server: server,
        }
    }

    fn ask(&self, what: &str) -> Value {
        let url = format!("http://127.0.0.1:9090/api/v1/{what}");
        let answer = self
            .scene
            .output_of_any_exit(NEIGHBOUR, "curl", &["-s", "-m", "2", &url]);

        serde_json::from_str(&answer).unwrap_or_default()
    }

    /// Each rule has been evaluated since now.
    fn wait_for_evaluations(&self) {
        let before = self.last_evaluation();

        eventually("an evaluation of the rules", 20, || {
            let now = self.last_evaluation();
            now.is_string() && now != before
        });
    }

    fn last_evaluation(&self) -> Value {
        self.ask("rules")["data"]["groups"][0]["lastEvaluation"].clone()
    }

    /// The alerts that fire, and how many of each.
    fn firing(&self) -> BTreeMap<String, usize> {
        let answer = self.ask("alerts");
        let alerts = answer["data"]["alerts"]
            .as_array()
            .cloned()
            .unwrap_or_default();

        let mut firing = BTreeMap::new();
        for alert in alerts.iter().filter(|it| it["state"] == "firing") {
            let name = alert["labels"]["alertname"].as_str().expect("a name");
            *firing.entry(name.to_owned()).or_default() += 1;
        }
        firing
    }

    fn wait_for(&self, alert: &str, count: usize) {
        eventually(&format!("{alert} × {count}"), 20, || {
            self.firing().get(alert).copied().unwrap_or_default() == count
        });
    }
}

impl Drop for Prometheus<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}
