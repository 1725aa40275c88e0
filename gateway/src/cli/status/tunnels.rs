//! The tunnels: one row for each, and all details of those requested.

use super::Args;
use super::grid::{Grid, Row};
use super::natural;
use super::screen::{Screen, Style};
use super::sections::{bytes, counted};
use super::text::is_asked_for;
use crate::admin::Report;
use crate::admin::report::{OutageReport, RecordDriftReport, TunnelReport};

/// Number of attached nodes that are listed without `--all`.
const MOST_NODES: usize = 20;

/// `49 of 50 tunnels up`.
pub(super) fn summary(tunnels: &[TunnelReport]) -> String {
    let up = tunnels.iter().filter(|tunnel| tunnel.state == "up").count();

    match tunnels.len() {
        0 => "no other gateway in any record".to_owned(),
        all => format!("{up} of {all} tunnels up"),
    }
}

pub(super) fn show(report: &Report, args: &Args, screen: &Screen) -> String {
    let mut tunnels: Vec<&TunnelReport> = report
        .tunnels
        .iter()
        .filter(|tunnel| is_asked_for(args, &tunnel.peer, &tunnel.org))
        .collect();
    tunnels.sort_by(|one, other| natural::compare(&one.peer, &other.peer));
    if args.peer.is_some() || args.org.is_some() {
        return tunnels
            .iter()
            .map(|tunnel| details(tunnel, screen))
            .collect();
    }

    let mut grid = empty_grid("PEER");
    for tunnel in tunnels {
        grid.push(row(tunnel));
    }
    if grid.is_empty() {
        String::new()
    } else {
        grid.show(screen)
    }
}

/// An empty table of tunnels; `first` is the heading of the peers.
fn empty_grid(first: &'static str) -> Grid {
    Grid::new(&[
        (first, 0),
        ("STATE", 0),
        ("FOR", 0),
        ("ADDRESS", 3),
        ("RTT", 0),
        ("LOSS", 1),
        ("MTU", 2),
        ("SENT", 5),
        ("RECEIVED", 4),
    ])
}

/// The attached nodes; empty if something else was requested.
pub(super) fn show_nodes(report: &Report, args: &Args, screen: &Screen) -> String {
    if report.nodes.is_empty() || args.peer.is_some() || args.org.is_some() {
        return String::new();
    }
    let mut nodes: Vec<&TunnelReport> = report.nodes.iter().collect();
    nodes.sort_by(|one, other| natural::compare(&one.peer, &other.peer));
    let up = nodes.iter().filter(|node| node.state == "up").count();

    let mut grid = empty_grid("NODE");
    // A node that is switched off is no problem, and there may be thousands.
    let shown = nodes.iter().filter(|node| args.all || node.state == "up");
    for node in shown.take(if args.all { usize::MAX } else { MOST_NODES }) {
        let mut row = row(node);
        row.cells[0] = plain(name_of_node(&node.peer).to_owned());
        grid.push(row);
    }

    let summary = format!("{up} of {} nodes attached\n", nodes.len());
    if grid.is_empty() {
        summary
    } else {
        summary + &grid.show(screen)
    }
}

/// `db1` of `node:db1.acme`.
fn name_of_node(peer: &str) -> &str {
    let name = peer.strip_prefix("node:").unwrap_or(peer);

    name.split_once('.').map_or(name, |(name, _)| name)
}

fn row(tunnel: &TunnelReport) -> Row {
    Row {
        cells: vec![
            plain(tunnel.peer.clone()),
            (state_style(tunnel), tunnel.state.clone()),
            plain(ago(tunnel.age_s)),
            plain(tunnel.address.clone().unwrap_or_else(|| "-".to_owned())),
            if_up(tunnel, rtt(tunnel)),
            if_up(tunnel, loss(tunnel)),
            if_up(tunnel, tunnel.path_mtu.to_string()),
            plain(bytes(tunnel.tx_bytes)),
            plain(bytes(tunnel.rx_bytes)),
        ],
        notes: notes(tunnel),
    }
}

fn plain(text: String) -> (Style, String) {
    (Style::Plain, text)
}

fn if_up(tunnel: &TunnelReport, text: String) -> (Style, String) {
    // Values of an ended session would look like current ones.
    plain(match tunnel.state.as_str() {
        "up" => text,
        _ => "-".to_owned(),
    })
}

