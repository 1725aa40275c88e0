//! Routes, zones and certificates. If there are many, those without problems are only counted.

use std::collections::BTreeMap;

use super::Args;
use super::grid::{Grid, Row};
use super::natural;
use super::screen::{Screen, Style};
use crate::admin::report::{RouteReport, ZoneReport};
use crate::admin::{Report, attention};

/// Number of rows up to which all are shown.
const MOST: usize = 16;

/// The sections that `args` request.
pub(super) fn show(report: &Report, args: &Args, screen: &Screen) -> Vec<String> {
    vec![
        routes(report, args, screen),
        zones(report, args, screen),
        certificates(report, args, screen),
        revocation_lists(report, args, screen),
        checks(report, args, screen),
    ]
}

fn routes(report: &Report, args: &Args, screen: &Screen) -> String {
    let mut routes: Vec<&RouteReport> = report
        .routes
        .iter()
        .filter(|route| args.org.as_ref().is_none_or(|org| *org == route.org))
        .collect();
    routes.sort_by(|one, other| natural::compare(&one.prefix, &other.prefix));
    let tunnelled = routes.iter().filter(|route| route.installed).count();
    let remote = routes.iter().filter(|route| !is_here(route)).count();
    let summary = format!("{tunnelled} of {remote} prefixes reachable");

    let mut grid = Grid::new(&[("PREFIX", 0), ("ORG", 0), ("STATE", 0), ("THROUGH", 0)]);
    let rows = routes.iter().map(|route| route_row(route, report));
    section(&mut grid, rows, &summary, args, screen)
}

/// True for a prefix behind this host.
fn is_here(route: &RouteReport) -> bool {
    route.served_here && route.verdict == "available"
}

/// The state as one word: what happens to packets to the prefix now.
fn route_row(route: &RouteReport, report: &Report) -> Row {
    let mut announce = report.announce.iter();
    let is_unannounced = announce.any(|site| site.lacks(&route.prefix));
    let (style, state) = match (route.verdict.as_str(), route.installed) {
        _ if is_here(route) && is_unannounced => (Style::Bad, "unannounced"),
        _ if is_here(route) => (Style::Good, "here"),
        ("available", true) => (Style::Good, "reachable"),
        ("available", false) => (Style::Bad, "unreachable"),
        (verdict, _) => (Style::Bad, verdict),
    };
    // The tunnel may be up although the kernel does not have the route yet.
    let through = match &route.gateway {
        Some(gateway) if route.installed => gateway.clone(),
        _ => "-".to_owned(),
    };
    let org = match route.org.as_str() {
        "" => "-",
        org => org,
    };
    // Of a site that is not known, the gateways say nothing more.
    let via = route.via.iter().filter(|_| !route.site.is_empty());
    let sibling = route.gateway.iter().filter(|_| route.by_sibling);
    let notes = via
        .map(|via| format!("site {} via {via}", route.site))
        .chain(sibling.map(|sibling| format!("{sibling}, of this site, passes packets on")))
        .chain(is_unannounced.then(|| "this host has no route to it".to_owned()))
        .chain(route.refused.iter().cloned())
        .chain(
            route
                .conflict_with
                .iter()
                .map(|with| format!("overlaps {with}")),
        );

    Row {
        cells: vec![
            (Style::Plain, route.prefix.clone()),
            (Style::Plain, org.to_owned()),
            (style, state.to_owned()),
            (Style::Plain, through),
        ],
        notes: notes.collect(),
    }
}

fn zones(report: &Report, args: &Args, screen: &Screen) -> String {
    let mut zones: Vec<&ZoneReport> = report
        .zones
        .iter()
        .filter(|zone| {
            let org = args.org.as_ref();
            org.is_none_or(|org| zone.apex.split('.').next() == Some(org.as_str()))
        })
        .collect();
    zones.sort_by(|one, other| natural::compare(&one.apex, &other.apex));
    let held = zones.iter().filter(|zone| zone.serial.is_some()).count();
    let summary = format!("{held} of {} zones held", zones.len());

    let mut grid = Grid::new(&[("ZONE", 0), ("SERIAL", 0), ("ORIGIN", 0), ("CONFIRMED", 0)]);
    let rows = zones.iter().map(|zone| zone_row(zone));
    section(&mut grid, rows, &summary, args, screen)
}

