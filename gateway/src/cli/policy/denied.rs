//! `ringway policy denied`: the packets that a running gateway's rules denied.

use std::process::ExitCode;

use anyhow::anyhow;

use crate::admin::report::PolicyReport;
use crate::admin::{attention, socket};
use crate::cli::daemon::Daemon;
use crate::cli::table::Table;
use crate::cli::{Failure, Shown, answer, answer_json};

/// Runs `ringway policy denied`.
pub(super) fn run(args: &Shown) -> Result<ExitCode, Failure> {
    let path = Daemon::of(&args.config.path)?.socket;
    let report = socket::ask(&path)?;
    if let Some(waiting) = attention::waiting(&report) {
        let why = anyhow!("no packet was judged yet: {}", waiting.what);
        return Err(why.into());
    }
    let report = report.policy;

    if args.json {
        answer_json(&report)
    } else {
        answer(text(&report))
    }
}

fn text(report: &PolicyReport) -> String {
    let mut text = String::new();
    if report.denied.is_empty() {
        text.push_str("No packet was denied.\n");
    } else {
        text.push_str(&packets(report));
    }

    if !report.orgs.is_empty() {
        let mut table = Table::new(["ORG", "DENIED"]);
        for (org, denied) in &report.orgs {
            table.row([org.clone(), denied.to_string()]);
        }
        text.push_str(&format!("\n{table}"));
    }
    if !report.drops.is_empty() {
        let mut table = Table::new(["REASON", "DROPPED"]);
        for (reason, dropped) in &report.drops {
            table.row([reason.clone(), dropped.to_string()]);
        }
        text.push_str(&format!("\n{table}"));
    }
    text
}

/// The last packets, the latest first.
fn packets(report: &PolicyReport) -> String {
    let mut table = Table::new(["TIME", "", "ORG", "FROM", "TO", "SERVICE", "REASON"]);
    for packet in report.denied.iter().rev() {
        let direction = if packet.arrives { "in" } else { "out" };
        table.row([
            packet.at.clone(),
            direction.into(),
            packet.org.clone().unwrap_or_else(|| "-".into()),
            packet.source.clone(),
            packet.destination.clone(),
            packet.service.clone(),
            packet.reason.clone(),
        ]);
    }

    table.to_string()
}
