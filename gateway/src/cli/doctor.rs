//! `ringway doctor`: everything on this host that is in a gateway's way, each with the command that
//! fixes it: what `check` finds, what a running gateway says needs attention, and what of the host
//! neither looks at.

mod ipv6;
mod masquerade;
mod names;
mod ruleset;
mod settings;
mod tracking;

use std::process::ExitCode;

use ringway_config::Escaped;
use ringway_intent::Finding;
use serde::Serialize;

use super::check::host;
use super::check::report::FindingReport;
use super::{Failure, Shown, answer, answer_json, block_on};
use crate::admin::{self, socket};
use crate::prepare::{Prepared, prepare};
use crate::state::space;

/// The output of `doctor --json`.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    findings: Vec<FindingReport>,
}

/// Runs `ringway doctor`. Exit code 1 if anything was found.
pub fn run(args: Shown) -> Result<ExitCode, Failure> {
    let prepared = block_on(prepare(&args.config.path))??;
    let mut findings = obstacles(&prepared);
    findings.extend(block_on(host::findings(&prepared))?);
    // It is no fault of the host if the gateway does not run.
    let running = socket::ask(&prepared.config.socket).ok();
    let is_running = running.is_some();
    findings.extend(running.into_iter().flat_map(said));
    findings.extend(space::find(&prepared.config.state_dir));
    // What the daemon does not look for.
    let ruleset = ruleset::read();
    findings.extend(masquerade::find(&prepared.config, &ruleset));
    findings.extend(tracking::find(&prepared.config, &ruleset));
    if is_running {
        findings.extend(names::find(&prepared.config));
    }
    findings.extend(ipv6::find(&prepared.config));
    findings.extend(settings::find());

    // A running gateway and the command find the same.
    let mut seen = std::collections::BTreeSet::new();
    findings.retain(|finding| seen.insert(finding.name.clone()));
    let is_good = findings.is_empty();
    if args.json {
        answer_json(&report(&findings))?;
    } else {
        answer(text(&findings))?;
    }
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What keeps the gateway from starting, and that it is not known without rights.
fn obstacles(prepared: &Prepared) -> Vec<Finding> {
    let found = host::obstacles(&prepared.config).into_iter();
    let found = found.map(|what| Finding {
        name: format!("start {what}"),
        what,
        remedy: String::new(),
    });
    let unchecked = host::unchecked().map(|what| Finding {
        name: "rights".to_owned(),
        what: what.to_owned(),
        remedy: "run ringway doctor as root".to_owned(),
    });

    found.chain(unchecked).collect()
}

/// What the gateway itself says needs attention.
fn said(report: admin::Report) -> impl Iterator<Item = Finding> {
    report.attention.into_iter().map(|item| Finding {
        name: item.name,
        what: item.what,
        remedy: item.remedy,
    })
}

fn report(findings: &[Finding]) -> Report {
    Report {
        ok: findings.is_empty(),
        findings: findings.iter().map(FindingReport::of).collect(),
    }
}

fn text(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "Nothing on this host is in the way.\n".to_owned();
    }

    let mut text = String::new();
    for finding in findings {
        text.push_str(&format!("{}\n", Escaped(&finding.what)));
        if !finding.remedy.is_empty() {
            text.push_str(&format!("  to fix it: {}\n", Escaped(&finding.remedy)));
        }
    }
    text
}
