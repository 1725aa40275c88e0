//! The findings that are on the list, and those that are not.

mod refused;

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use ringway_core::RefuseReason;

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
    complete(&mut report, &mut Beginnings::default(), now());
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
fn a_gateway_whose_identity_is_used_elsewhere_says_so_once() {
    let displaced = |peer| TunnelReport {
        displaced: true,
        ..tunnel(peer, "down")
    };
    let mut report = of_tunnels(vec![displaced("gw.beta"), displaced("gw.gamma")]);
    complete(&mut report, &mut Beginnings::default(), now());

    let found = &report.attention;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].kind, "duplicate-identity");
    assert!(
        found[0]
            .remedy
            .starts_with("ringway cert renew --new-key   # ")
    );

    // Where the mesh has raised it, it is not said twice.
    let mut report = of_tunnels(vec![displaced("gw.beta")]);
    let raised = item(Kind::DuplicateIdentity, "ours", "raised", "");
    report.attention = vec![AttentionReport {
        name: "identity ours".to_owned(),
        ..raised
    }];
    assert_eq!(kinds(report).0, ["duplicate-identity"]);
}

#[test]
fn an_overlap_with_this_host_is_not_reported_as_one_of_two_organizations() {
    assert!(
        agreement(ConflictKind::Host)
            .to_string()
            .starts_with("ip address show")
    );
    assert!(
        agreement(ConflictKind::Reserved)
            .to_string()
            .contains("reserves")
    );
    assert!(
        agreement(ConflictKind::Site)
            .to_string()
            .contains("two organizations")
    );
}

/// What is shown is chosen by others: an organization or an interface may be called anything.
#[test]
fn no_text_decides_what_needs_attention() {
    let words = "another daemon uses this identity (connected to lan0) (reserved, a)";
    let mut peer = tunnel("gw.beta", "down");
    peer.age_s = 100;
    peer.last_error = Some(words.to_owned());
    let mut report = of_tunnels(vec![peer]);
    report.routes = vec![RouteReport {
        conflict_with: Some(words.to_owned()),
        conflict_kind: ConflictKind::Site,
        ..RouteReport::default()
    }];
    complete(&mut report, &mut Beginnings::default(), now());

    let found: Vec<&str> = report.attention.iter().map(|item| &*item.kind).collect();
    assert_eq!(found, ["tunnel-down", "prefix-conflict"]);
    assert!(
        report.attention[1]
            .remedy
            .starts_with("the two organizations")
    );
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
fn a_tunnel_that_is_down_names_the_sibling_that_passes_packets_on() {
    let mut peer = tunnel("gw.beta", "down");
    peer.age_s = 100;
    let mut report = of_tunnels(vec![peer, tunnel("gw.gamma", "up")]);
    for prefix in ["10.2.0.0/16", "fd00:2::/32"] {
        report.routes.push(RouteReport {
            prefix: prefix.to_owned(),
            org: "beta".to_owned(),
            gateway: Some("gw2.acme".to_owned()),
            verdict: "available".to_owned(),
            by_sibling: true,
            ..RouteReport::default()
        });
    }
    complete(&mut report, &mut Beginnings::default(), now());

    assert_eq!(
        report.attention[0].what,
        "the tunnel to gw.beta is down: no answer yet; gw2.acme, of this site, passes packets to \
         10.2.0.0/16 and 1 more on"
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
fn findings_have_their_kind_and_causes_come_first() {
    let raised = |name: &str| item(Kind::Other, name, "x", "");
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

    complete(&mut report, &mut Beginnings::default(), now());
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
        ..RouteReport::default()
    }];
    for prefix in ["10.8.0.0/24", "10.8.1.0/24"] {
        report.routes.push(RouteReport {
            prefix: prefix.to_owned(),
            org: "beta".to_owned(),
            site: "idc".to_owned(),
            via: Some("gamma/east".to_owned()),
            verdict: "refused".to_owned(),
            refused: Some("the record of gamma does not consent to it".to_owned()),
            ..RouteReport::default()
        });
    }
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
        "site-refused",
        "zone-stale",
        "names-left-out",
        "grace",
    ];
    let (found, state) = kinds(report);
    assert_eq!(found, expected);
    assert_eq!(state, "attention");
}

/// Of a report with one tunnel that is up.
fn of_one() -> Report {
    of_tunnels(vec![tunnel("gw.beta", "up")])
}

