//! `ringway status`: shows the status of a running gateway, beginning with what needs attention.

mod drops;
mod grid;
mod natural;
mod screen;
pub(super) mod sections;
mod text;
mod tunnels;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ringway_config::Escaped;
use serde::Serialize;

use super::daemon::Daemon;
use super::{ConfigFile, Failure, answer, answer_json, remedy};
use crate::admin::{Report, attention};
use screen::Screen;

/// Polling interval while waiting for a gateway.
const POLL: Duration = Duration::from_millis(200);

/// Arguments of `ringway status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway to ask
    #[command(flatten)]
    pub config: ConfigFile,
    /// Show only tunnels to this gateway, such as gw.beta, with all details
    #[arg(long, value_name = "GATEWAY")]
    pub peer: Option<String>,
    /// Show only this organization, with all details of its tunnels
    #[arg(long, value_name = "ORG")]
    pub org: Option<String>,
    /// Show every route, zone and certificate, even if there are many and all are in order
    #[arg(long)]
    pub all: bool,
    /// Every reason for which packets were dropped, in a sentence
    #[arg(long)]
    pub drops: bool,
    /// Show it again every so many seconds, until Ctrl-C
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u32).range(1..=3600),
        conflicts_with_all = ["json", "check", "wait"]
    )]
    pub watch: Option<u32>,
    /// One line, and the exit code: 0 good, 1 something needs attention, 2 down
    #[arg(long)]
    pub check: bool,
    /// Wait until it answers and every tunnel is up; with --check, until all is good
    #[arg(long)]
    pub wait: bool,
    /// How long to wait, seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "30",
        value_parser = clap::value_parser!(u32).range(1..=86_400)
    )]
    pub timeout: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs `ringway status`.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let daemon = Daemon::of(&args.config.path)?;
    // `--watch` polls, and has an exit code of its own.
    if let Some(seconds) = args.watch {
        return watch(&args, &daemon, Duration::from_secs(seconds.into()));
    }

    let asked = if args.wait {
        wait(&args, &daemon)
    } else {
        daemon.ask()
    };
    let mut report = match asked {
        Ok(report) => report,
        Err(error) if args.check && !is_forbidden(&error) => return say_down(&error, args.json),
        Err(error) => return Err(error.into()),
    };
    require_known(&args, &report)?;
    if args.json {
        for item in &mut report.attention {
            item.remedy = remedy::for_gateway(&item.fix(), &args.config.path);
        }
        answer_json(&report)?;
    } else if args.check {
        answer(text::line(&narrow(&args, &report)))?;
    } else {
        answer(text::whole(&report, &args, &Screen::of_stdout()))?;
    }
    Ok(exit_code(&args, &report))
}

/// A mistyped name must not look like a peer without problems.
fn require_known(args: &Args, report: &Report) -> Result<(), Failure> {
    // A gateway that waits for the right time knows no peers yet.
    if report.tunnels.is_empty() {
        return Ok(());
    }
    let peers = report.tunnels.iter().map(|tunnel| &tunnel.peer);
    let peers: BTreeSet<&String> = peers.collect();
    let zones = report
        .zones
        .iter()
        .filter_map(|zone| zone.apex.split('.').next());
    let orgs = report.routes.iter().map(|route| route.org.as_str());
    let orgs: BTreeSet<&str> = orgs.chain(zones).collect();

    if let Some(peer) = args.peer.as_ref().filter(|peer| !peers.contains(peer)) {
        let known = Vec::from_iter(peers.iter().map(|peer| peer.as_str()));
        return Err(unknown("gateway", peer, &known));
    }
    // Our own organization has a zone, but perhaps no tunnel.
    if let Some(org) = args.org.as_ref().filter(|org| !orgs.contains(org.as_str())) {
        return Err(unknown("organization", org, &Vec::from_iter(orgs)));
    }
    if let (Some(peer), Some(org)) = (&args.peer, &args.org)
        && !report
            .tunnels
            .iter()
            .any(|tunnel| text::is_asked_for(args, &tunnel.peer, &tunnel.org))
    {
        return Err(Failure::Usage(format!(
            "{peer} is no gateway of {org}; leave out --org"
        )));
    }
    Ok(())
}

