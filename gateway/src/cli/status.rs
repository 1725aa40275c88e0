//! `ringway status`: a running gateway's tunnels, routes, zones and certificates.

use std::collections::BTreeMap;
use std::process::ExitCode;

use ringway_config::Escaped;

use super::table::Table;
use super::{ConfigFile, Failure, answer};
use crate::admin::report::{PolicyReport, RecordDriftReport, TunnelReport, ZoneReport};
use crate::admin::{Report, socket};
use crate::json;

/// Arguments of `ringway status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway to ask
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs `ringway status`.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let report = socket::ask(&ringway_config::socket_of(&args.config.path)?)?;
    if args.json {
        answer(json::pretty(&report).map_err(anyhow::Error::from)?)
    } else {
        answer(text(&report))
    }
}

/// The report as tables. Problems are notes in the row that they concern.
fn text(report: &Report) -> String {
    let sections = [
        tunnels(report),
        routes(report),
        zones(report),
        certificates(report),
        revocation_lists(report),
        peer_certificates(report),
    ];
    let gateway = Escaped(&report.gateway);
    let mut text = format!("gateway {gateway}\n");
    // First: a table that fills the screen must not hide it.
    text.push_str(&attention(report));
    for section in sections.iter().filter(|section| !section.is_empty()) {
        text.push_str(&format!("\n{section}"));
    }

    if !report.drops.is_empty() {
        text.push_str(&format!(
            "\ndropped, of no peer: {}\n",
            counted(&report.drops)
        ));
    }
    if !report.refusals.is_empty() {
        text.push_str(&format!(
            "\nrefused handshakes: {}\n",
            counted(&report.refusals)
        ));
    }
    if !report.filtered.is_empty() {
        text.push_str(&format!(
            "\ndropped by the policy: {}\n",
            counted(&report.filtered)
        ));
    }
    text.push_str(&policy(&report.policy));
    if !report.restored.is_empty() {
        text.push_str(&format!(
            "\nrestored after other programs: {}\n",
            counted(&report.restored)
        ));
    }
    if report.grace_without_end {
        text.push_str(
            "\nanother gateway of this site has no session with this one: TCP to the ports of \
             [policy] grace-ports passes without a known connection\n",
        );
    }
    if report.tun_recreated > 0 {
        text.push_str(&format!(
            "\nTUN device re-created: {}\n",
            report.tun_recreated
        ));
    }
    text
}

/// What needs attention, each with the command that fixes it; nothing if all is well.
fn attention(report: &Report) -> String {
    let mut text = String::new();

    for item in &report.attention {
        let what = Escaped(&item.what);
        text.push_str(&format!(
            "\nneeds attention since {}: {what}\n",
            Escaped(&item.since)
        ));
        if !item.remedy.is_empty() {
            text.push_str(&format!("  to fix it: {}\n", Escaped(&item.remedy)));
        }
    }
    text
}

/// What the filter let through and dropped. Details are `ringway policy denied`'s.
fn policy(report: &PolicyReport) -> String {
    let mut text = format!(
        "\nflows: {} opened by our hosts, {} by others",
        report.flows_ours, report.flows_theirs
    );
    if report.flows_evicted > 0 {
        text.push_str(&format!(", {} given up", report.flows_evicted));
    }
    if report.flows_unrecorded > 0 {
        text.push_str(&format!(", {} without a place", report.flows_unrecorded));
    }
    text.push('\n');

    if report.grace > 0 {
        text.push_str(&format!(
            "passed because a connection may be older than this gateway: {}\n",
            report.grace
        ));
    }
    if !report.orgs.is_empty() {
        text.push_str(&format!(
            "denied, by organization: {}\n",
            counted(&report.orgs)
        ));
        text.push_str("the last ones: ringway policy denied\n");
    }
    text
}

fn tunnels(report: &Report) -> String {
    let mut table = Table::new([
        "TUNNEL", "STATE", "SINCE", "RTT", "PATH MTU", "SENT", "RECEIVED", "NOTE",
    ]);

    for tunnel in &report.tunnels {
        let rtt = match tunnel.rtt_us {
            Some(rtt) => format!("{:.1} ms", rtt as f64 / 1e3),
            None => "-".into(),
        };

        table.row([
            tunnel.peer.clone(),
            tunnel.state.clone(),
            tunnel.since.clone(),
            rtt,
            tunnel.path_mtu.to_string(),
            bytes(tunnel.tx_bytes),
            bytes(tunnel.rx_bytes),
            tunnel_notes(tunnel),
        ]);
    }

    table.to_string()
}

fn tunnel_notes(tunnel: &TunnelReport) -> String {
    let mut notes = Vec::new();
    // The last error of a tunnel that is up again is history.
    if tunnel.state != "up" {
        notes.extend(tunnel.last_error.clone());
    }

    notes.extend(record_notes(&tunnel.record_drift));
    for (prefix, reason) in &tunnel.refused {
        notes.push(format!("we refuse {prefix}: {reason}"));
    }
    for (prefix, reason) in &tunnel.refused_by_peer {
        notes.push(format!("it refuses {prefix}: {reason}"));
    }
    if !tunnel.drops.is_empty() {
        notes.push(format!("dropped {}", counted(&tunnel.drops)));
    }

    notes.join("; ")
}

