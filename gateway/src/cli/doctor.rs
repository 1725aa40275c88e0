//! `ringway doctor`: lists everything on this host that is in a gateway's way, with the command
//! that fixes it, or the reason why there is none: the findings of `check`, those of the running
//! gateway, and checks of its own.

mod answers;
mod fix;
mod isolation;
mod masquerade;
mod names;
mod place;
mod ruleset;
mod settings;
#[cfg(test)]
mod tests;
mod tracking;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use ringway_config::{Config, Escaped};
use ringway_host::tun;
use ringway_intent::Finding;
use serde::Serialize;

use self::fix::Fix;
use self::place::{Place, Subject};
use super::{Failure, Shown, answer, answer_json, block_on, remedy};
use crate::prepare::prepare;

/// A problem and its fix.
struct Found {
    finding: Finding,
    fix: Fix,
}

/// The output of `doctor --json`.
#[derive(Debug, Serialize)]
struct Report<'a> {
    ok: bool,
    /// The gateway's daemon answers.
    running: bool,
    findings: Vec<FoundReport<'a>>,
}

#[derive(Debug, Serialize)]
struct FoundReport<'a> {
    name: &'a str,
    what: &'a str,
    /// The command; empty if there is none.
    remedy: String,
    /// Why there is no command, and who can act.
    no_command: Option<&'a str>,
}

/// Runs `ringway doctor`. Exit code 1 if anything was found.
pub fn run(args: Shown) -> Result<ExitCode, Failure> {
    let prepared = block_on(prepare(&args.config.path))??;
    let subject = Subject::new(&prepared);
    let mut found = Vec::new();
    for place in Place::ALL {
        found.extend(place.run(&subject)?);
    }

    // A running gateway and the command may have the same finding.
    let mut seen = BTreeSet::new();
    found.retain(|found: &Found| seen.insert(found.finding.name.clone()));
    let config = &args.config.path;
    if args.json {
        answer_json(&report(&found, config, subject.running.is_some()))?;
    } else {
        if subject.running.is_none() {
            answer(silent(&prepared.config, config))?;
        }
        answer(text(&found, config))?;
    }
    Ok(if found.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Commands in it refer to the gateway of the file `config`.
fn report<'f>(found: &'f [Found], config: &Path, running: bool) -> Report<'f> {
    let findings = found.iter().map(|Found { finding, fix }| {
        let (remedy, no_command) = match fix {
            Fix::Command(command) => (remedy::for_gateway(command, config), None),
            Fix::NoCommand(reason) => (String::new(), Some(reason.as_str())),
        };
        FoundReport {
            name: &finding.name,
            what: &finding.what,
            remedy,
            no_command,
        }
    });

    Report {
        ok: found.is_empty(),
        running,
        findings: findings.collect(),
    }
}

/// The first line if no daemon answers. It is no finding, because `doctor` is run before the first
/// start, too.
fn silent(config: &Config, path: &Path) -> String {
    if let Some((pid, program)) = tun::owner(&config.tun) {
        return format!(
            "No daemon answers, although process {pid} ({}) has {}: only the host was looked at.\n",
            Escaped(&program),
            config.tun
        );
    }
    let start = remedy::for_gateway(&remedy::start(config), path);

    format!(
        "No daemon answers: only the host was looked at.\n  to start it: {}\n",
        Escaped(&start)
    )
}

fn text(found: &[Found], config: &Path) -> String {
    if found.is_empty() {
        return "Nothing on this host is in the way.\n".to_owned();
    }

    let mut text = String::new();
    for Found { finding, fix } in found {
        text.push_str(&format!("{}\n", Escaped(&finding.what)));
        let line = match fix {
            Fix::Command(command) => {
                let command = remedy::for_gateway(command, config);
                format!("  to fix it: {}\n", Escaped(&command))
            }
            Fix::NoCommand(reason) => format!("  no command fixes it: {}\n", Escaped(reason)),
        };
        text.push_str(&line);
    }
    text
}
