//! `ringway drain`: hands the site over to a sibling, so that this gateway can be stopped without
//! losing a packet.

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::daemon::Daemon;
use super::{Failure, answer};
use crate::admin::{Report, socket};

/// Time limit for a sibling to become active.
const HAND_OVER: Duration = Duration::from_secs(5);

/// Time without packets from the tunnels after which they count as quiet.
const QUIET: Duration = Duration::from_secs(2);

/// Interval of the requests.
const STEP: Duration = Duration::from_millis(200);

/// Arguments of `ringway drain`.
#[derive(Debug, Args)]
pub struct Drain {
    #[command(flatten)]
    config: super::ConfigFile,
    /// Take part again: the sibling stays active
    #[arg(long)]
    cancel: bool,
    /// Seconds after which to give up waiting for packets to end
    #[arg(long, default_value_t = 30)]
    timeout: u64,
}

/// Runs `ringway drain`.
pub fn run(args: Drain) -> Result<ExitCode, Failure> {
    let path = Daemon::of(&args.config.path)?.socket;
    let report = socket::ask_drain(&path, !args.cancel)?;
    if args.cancel {
        answer("it takes part again; its sibling stays active\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    if report.site.siblings.is_empty() {
        answer(alone(&report))?;
        return Ok(ExitCode::FAILURE);
    }

    let start = Instant::now();
    let Some(standby) = wait_for_sibling(&path, report, start)? else {
        answer("no sibling has taken over; it goes on as before: ringway drain --cancel\n")?;
        return Ok(ExitCode::FAILURE);
    };
    let end = start + Duration::from_secs(args.timeout);
    let quiet = wait_for_quiet(&path, received(&standby), end)?;

    let active = standby.role.map(|role| role.reason).unwrap_or_default();
    answer(match &quiet {
        Quiet::Reached => {
            format!("drained: {active}, and nothing comes here any more; it can be stopped\n")
        }
        Quiet::PacketsCome => format!("handed over: {active}, but packets still come here\n"),
        Quiet::ActiveAgain { reason } => {
            format!("not drained: this gateway is active again, because {reason}\n")
        }
    })?;
    Ok(match quiet {
        Quiet::Reached => ExitCode::SUCCESS,
        Quiet::PacketsCome | Quiet::ActiveAgain { .. } => ExitCode::FAILURE,
    })
}

/// Why nobody can take over.
fn alone(report: &Report) -> &'static str {
    if report.gateway.starts_with("node:") {
        "this is an attached node: nobody has its addresses when it is stopped, and there is \
         nothing to hand over\n"
    } else {
        "no other gateway serves this site: nobody can take over\n"
    }
}

/// Result of the wait for quiet tunnels.
enum Quiet {
    /// No packet has arrived for a while.
    Reached,
    /// Packets still arrive.
    PacketsCome,
    /// The sibling is gone, so this gateway must stay.
    ActiveAgain { reason: String },
}

/// Waits until a sibling is active, and returns the report; `None` if none becomes active.
fn wait_for_sibling(
    path: &Path,
    mut report: Report,
    start: Instant,
) -> Result<Option<Report>, Failure> {
    while report
        .role
        .as_ref()
        .is_none_or(|role| role.role != "standby")
    {
        if start + HAND_OVER < Instant::now() {
            return Ok(None);
        }
        thread::sleep(STEP);
        report = socket::ask(path)?;
    }
    Ok(Some(report))
}

/// Waits until no packet has arrived for a while, at most until `end`.
fn wait_for_quiet(path: &Path, mut before: u64, end: Instant) -> Result<Quiet, Failure> {
    let mut since = Instant::now();

    while since + QUIET > Instant::now() {
        if end < Instant::now() {
            return Ok(Quiet::PacketsCome);
        }
        thread::sleep(STEP);
        let report = socket::ask(path)?;
        let now = received(&report);
        if let Some(role) = report.role.filter(|role| role.role == "active") {
            let reason = role.reason;
            return Ok(Quiet::ActiveAgain { reason });
        }
        if now != before {
            before = now;
            since = Instant::now();
        }
    }
    Ok(Quiet::Reached)
}

/// Bytes received through all tunnels.
fn received(report: &Report) -> u64 {
    report.tunnels.iter().map(|tunnel| tunnel.rx_bytes).sum()
}