/// Who holds the older record. A peer can invent organizations: a few are named.
fn record_notes(drift: &[RecordDriftReport]) -> Vec<String> {
    const MOST: usize = 3;

    let mut notes: Vec<String> = drift
        .iter()
        .take(MOST)
        .map(|one| one.what.clone())
        .collect();
    if let Some(more) = drift.len().checked_sub(MOST).filter(|more| *more > 0) {
        notes.push(format!("{more} more records differ (--json has them)"));
    }
    notes
}

fn routes(report: &Report) -> String {
    let mut table = Table::new(["PREFIX", "ORG", "VERDICT", "THROUGH", "NOTE"]);
    for route in &report.routes {
        // A tunnel may be up while the kernel still lacks the route.
        let through = match (&route.gateway, route.installed) {
            (Some(gateway), true) => gateway.clone(),
            _ => "unreachable".into(),
        };
        let note = match &route.conflict_with {
            Some(with) => format!("overlaps {with}"),
            None => String::new(),
        };

        table.row([
            route.prefix.clone(),
            route.org.clone(),
            route.verdict.clone(),
            through,
            note,
        ]);
    }
    table.to_string()
}

fn zones(report: &Report) -> String {
    let mut table = Table::new(["ZONE", "SERIAL", "ORIGIN", "AGE", "NOTE"]);
    for zone in &report.zones {
        let serial = match zone.serial {
            Some(serial) => serial.to_string(),
            None => "never received".into(),
        };
        let age = match zone.age_s {
            Some(age) => format!("{age} s"),
            None => "-".into(),
        };

        let mut notes = Vec::new();
        if zone.stale {
            notes.push("too old: its names fail until its organization is back".to_owned());
        }
        if let Some(reason) = &zone.refused {
            notes.push(format!("refused: {reason}"));
        }
        notes.extend(fragment_notes(zone));
        table.row([
            zone.apex.clone(),
            serial,
            zone.origin.clone(),
            age,
            notes.join("; "),
        ]);
    }
    table.to_string()
}

fn fragment_notes(zone: &ZoneReport) -> Vec<String> {
    let mut notes = Vec::new();
    for fragment in &zone.fragments {
        let gateway = &fragment.gateway;
        match fragment.state.as_str() {
            "missing" if zone.complete => {
                notes.push(format!("nothing from {gateway}, which seems not to run"));
            }
            "missing" => notes.push(format!(
                "nothing from {gateway} yet: names that no other gateway has fail"
            )),
            "expired" if !zone.stale => {
                notes.push(format!(
                    "names of {gateway} fail: it has been silent for too long"
                ));
            }
            _ => {}
        }

        let left_out = fragment.left_out.iter();
        notes.extend(left_out.map(|left_out| format!("not answered: {left_out}")));
    }

    let refused_by = zone.refused_by.iter();
    notes.extend(refused_by.map(|what| format!("refused by {what}")));
    notes
}

/// The certificates of the sessions in use; nothing without one.
fn peer_certificates(report: &Report) -> String {
    let mut table = Table::new(["PEER'S CERTIFICATE", "SERIAL", "VALID UNTIL", "SHA-256"]);
    let mut is_empty = true;
    for tunnel in &report.tunnels {
        if let Some(certificate) = &tunnel.certificate {
            is_empty = false;
            table.row([
                tunnel.peer.clone(),
                certificate.serial.clone(),
                certificate.not_after.clone(),
                certificate.fingerprint.clone(),
            ]);
        }
    }

    if is_empty {
        String::new()
    } else {
        table.to_string()
    }
}

/// Nothing if no organization has one.
fn revocation_lists(report: &Report) -> String {
    if report.revocation_lists.is_empty() {
        return String::new();
    }

    let mut table = Table::new(["REVOCATION LIST", "CA", "NUMBER", "REVOKES", "DUE", "NOTE"]);
    for list in &report.revocation_lists {
        let note = if list.stale { "overdue" } else { "" };
        table.row([
            list.org.clone(),
            list.issuer.clone(),
            list.number.clone(),
            list.revoked.to_string(),
            list.next_update.clone(),
            note.to_owned(),
        ]);
    }
    table.to_string()
}

fn certificates(report: &Report) -> String {
    let mut table = Table::new(["CERTIFICATE", "VALID UNTIL"]);
    for certificate in &report.certificates {
        table.row([certificate.subject.clone(), certificate.not_after.clone()]);
    }
    table.to_string()
}

fn counted(drops: &BTreeMap<String, u64>) -> String {
    let each: Vec<_> = drops
        .iter()
        .map(|(reason, n)| format!("{n} {reason}"))
        .collect();
    Escaped(&each.join(", ")).to_string()
}

