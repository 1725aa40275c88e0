//! What people see, at several widths, with many peers, and with hostile strings.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use clap::Parser as _;
use ringway_config::Escaped;
use ringway_intent::Remedy;

use super::*;
use crate::admin::attention::{Beginnings, complete};
use crate::admin::report::{
    CertificateReport, CheckReport, DaemonReport, EndpointReport, FragmentReport, HeldRecordReport,
    OutageReport, PeerCertificateReport, RecordDriftReport, RevocationListReport, RouteReport,
    TunnelReport, ZoneReport,
};
use crate::json;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args(words: &str) -> Args {
    let line = ["status", "-c", "x.toml"]
        .into_iter()
        .chain(words.split_whitespace());
    Line::try_parse_from(line).unwrap().args
}

fn shown(report: &Report, words: &str) -> String {
    whole(report, &args(words), &Screen::plain(80))
}

fn tunnel(number: usize) -> TunnelReport {
    TunnelReport {
        peer: format!("gateway.organization{number}"),
        org: format!("organization{number}"),
        address: Some("198.51.100.107:46000".to_owned()),
        endpoints: vec![EndpointReport {
            endpoint: "gateway.organization.example:4600".to_owned(),
            result: Some("connected".to_owned()),
            at: Some("2026-01-01T00:00:00Z".to_owned()),
        }],
        state: "up".to_owned(),
        since: "2026-01-01T00:00:00Z".to_owned(),
        age_s: 90_000,
        rtt_us: Some(30_400),
        probes_sent: 128,
        probes_lost: 1,
        path_mtu: 1500,
        tx_bytes: 1_234_567,
        rx_bytes: 7_654_321,
        ..TunnelReport::default()
    }
}

/// Fifty peers, of which one is down.
fn many() -> Report {
    let mut tunnels: Vec<TunnelReport> = (1..=50).rev().map(tunnel).collect();
    let last = &mut tunnels[0];
    last.state = "down".to_owned();
    last.last_error = Some(format!(
        "no answer from {}",
        "203.0.113.9:4600, ".repeat(12)
    ));
    last.outages = vec![OutageReport {
        began: "2026-01-02T03:04:05Z".to_owned(),
        lasted_s: Some(2.25),
        reason: "no data packets came back from the peer".to_owned(),
    }];
    let routes = (1..=50).map(|number| RouteReport {
        prefix: format!("10.{number}.0.0/16"),
        org: format!("organization{number}"),
        gateway: Some(format!("gateway.organization{number}")),
        verdict: "available".to_owned(),
        installed: number != 50,
        ..RouteReport::default()
    });

    let mut report = Report {
        gateway: "gw.acme".to_owned(),
        daemon: DaemonReport {
            version: "0.2.0".to_owned(),
            pid: 4711,
            uptime_s: 90_000,
            site: "east".to_owned(),
            config: "/etc/ringway/gateway.toml".to_owned(),
            listen: "0.0.0.0:4600".to_owned(),
            endpoints: vec!["198.51.100.7:4600".to_owned()],
            dns: vec!["10.1.0.2:53".to_owned()],
            ..DaemonReport::default()
        },
        tunnels,
        routes: routes.collect(),
        ..Report::default()
    };
    complete(&mut report, &mut Beginnings::default(), UNIX_EPOCH);
    report
}

#[test]
fn one_peer_without_a_finding_does_not_hide_that_others_have_some() {
    let report = many();
    let text = shown(&report, "--peer gateway.organization1");
    assert_eq!(
        text.lines().next(),
        Some(
            "Nothing about gateway.organization1 needs attention. Findings about others: 1 \
             (ringway status -c x.toml)"
        )
    );

    let good = Report {
        attention: Vec::new(),
        ..report
    };
    let text = shown(&good, "--peer gateway.organization1");
    assert_eq!(text.lines().next(), Some("Nothing needs attention."));
}