#[test]
fn a_gateway_that_waits_for_the_right_time_is_down() {
    for mut report in [Report::default(), of_one()] {
        let mut waiting = item(Kind::Clock, "", "waiting", "");
        waiting.name = "clock".to_owned();
        report.attention.push(waiting);
        assert_eq!(kinds(report), (vec!["clock".to_owned()], "down".to_owned()));
    }
}

#[test]
fn an_item_has_the_time_of_its_tunnel_or_that_of_the_first_report_with_it() {
    let mut beginnings = Beginnings::default();
    let mut since = |grace_without_end, after: u64| {
        let mut report = of_tunnels(vec![tunnel("gw.beta", "down"), tunnel("gw.gamma", "up")]);
        report.grace_without_end = grace_without_end;
        let asked = now() + Duration::from_secs(after);
        complete(&mut report, &mut beginnings, asked);
        let since = report.attention.into_iter().map(|item| item.since);
        since.collect::<Vec<_>>()
    };

    let tunnel = "2026-01-01T00:00:00Z";
    assert_eq!(since(true, 0), [tunnel, "2026-01-31T00:00:00Z"]);
    assert_eq!(since(true, 60), [tunnel, "2026-01-31T00:00:00Z"]);
    // It ends, and begins again.
    assert_eq!(since(false, 120), [tunnel]);
    assert_eq!(since(true, 180), [tunnel, "2026-01-31T00:03:00Z"]);
}

#[test]
fn a_claim_that_is_refused_for_a_conflict_is_no_finding_beside_the_conflict() {
    let refused = |prefix: &str| {
        let reason = "outside the site's authorized prefixes".to_owned();
        let mut report = of_tunnels(vec![TunnelReport {
            refused: BTreeMap::from([(prefix.to_owned(), reason)]),
            ..tunnel("gw.beta", "up")
        }]);
        report.routes.push(RouteReport {
            prefix: "10.10.1.0/24".to_owned(),
            conflict_with: Some("10.10.1.0/24 of this host".to_owned()),
            ..RouteReport::default()
        });
        kinds(report).0
    };

    assert_eq!(refused("10.10.1.0/24"), ["prefix-conflict"]);
    assert_eq!(
        refused("10.10.2.0/24"),
        ["prefix-refused", "prefix-conflict"]
    );
}

#[test]
fn a_claim_that_an_older_record_does_not_list_is_no_finding_beside_that_record() {
    let reported = |org: &str, kind: &str| {
        let reason = RefuseReason::NotAuthorized.to_string();
        let refused = BTreeMap::from([("10.9.0.0/24".to_owned(), reason)]);
        let mut peer = tunnel("gw.beta", "up");
        peer.record_drift = vec![RecordDriftReport {
            org: org.to_owned(),
            kind: kind.to_owned(),
            ours: None,
            theirs: None,
            what: "differs".to_owned(),
        }];
        peer.refused = refused.clone();
        peer.refused_by_peer = refused;
        let report = Report {
            gateway: "gw.acme".to_owned(),
            ..of_tunnels(vec![peer])
        };
        kinds(report).0
    };
    let [differs, theirs, ours] = ["records-differ", "prefix-refused", "our-prefix-refused"];

    assert_eq!(reported("beta", "we-are-older"), [differs, ours]);
    assert_eq!(reported("acme", "peer-is-older"), [differs, theirs]);
    assert_eq!(reported("gamma", "we-are-older"), [differs, theirs, ours]);
}

#[test]
fn what_siblings_refuse_of_each_other_for_different_nodes_is_no_finding_beside_that() {
    let reported = |theirs: Option<&str>| {
        let reason = RefuseReason::LocalSite.to_string();
        let refused = BTreeMap::from([("10.9.5.10/32".to_owned(), reason)]);
        let mut peer = tunnel("gw2.acme", "up");
        peer.refused = refused.clone();
        peer.refused_by_peer = refused;
        let mut report = of_tunnels(vec![peer]);
        report.site.nodes = Some("a".to_owned());
        report.site.siblings = vec![SiblingReport {
            gateway: "gw2.acme".to_owned(),
            nodes: theirs.map(str::to_owned),
            compared_s: 60,
            ..SiblingReport::default()
        }];
        kinds(report).0
    };

    assert_eq!(reported(Some("b")), ["takeover"]);
    let both = ["prefix-refused", "our-prefix-refused"];
    assert_eq!(reported(Some("a")), both);
    assert_eq!(reported(None), both);
}

