//! What is on the list, and what is not.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::admin::report::{
    CertificateReport, DaemonReport, EndpointReport, FragmentReport, OutageReport,
    RecordDriftReport,
};

/// 2026-01-31T00:00:00Z.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_769_817_600)
}

fn tunnel(peer: &str, state: &str) -> TunnelReport {
    TunnelReport {
        peer: peer.to_owned(),
        org: "beta".to_owned(),
        state: state.to_owned(),
        since: "2026-01-01T00:00:00Z".to_owned(),
        age_s: 3600,
        endpoints: vec![EndpointReport {
            endpoint: "203.0.113.9:4600".to_owned(),
            result: None,
            at: None,
        }],
        ..TunnelReport::default()
    }
}

fn kinds(mut report: Report) -> (Vec<String>, String) {
    complete(&mut report, now());
    let kinds = report.attention.iter().map(|item| item.kind.clone());
    (kinds.collect(), report.state)
}

fn of_tunnels(tunnels: Vec<TunnelReport>) -> Report {
    Report {
        tunnels,
        daemon: DaemonReport {
            endpoints: vec!["198.51.100.7:4600".to_owned()],
            ..DaemonReport::default()
        },
        ..Report::default()
    }
}

#[test]
fn a_gateway_alone_or_with_its_tunnels_up_is_good() {
    assert_eq!(kinds(Report::default()), (vec![], "good".to_owned()));
    let report = of_tunnels(vec![tunnel("gw.beta", "up")]);
    assert_eq!(kinds(report), (vec![], "good".to_owned()));
}

#[test]
fn a_start_is_no_trouble_and_an_outage_is_at_once() {
    let mut first = tunnel("gw.beta", "down");
    first.age_s = 2;
    assert_eq!(kinds(of_tunnels(vec![first.clone()])).0, [""; 0]);

    first.outages = vec![OutageReport {
        began: String::new(),
        lasted_s: None,
        reason: "the peer is gone".to_owned(),
    }];
    let report = of_tunnels(vec![first, tunnel("gw.gamma", "up")]);
    assert_eq!(
        kinds(report),
        (vec!["tunnel-down".to_owned()], "attention".to_owned())
    );
}

#[test]
fn without_any_tunnel_up_the_gateway_is_down() {
    let report = of_tunnels(vec![
        tunnel("gw.beta", "down"),
        tunnel("gw.gamma", "connecting"),
    ]);
    assert_eq!(
        kinds(report),
        (vec!["tunnel-down".to_owned()], "down".to_owned())
    );
}

#[test]
fn two_gateways_without_endpoints_can_never_meet() {
    let mut peer = tunnel("gw.beta", "down");
    peer.endpoints.clear();

    let mut report = of_tunnels(vec![peer.clone(), tunnel("gw.gamma", "up")]);
    assert_eq!(kinds(report.clone()).0, ["tunnel-down"], "it can dial us");
    report.daemon.endpoints.clear();
    assert_eq!(kinds(report).0, ["never-meet"]);
}

#[test]
fn what_was_raised_comes_with_its_kind_and_causes_come_first() {
    let raised = |name: &str| item("", name, "x", "");
    let mut report = of_tunnels(vec![tunnel("gw.beta", "down"), tunnel("gw.gamma", "up")]);
    for name in [
        "names refused-by gw.beta",
        "names refused gw.beta",
        "missing table",
        "foreign filter ip filter FORWARD",
        "route IPv4 from eth0",
        "policy-test",
        "reload",
        "identity gw.beta",
        "certificate",
        "state records",
        "something new",
    ] {
        let mut item = raised("");
        item.name = name.to_owned();
        report.attention.push(item);
    }

    let expected = [
        "duplicate-identity",
        "reload-refused",
        "certificate-refused",
        "kernel-state",
        "state",
        "foreign-firewall",
        "foreign-route",
        "our-zone-refused",
        "zone-refused",
        "policy-test",
        "other",
        "tunnel-down",
    ];
    assert_eq!(kinds(report).0, expected);
}

#[test]
fn certificates_are_listed_before_they_end() {
    let until = |not_after: &str| CertificateReport {
        subject: "CN=x".to_owned(),
        not_after: not_after.to_owned(),
        is_due: true,
    };
    let mut peer = tunnel("gw.beta", "up");
    peer.certificate_until = Some("2026-02-03T00:00:00Z".to_owned());
    let mut report = of_tunnels(vec![peer]);
    report.certificates = vec![
        until("2026-02-20T00:00:00Z"),
        until("2026-03-20T00:00:00Z"),
        until("2026-01-30T00:00:00Z"),
    ];

    complete(&mut report, now());
    let texts: Vec<&str> = report
        .attention
        .iter()
        .map(|item| item.what.as_str())
        .collect();
    assert_eq!(
        texts,
        [
            "the certificate of gw.beta expires in 3 days: it is valid until 2026-02-03T00:00:00Z",
            "our certificate (CN=x) expires in 20 days: it is valid until 2026-02-20T00:00:00Z",
            "the CA certificate CN=x has expired: it was valid until 2026-01-30T00:00:00Z",
        ]
    );
    assert_eq!(report.state, "attention");
}

#[test]
fn refusals_conflicts_and_names_are_listed() {
    let refused = BTreeMap::from([
        ("10.0.0.0/24".to_owned(), "in conflict".to_owned()),
        ("10.0.1.0/24".to_owned(), "in conflict".to_owned()),
    ]);
    let mut peer = tunnel("gw.beta", "up");
    peer.record_drift = vec![RecordDriftReport {
        org: "gamma".to_owned(),
        kind: "peer-is-older".to_owned(),
        ours: None,
        theirs: None,
        what: "gw.beta holds an older record of gamma".to_owned(),
    }];
    peer.refused = refused.clone();
    peer.refused_by_peer = refused;
    let mut report = of_tunnels(vec![peer]);
    report.routes = vec![RouteReport {
        prefix: "10.9.0.0/24".to_owned(),
        org: "beta".to_owned(),
        gateway: None,
        verdict: "conflicted".to_owned(),
        conflict_with: Some("10.9.0.0/16 (reserved, gateway.toml:9:13)".to_owned()),
        installed: false,
    }];
    report.zones = vec![ZoneReport {
        apex: "beta.example".to_owned(),
        stale: true,
        fragments: vec![FragmentReport {
            gateway: "gw.beta".to_owned(),
            state: "expired".to_owned(),
            records: None,
            refused: None,
            left_out: vec!["x.beta.example: outside the prefixes".to_owned()],
        }],
        ..ZoneReport::default()
    }];
    report.grace_without_end = true;

    let expected = [
        "records-differ",
        "prefix-refused",
        "our-prefix-refused",
        "prefix-conflict",
        "zone-stale",
        "names-left-out",
        "grace",
    ];
    let (found, state) = kinds(report);
    assert_eq!(found, expected);
    assert_eq!(state, "attention");
}