fn unknown(what: &str, name: &str, known: &[&str]) -> Failure {
    // Listing hundreds of peers would not help.
    const MOST: usize = 20;
    let shown = known.iter().take(MOST).copied();
    let mut shown = Vec::from_iter(shown).join(", ");
    if known.len() > MOST {
        shown.push_str(", …");
    }

    Failure::Usage(format!(
        "this gateway has no peer {what} {name}; known ones: {shown}"
    ))
}

/// The requested part of the report, and the gateway's state as far as that part goes.
fn narrow<'a>(args: &Args, report: &'a Report) -> Cow<'a, Report> {
    let is_whole = args.peer.is_none() && args.org.is_none();
    // A gateway that waits for the right time knows no peers yet, and is down for all.
    if is_whole || report.tunnels.is_empty() {
        return Cow::Borrowed(report);
    }

    let mut report = report.clone();
    report
        .tunnels
        .retain(|tunnel| text::is_asked_for(args, &tunnel.peer, &tunnel.org));
    report.attention.retain(|item| text::concerns(args, item));
    report.state = attention::state(&report).to_owned();
    Cow::Owned(report)
}

/// 0, unless the caller has requested a condition that is not met.
fn exit_code(args: &Args, report: &Report) -> ExitCode {
    if args.check {
        return match narrow(args, report).state.as_str() {
            "good" => ExitCode::SUCCESS,
            "down" => ExitCode::from(2),
            _ => ExitCode::from(1),
        };
    }

    if args.wait && !is_awaited(args, report) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// True if this user has no access to the socket: that says nothing about the gateway.
fn is_forbidden(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref());
    kinds
        .map(io::Error::kind)
        .any(|kind| kind == io::ErrorKind::PermissionDenied)
}

/// The output of `--check` for a gateway that does not run.
fn say_down(error: &anyhow::Error, json: bool) -> Result<ExitCode, Failure> {
    let reason = format!("{error:#}");
    if json {
        answer_json(&Down {
            state: "down",
            reason,
        })?;
    } else {
        answer(format!("down: {}\n", Escaped(&reason)))?;
    }
    Ok(ExitCode::from(2))
}

/// The output of `status --check --json` for a gateway that does not run.
#[derive(Debug, Serialize)]
struct Down {
    state: &'static str,
    reason: String,
}

/// Polls until the condition is met or the time is over; returns the last report.
fn wait(args: &Args, daemon: &Daemon) -> anyhow::Result<Report> {
    let end = Instant::now() + Duration::from_secs(args.timeout.into());

    loop {
        let asked = daemon.ask();
        // Evaluated before the report is judged, so that there is at least one report.
        let is_over = Instant::now() >= end;
        match asked {
            Ok(report) if is_over || is_awaited(args, &report) => return Ok(report),
            Err(error) if is_over => return Err(error),
            _ => sleep(POLL),
        }
    }
}

fn is_awaited(args: &Args, report: &Report) -> bool {
    if args.check {
        return require_known(args, report).is_ok() && narrow(args, report).state == "good";
    }

    // A name that is missing now may appear with a reload.
    if require_known(args, report).is_err() {
        return false;
    }
    let mut asked_for = report
        .tunnels
        .iter()
        .filter(|tunnel| text::is_asked_for(args, &tunnel.peer, &tunnel.org))
        .peekable();
    let is_missing = args.peer.is_some() && asked_for.peek().is_none();
    !is_missing && asked_for.all(|tunnel| tunnel.state == "up")
}