fn state_style(tunnel: &TunnelReport) -> Style {
    match tunnel.state.as_str() {
        "up" => Style::Good,
        "connecting" => Style::Doubtful,
        _ => Style::Bad,
    }
}

fn rtt(tunnel: &TunnelReport) -> String {
    match tunnel.rtt_us {
        Some(rtt) => format!("{:.1} ms", rtt as f64 / 1e3),
        None => "-".to_owned(),
    }
}

/// In percent, if there were enough probes.
fn loss(tunnel: &TunnelReport) -> String {
    match tunnel.probes_sent {
        0..8 => "-".to_owned(),
        sent => format!("{:.0} %", 100.0 * tunnel.probes_lost as f64 / sent as f64),
    }
}

fn notes(tunnel: &TunnelReport) -> Vec<String> {
    let mut notes = Vec::new();
    // The last error of a tunnel that is up is outdated.
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
    notes
}

/// Says who holds the older record. A peer can invent organizations, so only a few are listed.
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

/// All details of one tunnel.
fn details(tunnel: &TunnelReport, screen: &Screen) -> String {
    let mut text = format!(
        "{}  {}{}\n",
        screen.show(Style::Heading, &tunnel.peer),
        screen.show(state_style(tunnel), &tunnel.state),
        screen.show(
            Style::Plain,
            &format!(" for {} (since {})", ago(tunnel.age_s), tunnel.since)
        ),
    );

    for (name, value) in facts(tunnel) {
        text.push_str(&screen.fact(name, 16, &value));
    }
    text
}

fn facts(tunnel: &TunnelReport) -> Vec<(&'static str, String)> {
    let address = tunnel.address.clone();
    let mut facts = vec![
        ("address", address.unwrap_or_else(|| "-".to_owned())),
        ("round trip", rtt(tunnel)),
        (
            "loss",
            format!(
                "{} of the last {} probes",
                tunnel.probes_lost, tunnel.probes_sent
            ),
        ),
        ("path MTU", format!("{} bytes", tunnel.path_mtu)),
        (
            "packets",
            format!(
                "{} sent, {} received",
                bytes(tunnel.tx_bytes),
                bytes(tunnel.rx_bytes)
            ),
        ),
    ];
    if let Some(until) = &tunnel.certificate_until {
        facts.push(("certificate", format!("valid until {until}")));
    }
    if let Some(certificate) = &tunnel.certificate {
        let text = format!("serial {}, {}", certificate.serial, certificate.fingerprint);
        facts.push(("", text));
    }
    if tunnel.endpoints.is_empty() {
        facts.push(("endpoints", "none: the peer has to dial us".to_owned()));
    }
    for endpoint in &tunnel.endpoints {
        let result = match (&endpoint.result, &endpoint.at) {
            (Some(result), Some(at)) => format!("{result} ({at})"),
            _ => "not dialled since the start".to_owned(),
        };
        facts.push(("endpoint", format!("{}: {result}", endpoint.endpoint)));
    }

    facts.extend(notes(tunnel).into_iter().map(|note| ("note", note)));
    if tunnel.handed_over > 0 {
        let text = format!("{} packets to our sibling", tunnel.handed_over);
        facts.push(("handed over", text));
    }
    if !tunnel.drops.is_empty() {
        facts.push(("dropped", counted(&tunnel.drops)));
    }
    facts.extend(tunnel.outages.iter().map(|outage| ("outage", text(outage))));
    facts
}

fn text(outage: &OutageReport) -> String {
    let lasted = match outage.lasted_s {
        Some(lasted) if lasted < 10.0 => format!("for {lasted:.1} s"),
        Some(lasted) => format!("for {}", ago(lasted as u64)),
        None => "until now".to_owned(),
    };

    format!("from {} {lasted}: {}", outage.began, outage.reason)
}

/// A duration in its two largest units.
pub(super) fn ago(seconds: u64) -> String {
    let minutes = seconds / 60;
    let hours = minutes / 60;
    let days = hours / 24;

    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, 1..10, _) => format!("{hours} h {} min", minutes % 60),
        (0, ..) => format!("{hours} h"),
        (1..10, ..) => format!("{days} d {} h", hours % 24),
        _ => format!("{days} d"),
    }
}
