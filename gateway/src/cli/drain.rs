//! `ringway drain`: hands the site over to a sibling, so that this gateway can be stopped without
//! losing a packet.

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::daemon::Daemon;
use super::{Failure, answer};
use crate::admin::attention::Kind;
use crate::admin::{Report, socket};

/// Time limit for a sibling to become active.
const HAND_OVER: Duration = Duration::from_secs(5);

/// Time without packets from the tunnels after which they count as quiet.
const QUIET: Duration = Duration::from_secs(2);

/// Interval of the requests.
const STEP: Duration = Duration::from_millis(200);

/// What a gateway does whose drain has not succeeded.
const STILL_DRAINED: &str = "hands over as soon as a sibling can take over; to take that back: \
                             ringway drain --cancel";

/// Arguments of `ringway drain`.
#[derive(Debug, Args)]
pub struct Drain {
    #[command(flatten)]
    config: super::ConfigFile,
    /// Take part again: the active gateway stays active
    #[arg(long)]
    cancel: bool,
    /// Seconds after which to give up waiting for packets to end
    #[arg(long, default_value_t = 30)]
    timeout: u64,
}

/// Runs `ringway drain`.
pub fn run(args: Drain) -> Result<ExitCode, Failure> {
    let path = Daemon::of(&args.config.path)?.socket;
    if args.cancel {
        return cancel(&path);
    }
    let report = socket::ask_drain(&path, true)?;
    if report.site.siblings.is_empty() {
        answer(alone(&report))?;
        return Ok(ExitCode::FAILURE);
    }

    let start = Instant::now();
    let Some(standby) = wait_for_sibling(&path, report, start)? else {
        answer(format!(
            "no sibling has taken over: this gateway stays active, and {STILL_DRAINED}\n"
        ))?;
        return Ok(ExitCode::FAILURE);
    };
    let end = start + Duration::from_secs(args.timeout);
    let quiet = wait_for_quiet(&path, received(&standby), end)?;

    let clients = connected_clients(&socket::ask(&path)?);

    let active = standby.role.map(|role| role.reason).unwrap_or_default();
    answer(match &quiet {
        Quiet::Reached if !clients.is_empty() => format!(
            "handed over: {active}, but WireGuard clients are connected here, and are cut off when \
             it is stopped: {}; each needs its file for another gateway first\n",
            clients.join(", ")
        ),
        Quiet::Reached => {
            format!("drained: {active}, and nothing comes here any more; it can be stopped\n")
        }
        Quiet::PacketsCome => format!("handed over: {active}, but packets still come here\n"),
        Quiet::ActiveAgain { reason } => {
            format!("this gateway is active again, because {reason}; it {STILL_DRAINED}\n")
        }
    })?;
    Ok(match quiet {
        Quiet::Reached if clients.is_empty() => ExitCode::SUCCESS,
        Quiet::Reached | Quiet::PacketsCome | Quiet::ActiveAgain { .. } => ExitCode::FAILURE,
    })
}

/// WireGuard clients know one gateway each: they do not follow the site's active one.
fn connected_clients(report: &Report) -> Vec<String> {
    let nodes = report.nodes.iter();
    let connected = nodes.filter(|node| node.wireguard && node.state == "up");

    connected.map(|node| node.peer.clone()).collect()
}

/// Takes a drain back.
fn cancel(path: &Path) -> Result<ExitCode, Failure> {
    let before = socket::ask(path)?;
    let report = socket::ask_drain(path, false)?;

    answer(format!("{}\n", cancelled(&before, &report)))?;
    Ok(ExitCode::SUCCESS)
}

/// What has become of the gateway: `before` the drain was taken back, and after it.
fn cancelled(before: &Report, after: &Report) -> String {
    let mut findings = before.attention.iter();
    let was_drained = findings.any(|finding| finding.kind == Kind::Drained.word());
    let part = if was_drained {
        "it takes part again"
    } else {
        "it was not drained"
    };

    match &after.role {
        Some(role) if role.role == "active" => format!("{part}; this gateway is active"),
        Some(role) => format!("{part}; this gateway is {}: {}", role.role, role.reason),
        None => part.to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::report::{AttentionReport, RoleReport, TunnelReport};
    use ringway_intent::Remedy;

    fn report(role: &str, drained: bool) -> Report {
        let finding = AttentionReport {
            kind: "drained".to_owned(),
            name: "drained".to_owned(),
            what: String::new(),
            since: String::new(),
            remedy: String::new(),
            fix: Remedy::None,
        };
        Report {
            role: Some(RoleReport {
                role: role.to_owned(),
                reason: "gw2.a is active".to_owned(),
                ..RoleReport::default()
            }),
            attention: if drained { vec![finding] } else { Vec::new() },
            ..Report::default()
        }
    }

    #[test]
    fn a_wireguard_client_that_is_connected_here_is_named() {
        let node = |peer: &str, wireguard, state: &str| TunnelReport {
            peer: peer.to_owned(),
            wireguard,
            state: state.to_owned(),
            ..TunnelReport::default()
        };
        let report = Report {
            nodes: vec![
                node("node:db1.a", false, "up"),
                node("node:phone.a", true, "up"),
                node("node:tablet.a", true, "down"),
            ],
            ..Report::default()
        };

        assert_eq!(connected_clients(&report), ["node:phone.a"]);
    }

    #[test]
    fn a_drain_that_is_taken_back_tells_the_role_as_it_is() {
        assert_eq!(
            cancelled(&report("active", false), &report("active", false)),
            "it was not drained; this gateway is active"
        );
        assert_eq!(
            cancelled(&report("active", true), &report("active", false)),
            "it takes part again; this gateway is active"
        );
        assert_eq!(
            cancelled(&report("standby", true), &report("standby", false)),
            "it takes part again; this gateway is standby: gw2.a is active"
        );
    }
}