fn watch(args: &Args, daemon: &Daemon, pause: Duration) -> Result<ExitCode, Failure> {
    loop {
        let screen = Screen::of_stdout();
        let text = match daemon.ask() {
            Ok(report) => text::whole(&report, args, &screen),
            Err(error) => format!("{}\n", Escaped(&format!("{error:#}"))),
        };

        // The reader may have gone, as with `| head`.
        let written = writeln!(io::stdout(), "{}", screen.page(&text));
        if written.and_then(|()| io::stdout().flush()).is_err() {
            return Ok(ExitCode::SUCCESS);
        }
        sleep(pause);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use ringway_intent::Remedy;

    use super::*;
    use crate::admin::report::{AttentionReport, TunnelReport, ZoneReport};

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(words: &str) -> Args {
        let words = format!("status {words}");
        Line::parse_from(words.split(' ').filter(|word| !word.is_empty())).args
    }

    fn report(peers: &[&str]) -> Report {
        let tunnels = peers.iter().map(|peer| TunnelReport {
            peer: (*peer).to_owned(),
            org: peer.split('.').nth(1).unwrap().to_owned(),
            state: "up".to_owned(),
            ..TunnelReport::default()
        });
        Report {
            tunnels: tunnels.collect(),
            zones: ["acme", "beta"]
                .map(|org| ZoneReport {
                    apex: format!("{org}.consortium.example"),
                    ..ZoneReport::default()
                })
                .into(),
            ..Report::default()
        }
    }

    #[test]
    fn a_peer_or_organization_that_is_not_there_is_refused_and_waited_for() {
        let one = report(&["gw.beta"]);
        for good in ["", "--peer gw.beta", "--org beta", "--org acme"] {
            let args = args(&format!("{good} --wait"));
            assert!(require_known(&args, &one).is_ok(), "{good}");
            assert!(is_awaited(&args, &one), "{good}");
        }
        for bad in ["--peer gw.bta", "--peer beta", "--org bta"] {
            let args = args(&format!("{bad} --wait"));
            let Err(Failure::Usage(text)) = require_known(&args, &one) else {
                panic!("{bad}");
            };
            assert!(text.contains("known ones: "), "{text}");
            assert!(!is_awaited(&args, &one), "{bad}");
        }
    }

    #[test]
    fn a_check_judges_only_what_is_asked_for() {
        let mut report = report(&["gw.beta", "gw.beta-two", "gw.gamma"]);
        report.tunnels[1].state = "down".to_owned();
        report.attention = vec![AttentionReport {
            kind: "tunnel-down".to_owned(),
            what: "the tunnel to gw.beta-two is down: no answer yet".to_owned(),
            name: "tunnel-down gw.beta-two".to_owned(),
            since: String::new(),
            remedy: String::new(),
            fix: Remedy::None,
        }];
        report.state = "attention".to_owned();

        for (words, state) in [
            ("", "attention"),
            ("--peer gw.beta", "good"),
            ("--peer gw.gamma", "good"),
            ("--org beta", "good"),
            ("--peer gw.beta-two", "down"),
        ] {
            let args = args(&format!("{words} --check --wait"));
            assert_eq!(narrow(&args, &report).state, state, "{words}");
            assert_eq!(is_awaited(&args, &report), state == "good", "{words}");
            let line = text::line(&narrow(&args, &report));
            assert!(line.starts_with(state), "{words}: {line}");
        }
    }

    #[test]
    fn a_peer_of_another_organization_is_refused() {
        let args = args("--peer gw.beta --org acme");
        let Err(Failure::Usage(text)) = require_known(&args, &report(&["gw.beta", "gw.gamma"]))
        else {
            panic!("it is accepted");
        };
        assert!(text.contains("gw.beta is no gateway of acme"), "{text}");
    }

    #[test]
    fn a_gateway_that_knows_nobody_yet_is_shown_and_waited_for() {
        let args = args("--peer gw.beta --wait");
        assert!(require_known(&args, &report(&[])).is_ok());
        assert!(!is_awaited(&args, &report(&[])));
    }

    #[test]
    fn a_socket_that_one_may_not_open_does_not_mean_down() {
        let error = |kind| anyhow::Error::new(io::Error::from(kind)).context("/run/socket");

        assert!(is_forbidden(&error(io::ErrorKind::PermissionDenied)));
        assert!(!is_forbidden(&error(io::ErrorKind::NotFound)));
        assert!(!is_forbidden(&error(io::ErrorKind::ConnectionRefused)));
    }
}
