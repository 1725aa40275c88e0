//! `ringway reload`: makes a running gateway read its files again, and prints the result.

use std::io::{self, Write as _};
use std::process::ExitCode;

use ringway_config::Escaped;

use super::daemon::Daemon;
use super::{Failure, Shown, answer, answer_json};
use crate::admin::{ReloadReport, socket};

/// Runs `ringway reload`.
pub fn run(args: Shown) -> Result<ExitCode, Failure> {
    let report = socket::ask_reload(&Daemon::of(&args.config.path)?.socket)?;

    if args.json {
        answer_json(&report)?;
    } else {
        answer(text(&report))?;
        for fault in report.faults.iter().chain(&report.warnings) {
            _ = writeln!(io::stderr(), "{}", Escaped(fault));
        }
    }
    Ok(exit_code(&report))
}

/// 64 for faults in files, as with every verb.
fn exit_code(report: &ReloadReport) -> ExitCode {
    if report.faults.is_empty() && report.adopted {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(64)
    }
}

fn text(report: &ReloadReport) -> String {
    let heading = match (report.adopted, report.faults.is_empty()) {
        (true, true) => "reloaded",
        (true, false) => "reloaded, but for the rules: a test of the policy failed",
        (false, _) => "refused: the files are not what runs",
    };
    let mut text = format!("{heading}\n");

    if report.changes.is_empty() {
        text.push_str("  nothing has changed\n");
    } else if !report.adopted {
        text.push_str("  taken away all the same:\n");
    }
    for change in &report.changes {
        text.push_str(&format!("  {}\n", Escaped(change)));
    }
    text
}
