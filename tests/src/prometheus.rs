//! [`Prometheus`]: Debian's Prometheus at a host of a laboratory, with the alerts of
//! deploy/observability.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use serde_json::Value;

use crate::scene::{eventually, eventually_ok};
use crate::{Background, Scene};

/// Where it answers, on its host alone.
const LISTEN: &str = "127.0.0.1:9090";
const PORT: u16 = 9090;

/// Limit in seconds for an alert to fire, and to be silent again.
const LIMIT: u64 = 90;

/// Alerts, and how many of each.
pub type Alerts = BTreeMap<String, usize>;

/// A server that asks its gateways every second, and evaluates its rules as often.
pub struct Prometheus {
    /// The host where it runs.
    host: String,
    dir: PathBuf,
    started: SystemTime,
    _server: Background,
}

/// The directory of the rules and of the dashboard.
pub fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/observability")
}

impl Prometheus {
    /// Starts it at `host`, for the gateways with the `[http]` addresses `targets`.
    ///
    /// Its rules are those of deploy/observability with two changes, which make the test short: a
    /// cause must last for `last`, such as `5s`, where a rule says how long; and where a rule looks
    /// back over five or ten minutes, it looks back over ten seconds.
    pub fn start(scene: &Scene, host: &str, targets: &[&str], last: &str) -> Prometheus {
        let dir = scene.topology().dir().join("prometheus");
        fs::create_dir_all(&dir).expect("the laboratory's directory is writable");
        let write = |name: &str, text: &str| {
            fs::write(dir.join(name), text).expect("the laboratory's directory is writable");
        };
        write("rules.yml", &rules(last));
        write("prometheus.yml", &configuration(targets));

        let config = format!("--config.file={}", dir.join("prometheus.yml").display());
        let storage = format!("--storage.tsdb.path={}", dir.join("data").display());
        let listen = format!("--web.listen-address={LISTEN}");
        let arguments = [&*config, &storage, &listen];
        let prometheus = Prometheus {
            host: host.to_owned(),
            started: SystemTime::now(),
            _server: Background::server(scene, host, PORT, "prometheus", &arguments),
            dir,
        };

        eventually("metrics of every gateway", LIMIT, || {
            prometheus.query(scene, "up == 1").len() == targets.len()
        });
        prometheus.wait_for_evaluations(scene);
        prometheus
    }

    /// The series that answer `query`.
    pub fn query(&self, scene: &Scene, query: &str) -> Vec<Value> {
        let answer = self.ask(scene, &format!("query?query={}", escaped(query)));
        list(&answer["data"]["result"])
    }

    /// Waits until exactly these alerts fire, and still do after one more evaluation. Names are
    /// without the word that all of them begin with.
    pub fn wait_for(&self, scene: &Scene, expected: &[(&str, usize)]) {
        let expected: Alerts = expected
            .iter()
            .map(|(name, count)| (format!("Ringway{name}"), *count))
            .collect();

        eventually_ok(&format!("{expected:?} and no other alert"), LIMIT, || {
            let firing = self.firing(scene);
            ensure!(firing == expected, "{firing:?}");
            Ok(())
        });
        self.wait_for_evaluations(scene);
        assert_eq!(self.firing(scene), expected);
    }

    /// The alerts that fire.
    pub fn firing(&self, scene: &Scene) -> Alerts {
        let answer = self.ask(scene, "alerts");

        let mut firing = Alerts::new();
        for alert in list(&answer["data"]["alerts"]) {
            if alert["state"] == "firing" {
                *firing.entry(name_of(&alert["labels"])).or_default() += 1;
            }
        }
        firing
    }

    /// How often each alert has begun to fire since the start.
    pub fn fired(&self, scene: &Scene) -> Alerts {
        let query = escaped("ALERTS{alertstate=\"firing\"}");
        let [start, end] = [self.started, SystemTime::now()].map(seconds_since_1970);
        let range = format!("query_range?query={query}&start={start}&end={end}&step=1");
        let answer = self.ask(scene, &range);

        let mut fired = Alerts::new();
        for series in list(&answer["data"]["result"]) {
            let times: Vec<_> = list(&series["values"])
                .iter()
                .filter_map(|value| value[0].as_u64())
                .collect();
            let pauses = times.windows(2).filter(|pair| pair[1] > pair[0] + 1);
            *fired.entry(name_of(&series["metric"])).or_default() += 1 + pauses.count();
        }
        fired
    }

    /// Each rule has been evaluated since now.
    pub fn wait_for_evaluations(&self, scene: &Scene) {
        let before = self.last_evaluation(scene);

        eventually("an evaluation of the rules", LIMIT, || {
            let now = self.last_evaluation(scene);
            now.is_string() && now != before
        });
    }

    fn last_evaluation(&self, scene: &Scene) -> Value {
        self.ask(scene, "rules")["data"]["groups"][0]["lastEvaluation"].clone()
    }

    fn ask(&self, scene: &Scene, what: &str) -> Value {
        let url = format!("http://{LISTEN}/api/v1/{what}");
        let answer = scene.output_of_any_exit(&self.host, "curl", &["-sS", "-m", "10", &url]);

        let answer: Value = serde_json::from_str(&answer)
            .unwrap_or_else(|error| panic!("{what}: {answer:?}: {error}"));
        assert_eq!(answer["status"], "success", "{what}: {answer}");
        answer
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.dir);
    }
}

/// The alerts of deploy/observability, as [`Prometheus::start`] changes them.
fn rules(last: &str) -> String {
    let rules = fs::read_to_string(files().join("ringway.rules.yml")).expect("the alerts");

    let lines = rules.lines().map(|line| match line.split_once("for: ") {
        Some((indent, _)) if indent.trim().is_empty() => format!("{indent}for: {last}\n"),
        _ => format!("{line}\n"),
    });
    let rules: String = lines.collect();
    rules.replace("[5m]", "[10s]").replace("[10m]", "[10s]")
}

fn configuration(targets: &[&str]) -> String {
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: [rules.yml]\n\
         scrape_configs:\n  - job_name: ringway\n    static_configs:\n      \
         - targets: {targets:?}\n"
    )
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn name_of(labels: &Value) -> String {
    let name = labels["alertname"].as_str();
    name.expect("every alert has a name").to_owned()
}

fn seconds_since_1970(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.expect("the clock is past 1970").as_secs()
}

/// For a URL.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
