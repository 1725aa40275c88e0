//! The table of metrics in deploy/observability/README.md lists what is served, and the dashboard
//! and the alerts ask for nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::admin::announcement::AnnouncementReport;
use crate::admin::report::{
    CertificateReport, ReloadReport, RoundTripsReport, RouteReport, RuleReport, TunnelReport,
};

/// A metric.
#[derive(Debug, Default)]
struct Metric {
    labels: BTreeSet<String>,
    help: String,
}

type Served = BTreeMap<String, Metric>;

/// Their series need queries, which the DNS server alone counts.
const WITHOUT_SERIES: [(&str, [&str; 3]); 2] = [
    (
        "ringway_dns_questions_total",
        ["asker", "transport", "qtype"],
    ),
    ("ringway_dns_answers_total", ["asker", "transport", "rcode"]),
];

/// Labels that Prometheus adds.
const ADDED: [&str; 2] = ["instance", "job"];

#[test]
fn the_table_of_metrics_lists_what_is_served() {
    let text = read("README.md");
    let rows = text.lines().filter(|line| line.starts_with("| `ringway_"));
    let table: String = rows.map(|row| format!("{row}\n")).collect();

    let served: String = served()
        .iter()
        .map(|(name, metric)| {
            let labels = metric.labels.iter().map(|label| format!("`{label}`"));
            let labels = Vec::from_iter(labels).join(", ");
            format!("| `{name}` | {labels} | {} |\n", metric.help)
        })
        .collect();
    assert!(table == served, "the table should be\n{served}");
}

#[test]
fn every_panel_has_a_unit_a_description_and_a_query_that_fits_its_metrics() {
    let served = served();
    for panel in panels() {
        let title = panel["title"].as_str().expect("a title");
        let description = panel["description"].as_str().unwrap_or_default();
        assert!(description.ends_with('.'), "{title}: {description:?}");
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str();
        assert!(unit.is_some(), "{title} has no unit");

        for target in panel["targets"].as_array().expect("targets") {
            let query = target["expr"].as_str().expect("a query");
            check_query(&served, title, query);
            let legend = target["legendFormat"].as_str().expect("a legend");
            for label in between(legend, "{{", "}}") {
                let is_kept = grouped(query).map_or(labels_of(&served, query), Vec::from_iter);
                assert!(is_kept.contains(&label), "{title}: {{{{{label}}}}}");
            }
        }
    }
}

#[test]
fn the_alerts_ask_for_metrics_that_are_served() {
    let rules = read("ringway.rules.yml");
    let rules: Vec<_> = rules.split("- alert: ").skip(1).collect();
    assert_eq!(rules.len(), 11);

    for rule in rules {
        let (alert, rest) = rule.split_once('\n').expect("more lines");
        let (_, query) = rest.split_once("expr: ").expect("a query");
        let query = query.split("labels: ").next().expect("it is before that");
        check_query(&served(), alert, query);
    }
}

/// Every metric is served, counters are used as rates, others are not, and grouping is by labels
/// that they have.
fn check_query(served: &Served, place: &str, query: &str) {
    let names = names(query);
    assert!(!names.is_empty() || query.contains("up{"), "{place}");
    for (name, before) in names {
        let base = name.strip_suffix("_bucket").unwrap_or(name);
        assert!(served.contains_key(base), "{place}: {name} is not served");

        let is_counter = name.ends_with("_total") || name.ends_with("_bucket");
        let is_rate = before.ends_with("rate(") || before.ends_with("increase(");
        assert_eq!(is_counter, is_rate, "{place}: {name}");
    }

    let known = labels_of(served, query);
    for label in grouped(query).into_iter().flatten() {
        let is_known = known.contains(&label) || label == "le";
        assert!(is_known, "{place}: there is no label {label}");
    }
}

/// The labels of all metrics of `query`.
fn labels_of<'t>(served: &'t Served, query: &str) -> Vec<&'t str> {
    let mut labels = ADDED.to_vec();
    for (name, _) in names(query) {
        let base = name.strip_suffix("_bucket").unwrap_or(name);
        let metric = &served[base];
        labels.extend(metric.labels.iter().map(String::as_str));
    }
    labels
}