#[test]
fn attention_comes_first_then_a_summary_then_the_tunnels_in_natural_order() {
    let text = shown(&many(), "");
    let lines: Vec<&str> = text.lines().collect();

    assert_eq!(lines[0], "Attention (1)");
    assert!(lines[1].starts_with("  tunnel-down since "), "{text}");
    assert!(
        text.contains("\ngateway gw.acme: 49 of 50 tunnels up\n"),
        "{text}"
    );
    let peers: Vec<usize> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("gateway.organization")?.split(' ').next())
        .map(|number| number.parse().unwrap())
        .collect();
    assert_eq!(peers, (1..=50).collect::<Vec<_>>());
}

#[test]
fn nothing_is_wider_than_the_screen() {
    for width in [40, 60, 80, 132] {
        let text = whole(&many(), &args(""), &Screen::plain(width));
        // Commands are never folded.
        let folded = text.lines().filter(|line| !line.contains("to fix it: "));
        let widest = folded.map(|line| line.chars().count()).max().unwrap();
        // The columns that say how the tunnels are stay, however narrow it is.
        assert!(widest <= width.max(62), "{width}: {widest}\n{text}");
    }
    assert!(shown(&many(), "").contains("  MTU"));
    assert!(whole(&many(), &args(""), &Screen::plain(132)).contains("RECEIVED"));
}

#[test]
fn a_remedy_can_be_copied_in_one_line_and_names_the_file() {
    let mut report = many();
    let command = format!(
        "iptables -I FORWARD -i {} -j ACCEPT",
        "ringway0 ".repeat(20)
    );
    report.attention[0].fix = Remedy::command(&command);
    report.daemon.config = format!("/etc/a directory/{}", "x".repeat(80));
    let text = shown(&report, "");

    assert!(
        text.contains(&format!("\n    to fix it: {command}\n")),
        "{text}"
    );
    assert!(
        text.contains(&format!("\n  file    {}\n", report.daemon.config)),
        "{text}"
    );
    let text = shown(&many(), "");
    let remedy = "to fix it: ringway status --peer gateway.organization50 -c x.toml   # shows";
    assert!(text.contains(remedy), "{text}");
}

#[test]
fn rows_in_order_are_counted_unless_all_are_asked_for() {
    let text = shown(&many(), "");
    assert!(text.contains("49 of 50 prefixes reachable"), "{text}");
    assert!(text.contains("49 in order are not shown (--all)"), "{text}");
    let bad: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("unreachable"))
        .collect();
    assert_eq!(bad.len(), 1, "{text}");
    assert!(
        !bad[0].contains("available"),
        "one word for the state: {}",
        bad[0]
    );

    let all = shown(&many(), "--all");
    assert_eq!(all.matches("  reachable  ").count(), 49, "{all}");
}

