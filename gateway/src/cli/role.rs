//! `ringway role`: tells load balancers, keepalived and scripts whether a running gateway is the
//! active one of its site. Read-only, and answered within a second or not at all.

use std::process::ExitCode;
use std::time::Duration;

use ringway_config::Escaped;

use super::daemon::Daemon;
use super::{ConfigFile, Failure, answer, answer_json};
use crate::admin::{RoleReport, socket};

/// A gateway that does not answer within this time counts as down.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Arguments of `ringway role`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print nothing: the exit code says it
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs `ringway role`.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let socket = Daemon::of(&args.config.path)?.socket;
    let asked = socket::ask_role(&socket, TIMEOUT);

    // No answer is a result of this command, not a failure.
    let (report, code) = match asked {
        Ok(report) if report.role == "active" => (report, ExitCode::SUCCESS),
        Ok(report) => (report, ExitCode::from(1)),
        Err(error) => (down(&error), ExitCode::from(2)),
    };
    if args.json {
        answer_json(&report)?;
    } else if !args.quiet {
        answer(format!("{}: {}\n", report.role, Escaped(&report.reason)))?;
    }
    Ok(code)
}

fn down(error: &anyhow::Error) -> RoleReport {
    RoleReport {
        role: "down".to_owned(),
        reason: format!("{error:#}"),
        ..RoleReport::default()
    }
}