/// The labels by which `query` groups; `None` if it does not.
fn grouped(query: &str) -> Option<BTreeSet<&str>> {
    let lists = between(query, "by (", ")");
    (!lists.is_empty()).then(|| {
        lists
            .into_iter()
            .flat_map(|list| list.split(", "))
            .collect()
    })
}

/// The names of our metrics in `query`, with the text before each.
fn names(query: &str) -> Vec<(&str, &str)> {
    let starts = query.match_indices("ringway_");
    starts
        .map(|(start, _)| {
            let (before, rest) = query.split_at(start);
            let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            (&rest[..rest.find(is_end).unwrap_or(rest.len())], before)
        })
        .collect()
}

/// What stands between `open` and `close`, each time.
fn between<'t>(text: &'t str, open: &str, close: &str) -> Vec<&'t str> {
    let parts = text.split(open).skip(1);
    parts.filter_map(|part| part.split(close).next()).collect()
}

fn read(file: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/observability");
    fs::read_to_string(dir.join(file)).expect("it is in the repository")
}

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).expect("JSON");
    dashboard["panels"].as_array().expect("panels").clone()
}

/// The metrics of a gateway of which everything can be said.
fn served() -> Served {
    let metrics = Metrics {
        counters: Arc::default(),
        cookies: Arc::new(CookieJar::new().expect("the system has random bytes")),
        forwarder: Arc::default(),
    };
    let text = metrics.text(report()).expect("a text");

    let mut served = Served::new();
    for line in text.lines() {
        if let Some((name, help)) = line
            .strip_prefix("# HELP ")
            .and_then(|it| it.split_once(' '))
        {
            let is_counter = text.contains(&format!("# TYPE {name} counter\n"));
            let suffix = if is_counter { "_total" } else { "" };
            let name = format!("{name}{suffix}");
            served.entry(name).or_default().help = help.trim_end_matches('.').to_owned();
        } else if let Some((name, labels)) = line.split_once('{') {
            let name = name.strip_suffix("_bucket").unwrap_or(name);
            let labels = labels
                .split("\",")
                .filter_map(|label| label.split('=').next());
            let labels = labels.filter(|label| *label != "le").map(str::to_owned);
            served
                .entry(name.to_owned())
                .or_default()
                .labels
                .extend(labels);
        }
    }
    for (name, labels) in WITHOUT_SERIES {
        let metric = served.get_mut(name).expect("it is served");
        metric.labels = labels.map(str::to_owned).into();
    }
    served.retain(|name, _| !name.ends_with("_sum") && !name.ends_with("_count"));
    served
}

fn report() -> Report {
    let counts = || BTreeMap::from([("any".to_owned(), 1)]);
    let date = "2026-01-31T00:00:00Z".to_owned();

    Report {
        role: Some(RoleReport::default()),
        site: SiteReport {
            takeovers: counts(),
            ..SiteReport::default()
        },
        last_reload: Some(ReloadReport::default()),
        tunnels: vec![TunnelReport {
            rtt_us: Some(1),
            probes_sent: 1,
            drops: counts(),
            certificate_until: Some(date.clone()),
            round_trips: RoundTripsReport {
                bounds_us: vec![500],
                counts: vec![0, 0],
                sum_us: 0,
            },
            ..TunnelReport::default()
        }],
        routes: vec![RouteReport::default()],
        announce: vec![AnnouncementReport::default()],
        zones: vec![ZoneReport {
            serial: Some(1),
            age_s: Some(1),
            ..ZoneReport::default()
        }],
        checks: vec![CheckReport {
            host: String::new(),
            address: String::new(),
            state: String::new(),
            since: String::new(),
            error: None,
        }],
        certificates: vec![CertificateReport {
            subject: String::new(),
            not_after: date,
            is_due: false,
        }],
        refusals: counts(),
        drops: counts(),
        restored: counts(),
        policy: PolicyReport {
            drops: counts(),
            orgs: counts(),
            rules: vec![RuleReport {
                place: String::new(),
                arrives: true,
                from: Vec::new(),
                to: Vec::new(),
                services: Vec::new(),
                opened: Some(0),
            }],
            ..PolicyReport::default()
        },
        ..Report::default()
    }
}