fn zone_row(zone: &ZoneReport) -> Row {
    let mut notes = Vec::new();
    if zone.stale {
        notes.push("too old: its names fail until its organization is back".to_owned());
    }
    if let Some(reason) = &zone.refused {
        notes.push(format!("refused: {reason}"));
    }
    notes.extend(fragment_notes(zone));

    let serial = match zone.serial {
        Some(serial) => serial.to_string(),
        None => "never received".to_owned(),
    };
    let confirmed = match zone.age_s {
        Some(_) if zone.origin == "own" => "-".to_owned(),
        Some(age) => format!("{} ago", super::tunnels::ago(age)),
        None => "-".to_owned(),
    };
    let style = match zone.serial {
        Some(_) if !zone.stale => Style::Plain,
        _ => Style::Bad,
    };
    Row {
        cells: vec![
            (style, zone.apex.clone()),
            (Style::Plain, serial),
            (Style::Plain, zone.origin.clone()),
            (Style::Plain, confirmed),
        ],
        notes,
    }
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

/// True if a finding is about the certificate of `subject`, and not of a longer subject that
/// contains it.
fn is_about(finding: &str, subject: &str) -> bool {
    finding == attention::ours(subject) || finding == attention::authority(subject)
}

fn certificates(report: &Report, args: &Args, screen: &Screen) -> String {
    if args.org.is_some() {
        return String::new();
    }

    let expiring: Vec<&str> = report
        .attention
        .iter()
        .filter(|item| item.kind == "certificate-expiry")
        .map(|item| item.name.as_str())
        .collect();
    let summary = format!("{} certificates", report.certificates.len());
    let mut grid = Grid::new(&[("CERTIFICATE", 0), ("VALID UNTIL", 0)]);
    let rows = report.certificates.iter().map(|certificate| {
        let subject = &certificate.subject;
        let is_expiring = expiring.iter().any(|name| is_about(name, subject));
        let style = if is_expiring {
            Style::Bad
        } else {
            Style::Plain
        };
        Row {
            cells: vec![
                (style, subject.clone()),
                (Style::Plain, certificate.not_after.clone()),
            ],
            notes: Vec::new(),
        }
    });
    section(&mut grid, rows, &summary, args, screen)
}

/// The probed addresses of our hosts.
fn checks(report: &Report, args: &Args, screen: &Screen) -> String {
    if args.org.is_some() {
        return String::new();
    }

    let good = report.checks.iter().filter(|check| check.state == "good");
    let summary = format!(
        "{} of {} checked addresses good",
        good.count(),
        report.checks.len()
    );
    let mut grid = Grid::new(&[("HOST", 0), ("ADDRESS", 0), ("STATE", 0), ("SINCE", 1)]);
    let rows = report.checks.iter().map(|check| {
        let is_good = check.state == "good";
        Row {
            cells: vec![
                (Style::Plain, check.host.clone()),
                (Style::Plain, check.address.clone()),
                (
                    if is_good { Style::Good } else { Style::Bad },
                    check.state.clone(),
                ),
                (Style::Plain, check.since.clone()),
            ],
            notes: check.error.iter().cloned().collect(),
        }
    });
    section(&mut grid, rows, &summary, args, screen)
}

fn revocation_lists(report: &Report, args: &Args, screen: &Screen) -> String {
    let mut grid = Grid::new(&[
        ("REVOCATION LIST", 0),
        ("CA", 0),
        ("NUMBER", 1),
        ("REVOKES", 0),
        ("DUE", 0),
    ]);
    let lists = report.revocation_lists.iter();
    let rows = lists
        .filter(|list| args.org.as_ref().is_none_or(|org| *org == list.org))
        .map(|list| Row {
            cells: vec![
                (
                    if list.stale { Style::Bad } else { Style::Plain },
                    list.org.clone(),
                ),
                (Style::Plain, list.issuer.clone()),
                (Style::Plain, list.number.clone()),
                (Style::Plain, list.revoked.to_string()),
                (Style::Plain, list.next_update.clone()),
            ],
            notes: list
                .stale
                .then(|| "overdue".to_owned())
                .into_iter()
                .collect(),
        });

    let summary = format!("{} revocation lists", report.revocation_lists.len());
    section(&mut grid, rows, &summary, args, screen)
}

/// A table, and the number of rows without problems that are left out.
fn section(
    grid: &mut Grid,
    rows: impl Iterator<Item = Row>,
    summary: &str,
    args: &Args,
    screen: &Screen,
) -> String {
    let rows: Vec<Row> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }

    // With fifty members, problems would scroll away.
    let is_short = rows.len() > MOST && !args.all;
    let mut left_out = 0;
    for row in rows {
        let is_bad = row.cells.iter().any(|(style, _)| *style == Style::Bad);
        if is_short && !is_bad && row.notes.is_empty() {
            left_out += 1;
        } else {
            grid.push(row);
        }
    }

    let mut text = format!("{}\n", screen.show(Style::Heading, summary));
    if !grid.is_empty() {
        text.push_str(&grid.show(screen));
    }
    if left_out > 0 {
        text.push_str(&format!("{left_out} in order are not shown (--all)\n"));
    }
    text
}

/// `3 replay, 1 auth`.
pub(super) fn counted(counts: &BTreeMap<String, u64>) -> String {
    let each: Vec<_> = counts
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    each.join(", ")
}

/// In units of 1000, as usual for networks.
pub(in crate::cli) fn bytes(bytes: u64) -> String {
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

    #[test]
    fn a_finding_is_about_the_whole_subject() {
        let finding = attention::authority("O=beta, CN=Ringway CA");

        assert!(is_about(&finding, "O=beta, CN=Ringway CA"));
        assert!(!is_about(&finding, "CN=Ringway CA"));
        assert!(!is_about(&finding, ""));
        assert!(is_about(&attention::ours("O=acme, CN=gw"), "O=acme, CN=gw"));
    }
}
