//! The command line: every verb's words and help. What a verb does is in the file of its name.
//!
//! Exit codes: 0, 1 (failed), 64 (wrong command line or files). Answers go to stdout, errors to stderr,
//! one per line.

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::logging::{Form, Level};

pub mod check;
pub mod dns;
pub mod failure;
pub mod lab;
pub mod member;
pub mod metrics;
pub mod org;
pub mod run;
pub mod status;
pub mod table;

pub use failure::Failure;

/// Mesh gateway for consortium blockchains: joins the private networks of several organizations
#[derive(Debug, Parser)]
#[command(name = "ringway", version, disable_help_subcommand = true)]
#[command(
    after_help = "Start with: ringway org init --help, or see it all at work: ringway lab demo"
)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
    /// Form of the log lines on stderr
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        value_name = "FORM",
        help_heading = "Logging"
    )]
    pub log: Form,
    /// Which log lines to write: error, warn, info, debug, trace, or per module
    #[arg(
        long,
        global = true,
        env = "RINGWAY_LOG",
        default_value = "info",
        value_name = "LEVEL",
        help_heading = "Logging"
    )]
    pub log_level: Level,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Set up an organization
    #[command(subcommand)]
    Org(org::Verb),
    /// Show, add and remove other organizations' records
    #[command(subcommand)]
    Member(member::Verb),
    /// Check the files of a gateway, exactly as `run` does first
    #[command(after_help = "Example:\n  ringway check -c gateway.toml")]
    Check(check::Args),
    /// Ask, list, export and check zones
    #[command(subcommand)]
    Dns(dns::Verb),
    /// Run the gateway
    #[command(after_help = "Example:\n  ringway run -c gateway.toml\n\n\
        SIGTERM drains and ends it; SIGHUP re-reads files and certificates, all or nothing.")]
    Run(run::Args),
    /// Show a running gateway's tunnels, routes, zones and certificates
    #[command(after_help = "Example:\n  ringway status -c gateway.toml --json")]
    Status(status::Args),
    /// Show what a running gateway's DNS server has counted, in the OpenMetrics text format
    #[command(after_help = "Example:\n  ringway metrics -c gateway.toml")]
    Metrics(metrics::Args),
    /// A consortium of three organizations on this machine, to try and to demonstrate
    Lab(lab::Args),
}

/// Which gateway a verb is about.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The gateway's file
    #[arg(
        short = 'c',
        long = "config",
        value_name = "FILE",
        default_value = "gateway.toml"
    )]
    pub path: PathBuf,
}

/// Writes a verb's answer to stdout. A reader that has seen enough, such as `head`, is no failure.
pub(crate) fn answer(text: impl fmt::Display) -> Result<ExitCode, Failure> {
    match write!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Runs one of the few futures that a short verb needs.
fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(future))
}

/// Does what the command line says.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Org(verb) => org::run(verb),
        Verb::Member(verb) => member::run(verb),
        Verb::Check(args) => check::run(args),
        Verb::Dns(verb) => dns::run(verb),
        Verb::Run(args) => run::run(args),
        Verb::Status(args) => status::run(args),
        Verb::Metrics(args) => metrics::run(args),
        Verb::Lab(args) => lab::run(args),
    }
}