/// In units of 1000, as is usual for networks.
fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::report::{
        AttentionReport, CertificateReport, FragmentReport, HeldRecordReport,
        PeerCertificateReport, RevocationListReport, RouteReport,
    };

    #[test]
    fn problems_are_notes_in_the_row_that_they_concern() {
        let report = Report {
            gateway: "gw.org0".into(),
            tunnels: vec![TunnelReport {
                peer: "gw.org1".into(),
                org: "org1".into(),
                state: "down".into(),
                since: "2026-01-01T00:00:00Z".into(),
                rtt_us: None,
                path_mtu: 1280,
                tx_bytes: 0,
                rx_bytes: 1_500,
                drops: BTreeMap::from([("source".into(), 3)]),
                last_error: Some("peer does not know our org".into()),
                records_differ: vec!["org2".into()],
                certificate: None,
                record_drift: vec![drift("gw.org1 holds org2's record with serial 3")],
                refused: BTreeMap::new(),
                refused_by_peer: BTreeMap::from([("10.0.0.0/24".into(), "in conflict".into())]),
            }],
            routes: vec![RouteReport {
                prefix: "10.1.0.0/24".into(),
                org: "org1".into(),
                gateway: None,
                verdict: "conflicted".into(),
                conflict_with: Some("10.1.0.0/16 (reserved, gateway.toml:9:13)".into()),
                installed: false,
            }],
            ..Report::default()
        };
        let text = text(&report);
        assert!(
            text.contains(
                "peer does not know our org; gw.org1 holds org2's record with serial 3; "
            ),
            "{text}"
        );
        assert!(
            text.contains("; it refuses 10.0.0.0/24: in conflict; dropped 3 source"),
            "{text}"
        );
        assert!(text.contains("unreachable  overlaps 10.1.0.0/16 (reserved, gateway.toml:9:13)"));
    }

    fn drift(what: &str) -> RecordDriftReport {
        let held = HeldRecordReport {
            serial: 3,
            digest: what.into(),
        };
        RecordDriftReport {
            org: what.into(),
            kind: what.into(),
            ours: Some(held.clone()),
            theirs: Some(held),
            what: what.into(),
        }
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

    fn hostile_tunnel() -> TunnelReport {
        TunnelReport {
            peer: HOSTILE.into(),
            org: HOSTILE.into(),
            state: HOSTILE.into(),
            since: HOSTILE.into(),
            rtt_us: None,
            path_mtu: 1280,
            tx_bytes: 0,
            rx_bytes: 0,
            drops: hostile_counts(),
            last_error: Some(HOSTILE.into()),
            records_differ: vec![HOSTILE.into()],
            record_drift: vec![drift(HOSTILE)],
            certificate: Some(PeerCertificateReport {
                serial: HOSTILE.into(),
                fingerprint: HOSTILE.into(),
                not_after: HOSTILE.into(),
            }),
            refused: hostile_reasons(),
            refused_by_peer: hostile_reasons(),
        }
    }

    fn hostile_report() -> Report {
        let route = RouteReport {
            prefix: HOSTILE.into(),
            org: HOSTILE.into(),
            gateway: Some(HOSTILE.into()),
            verdict: HOSTILE.into(),
            conflict_with: Some(HOSTILE.into()),
            installed: true,
        };
        let zone = ZoneReport {
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
        };
        let certificate = CertificateReport {
            subject: HOSTILE.into(),
            not_after: HOSTILE.into(),
        };

        Report {
            gateway: HOSTILE.into(),
            tunnels: vec![hostile_tunnel()],
            routes: vec![route],
            zones: vec![zone],
            checks: Vec::new(),
            certificates: vec![certificate],
            revocation_lists: vec![RevocationListReport {
                org: HOSTILE.into(),
                issuer: HOSTILE.into(),
                number: HOSTILE.into(),
                revoked: 1,
                next_update: HOSTILE.into(),
                stale: true,
            }],
            refusals: hostile_counts(),
            drops: hostile_counts(),
            filtered: hostile_counts(),
            attention: vec![AttentionReport {
                name: HOSTILE.into(),
                what: HOSTILE.into(),
                since: HOSTILE.into(),
                remedy: HOSTILE.into(),
            }],
            restored: hostile_counts(),
            grace_without_end: true,
            tun_recreated: 1,
            policy: PolicyReport {
                flows_evicted: 1,
                flows_unrecorded: 1,
                grace: 1,
                drops: hostile_counts(),
                orgs: hostile_counts(),
                ..PolicyReport::default()
            },
        }
    }

    #[test]
    fn no_text_of_a_report_reaches_the_terminal() {
        let shown = text(&hostile_report());
        // Each of the tables has a heading and one row.
        assert_eq!(shown.lines().count(), 39, "{shown}");
        for line in shown.lines() {
            assert_eq!(Escaped(line).to_string(), line, "not printable");
        }

        let json = json::pretty(&hostile_report()).unwrap();
        for line in json.lines() {
            assert_eq!(Escaped(line).to_string(), line, "not printable");
        }
        let read: Report = serde_json::from_str(&json).unwrap();
        assert_eq!(read.gateway, HOSTILE, "JSON keeps the value");
    }
}