#[test]
fn one_peer_is_shown_with_all_that_is_known() {
    let text = shown(&many(), "--peer gateway.organization50");
    for part in [
        "gateway.organization50  down for 1 d 1 h (since 2026-01-01T00:00:00Z)\n",
        "  address       198.51.100.107:46000\n",
        "  loss          1 of the last 128 probes",
        "  path MTU      1500 bytes",
        "  endpoint      gateway.organization.example:4600: connected\n",
        "  outage        from 2026-01-02T03:04:05Z for 2.2 s: no data packets came back",
        "tunnel-down",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(
        !text.contains("gateway.organization49") && !text.contains("prefixes"),
        "{text}"
    );

    let org = shown(&many(), "--org organization7");
    assert!(org.contains("gateway.organization7  up for"), "{org}");
    assert!(org.contains("1 of 1 prefixes reachable"), "{org}");
    assert!(!org.contains("organization50"), "{org}");
}

#[test]
fn the_line_of_a_check_says_how_it_is() {
    let line = line(&many());
    assert!(
        line.starts_with("attention: 49 of 50 tunnels up; the tunnel to gateway.organization50"),
        "{line}"
    );
    assert_eq!(line.lines().count(), 1);
}

#[test]
fn many_of_one_kind_do_not_hide_the_rest() {
    let mut report = many();
    for tunnel in &mut report.tunnels[..40] {
        tunnel.state = "down".to_owned();
    }
    report.attention.clear();
    report.grace_without_end = true;
    complete(&mut report, &mut Beginnings::default(), UNIX_EPOCH);

    let text = shown(&report, "");
    assert!(text.starts_with("Attention (41)\n"), "{text}");
    assert_eq!(text.matches("  tunnel-down since").count(), MOST, "{text}");
    assert!(
        text.contains("and 35 more of tunnel-down (--json)"),
        "{text}"
    );
    assert!(text.contains("  grace since"), "{text}");
}

#[test]
fn a_page_of_a_watch_fits_the_screen() {
    let screen = Screen::terminal(80, 24);
    let page = screen.page(&whole(&many(), &args(""), &screen));
    assert!(page.starts_with("\u{1b}[H\u{1b}[2J"));
    let rows: usize = page.lines().map(|line| screen.rows(line)).sum();
    assert!((22..=23).contains(&rows), "{rows}: {page}");
    assert!(page.contains("\u{1b}[1;31mAttention (1)\u{1b}[0m"));
    assert!(page.ends_with(" more lines"), "{page}");
}

/// Controls a terminal in several ways, starts lines, hides and reorders.
const HOSTILE: &str =
    "X\u{1b}[A\u{1b}[2K\u{9b}2J\r\n\0\u{7}\u{202e}\u{2066}\u{200b}\u{2028}\u{e0041}Y";

fn hostile_counts() -> BTreeMap<String, u64> {
    BTreeMap::from([(HOSTILE.to_owned(), 1)])
}

fn hostile_reasons() -> BTreeMap<String, String> {
    BTreeMap::from([(HOSTILE.to_owned(), HOSTILE.to_owned())])
}

fn hostile_tunnel(state: &str) -> TunnelReport {
    TunnelReport {
        peer: HOSTILE.into(),
        org: HOSTILE.into(),
        address: Some(HOSTILE.into()),
        endpoints: vec![EndpointReport {
            endpoint: HOSTILE.into(),
            result: Some(HOSTILE.into()),
            at: Some(HOSTILE.into()),
        }],
        certificate_until: Some(HOSTILE.into()),
        state: state.into(),
        since: HOSTILE.into(),
        age_s: 3600,
        outages: vec![OutageReport {
            began: HOSTILE.into(),
            lasted_s: None,
            reason: HOSTILE.into(),
        }],
        drops: hostile_counts(),
        last_error: Some(HOSTILE.into()),
        records_differ: vec![HOSTILE.into()],
        record_drift: vec![hostile_drift()],
        certificate: Some(PeerCertificateReport {
            serial: HOSTILE.into(),
            fingerprint: HOSTILE.into(),
            not_after: HOSTILE.into(),
        }),
        refused: hostile_reasons(),
        refused_by_peer: hostile_reasons(),
        ..TunnelReport::default()
    }
}

fn hostile_drift() -> RecordDriftReport {
    let held = HeldRecordReport {
        serial: 3,
        digest: HOSTILE.into(),
    };
    RecordDriftReport {
        org: HOSTILE.into(),
        kind: HOSTILE.into(),
        ours: Some(held.clone()),
        theirs: Some(held),
        what: HOSTILE.into(),
    }
}

fn hostile_zone() -> ZoneReport {
    ZoneReport {
        apex: HOSTILE.into(),
        serial: Some(1),
        age_s: Some(1),
        origin: HOSTILE.into(),
        refused: Some(HOSTILE.into()),
        stale: true,
        complete: false,
        fragments: vec![FragmentReport {
            gateway: HOSTILE.into(),
            state: "missing".into(),
            records: None,
            refused: Some(HOSTILE.into()),
            left_out: vec![HOSTILE.into()],
        }],
        refused_by: vec![HOSTILE.into()],
        left_out_by: vec![HOSTILE.into()],
    }
}

fn hostile_report() -> Report {
    let mut report = Report {
        gateway: HOSTILE.into(),
        daemon: hostile_daemon(),
        last_reload: Some(ReloadReport {
            at: HOSTILE.into(),
            ..ReloadReport::default()
        }),
        tunnels: vec![hostile_tunnel("down"), hostile_tunnel(HOSTILE)],
        routes: vec![hostile_route()],
        zones: vec![hostile_zone()],
        certificates: vec![hostile_certificate()],
        revocation_lists: vec![hostile_list()],
        checks: vec![hostile_check()],
        drops: hostile_counts(),
        filtered: hostile_counts(),
        attention: vec![hostile_attention()],
        refusals: hostile_counts(),
        restored: hostile_counts(),
        grace_without_end: true,
        tun_recreated: 1,
        ..Report::default()
    };
    report.policy = PolicyReport {
        flows_evicted: 1,
        flows_unrecorded: 1,
        grace: 1,
        drops: hostile_counts(),
        orgs: hostile_counts(),
        ..PolicyReport::default()
    };
    complete(&mut report, &mut Beginnings::default(), UNIX_EPOCH);
    report
}

fn hostile_daemon() -> DaemonReport {
    DaemonReport {
        version: HOSTILE.into(),
        site: HOSTILE.into(),
        config: HOSTILE.into(),
        state_dir: HOSTILE.into(),
        socket: HOSTILE.into(),
        tun: HOSTILE.into(),
        listen: HOSTILE.into(),
        endpoints: vec![HOSTILE.into()],
        dns: vec![HOSTILE.into()],
        ..DaemonReport::default()
    }
}

fn hostile_route() -> RouteReport {
    RouteReport {
        prefix: HOSTILE.into(),
        org: HOSTILE.into(),
        site: HOSTILE.into(),
        via: Some(HOSTILE.into()),
        served_here: false,
        gateway: Some(HOSTILE.into()),
        by_sibling: true,
        verdict: HOSTILE.into(),
        refused: Some(HOSTILE.into()),
        conflict_with: Some(HOSTILE.into()),
        conflict_kind: crate::admin::report::ConflictKind::Site,
        installed: true,
    }
}

fn hostile_certificate() -> CertificateReport {
    CertificateReport {
        subject: HOSTILE.into(),
        not_after: HOSTILE.into(),
        is_due: true,
    }
}

fn hostile_list() -> RevocationListReport {
    RevocationListReport {
        org: HOSTILE.into(),
        issuer: HOSTILE.into(),
        number: HOSTILE.into(),
        revoked: 1,
        next_update: HOSTILE.into(),
        stale: true,
    }
}

fn hostile_check() -> CheckReport {
    CheckReport {
        host: HOSTILE.into(),
        address: HOSTILE.into(),
        state: HOSTILE.into(),
        since: HOSTILE.into(),
        error: Some(HOSTILE.into()),
    }
}

fn hostile_attention() -> AttentionReport {
    AttentionReport {
        kind: HOSTILE.into(),
        name: HOSTILE.into(),
        what: HOSTILE.into(),
        since: HOSTILE.into(),
        remedy: HOSTILE.into(),
        fix: HOSTILE.into(),
    }
}

#[test]
fn no_text_of_a_report_reaches_the_terminal() {
    let report = hostile_report();
    let by_org = format!("--org={HOSTILE}").replace(['\r', '\n', '\u{2028}'], "");
    let mut texts: Vec<String> = ["", "--all", "--drops"]
        .iter()
        .map(|words| shown(&report, words))
        .collect();
    texts.push(shown(&report, &by_org));
    texts.push(line(&report));
    let mut one = args("");
    one.peer = Some(HOSTILE.to_owned());
    texts.push(whole(&report, &one, &Screen::plain(80)));

    for text in texts {
        assert!(
            text.contains(r"X\u{1b}[A") || text.starts_with("Nothing"),
            "{text}"
        );
        for line in text.lines() {
            assert_eq!(Escaped(line).to_string(), line, "not printable");
        }
    }

    let json = json::document(&report).unwrap();
    for line in json.lines() {
        assert_eq!(Escaped(line).to_string(), line, "not printable");
    }
    let read: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(read.gateway, HOSTILE, "JSON keeps the value");
}