#[test]
fn an_overdue_revocation_list_is_listed_once() {
    let list = |stale| RevocationListReport {
        org: "beta".to_owned(),
        issuer: "CN=CA".to_owned(),
        stale,
        number: "01".to_owned(),
        revoked: 0,
        next_update: "2026-01-30T00:00:00Z".to_owned(),
    };
    let mut report = of_one();
    report.revocation_lists = vec![list(false)];
    assert_eq!(kinds(report.clone()).0, [""; 0]);
    report.revocation_lists = vec![list(true)];
    assert_eq!(kinds(report.clone()).0, ["revocation-list"]);

    // The daemon says more about it.
    let mut raised = item(Kind::Other, "", "overdue since yesterday", "");
    raised.name = "revocation-list beta".to_owned();
    report.attention.push(raised);
    assert_eq!(kinds(report).0, ["revocation-list"]);
}

#[test]
fn records_that_differ_are_listed_once() {
    let mut peer = tunnel("gw.beta", "up");
    peer.record_drift = vec![RecordDriftReport {
        org: "gamma".to_owned(),
        kind: "peer-is-older".to_owned(),
        ours: None,
        theirs: None,
        what: "gw.beta holds an older record of gamma".to_owned(),
    }];
    let mut report = of_tunnels(vec![peer]);
    let mut raised = item(Kind::Other, "", "gw.beta holds older records", "");
    raised.name = "records gw.beta".to_owned();
    report.attention.push(raised);
    complete(&mut report, &mut Beginnings::default(), now());
    assert_eq!(report.attention.len(), 1, "{:?}", report.attention);
    assert_eq!(report.attention[0].kind, "records-differ");
    assert_eq!(report.attention[0].what, "gw.beta holds older records");
}

/// How certificates that end at these times are listed: ours, which is due or not, a CA's, and the
/// peer's.
fn expiring(ours: (&str, bool), authority: &str, peer: &str) -> Vec<String> {
    let certificate = |not_after: &str, is_due| CertificateReport {
        subject: "CN=x".to_owned(),
        not_after: format!("{not_after}T00:00:00Z"),
        is_due,
    };
    let mut tunnel = tunnel("gw.beta", "up");
    tunnel.certificate_until = Some(format!("{peer}T00:00:00Z"));
    let mut report = of_tunnels(vec![tunnel]);
    report.certificates = vec![certificate(ours.0, ours.1), certificate(authority, true)];

    complete(&mut report, &mut Beginnings::default(), now());
    let names = report.attention.iter().map(|item| item.name.clone());
    names.collect()
}

#[test]
fn each_certificate_has_its_own_time_to_be_listed() {
    const FAR: &str = "2027-01-01";
    let ours = "certificate-expiry our certificate (CN=x)";
    let authority = "certificate-expiry the CA certificate CN=x";
    let peers = "certificate-expiry the certificate of gw.beta";

    assert_eq!(expiring((FAR, false), FAR, FAR), [""; 0]);
    // Ours when it is due, however long it lasts, and in any case when it has ended.
    assert_eq!(expiring((FAR, true), FAR, FAR), [ours]);
    assert_eq!(expiring(("2026-02-02", false), FAR, FAR), [""; 0]);
    assert_eq!(expiring(("2026-01-30", false), FAR, FAR), [ours]);
    // A CA's in its last 30 days, a peer's in its last 7.
    assert_eq!(expiring((FAR, false), "2026-03-01", FAR), [authority]);
    assert_eq!(expiring((FAR, false), "2026-03-02", FAR), [""; 0]);
    assert_eq!(expiring((FAR, false), FAR, "2026-02-06"), [peers]);
    assert_eq!(expiring((FAR, false), FAR, "2026-02-07"), [""; 0]);
}

#[test]
fn every_kind_keeps_its_word_and_is_in_the_table() {
    let table = include_str!("../attention.rs");
    for kind in Kind::ALL {
        assert_eq!(Kind::named(kind.word()), *kind);
        let word = format!("`{}`", kind.word());
        let mut rows = table.lines().filter(|line| line.starts_with("//! |"));
        assert!(rows.any(|row| row.contains(&word)), "{word}");
    }
}

#[test]
fn names_of_ours_that_others_leave_out_need_attention() {
    let mut report = of_tunnels(Vec::new());
    report.zones = vec![ZoneReport {
        apex: "acme.example".to_owned(),
        left_out_by: vec![
            "gw.beta: not answered: old.acme.example A of gw".to_owned(),
            "gw.gamma: not answered: old.acme.example A of gw".to_owned(),
        ],
        ..ZoneReport::default()
    }];
    complete(&mut report, &mut Beginnings::default(), now());

    let found = &report.attention[0];
    assert_eq!(found.kind, "names-left-out");
    assert!(found.what.contains("gw.beta: not answered") && found.what.ends_with("and 1 more"));
}
