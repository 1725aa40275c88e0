//! The command line: arguments and help of every verb. Each verb's work is in the file of its name.
//!
//! Exit codes: 0; 1 for a failure; 64 for a wrong command line or faults in files. Answers go to
//! stdout, errors to stderr, one per line.

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::logging::{Form, Level};

pub mod ca;
pub mod cert;
pub mod check;
pub mod dns;
mod edit;
pub mod failure;
pub mod gateway;
pub mod lab;
pub mod member;
pub mod metrics;
mod new_files;
pub mod org;
pub mod own_record;
pub mod plan;
pub mod policy;
pub mod purge;
pub mod recipe;
pub mod record;
pub mod revoke;
pub mod run;
pub mod site;
pub mod status;
pub mod table;

pub use failure::Failure;

/// Mesh gateway for consortium blockchains: joins the private networks of several organizations
#[derive(Debug, Parser)]
#[command(name = "ringway", version, disable_help_subcommand = true)]
#[command(after_help = "Start with: ringway org init --help\n\
        Or watch everything at work: ringway lab demo")]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
    /// Format of the log on stderr
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        value_name = "FORM",
        help_heading = "Logging"
    )]
    pub log: Form,
    /// Which log lines to write: error, warn, info, debug or trace, or a level per module
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
    /// Add, change and remove this organization's gateways
    #[command(subcommand)]
    Gateway(gateway::Verb),
    /// Add, change and remove this organization's sites
    #[command(subcommand)]
    Site(site::Verb),
    /// Show, renew, request and sign certificates of this organization's gateways
    #[command(subcommand)]
    Cert(Box<cert::Verb>),
    /// Revoke a gateway or a key of this organization
    #[command(subcommand)]
    Revoke(revoke::Verb),
    /// Edit, compare and take over this organization's record
    #[command(subcommand)]
    Record(record::Verb),
    /// Check the files of a gateway, exactly as `run` does before it starts
    #[command(after_help = "Example:\n  ringway check -c gateway.toml")]
    Check(check::Args),
    /// Query, list, export and check zones
    #[command(subcommand)]
    Dns(dns::Verb),
    /// Print the configuration of a resolver that asks the gateways for the consortium's names
    #[command(after_help = "Example:\n  ringway recipe unbound -c gateway.toml\n\n\
        deploy/dns/README.md says why each line is there, and what was tried.")]
    Recipe(recipe::Args),
    /// Propose address ranges for a new site that nobody uses
    #[command(after_help = "Example:\n  \
        ringway plan --pool 10.64.0.0/10 --size 20 -c gateway.toml")]
    Plan(plan::Args),
    /// Show, test and extend the rules of the policy, and what they denied
    #[command(subcommand)]
    Policy(policy::Verb),
    /// Run the gateway
    #[command(after_help = "Example:\n  ringway run -c gateway.toml\n\n\
        SIGTERM drains the gateway and ends it. SIGHUP makes it read its files again; if anything\n\
        in them is wrong, only what they take away is applied.")]
    Run(run::Args),
    /// Show a running gateway's tunnels, routes, zones and certificates
    #[command(after_help = "Example:\n  ringway status -c gateway.toml --json")]
    Status(status::Args),
    /// Show a running gateway's counters and histograms in the OpenMetrics text format
    #[command(after_help = "Example:\n  ringway metrics -c gateway.toml")]
    Metrics(metrics::Args),
    /// Remove everything from the kernel that a gateway leaves there when it ends
    #[command(after_help = "Example:\n  ringway purge -c gateway.toml\n\n\
        Until then, packets to members stay unreachable rather than leave in clear.")]
    Purge(purge::Args),
    /// Run a consortium of three organizations on this machine, to try and to demonstrate
    Lab(lab::Args),
}

/// The gateway that a verb is about.
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

/// Writes a verb's answer to stdout. It is no failure if the reader, such as `head`, stops reading.
pub(crate) fn answer(text: impl fmt::Display) -> Result<ExitCode, Failure> {
    match write!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Runs a future on this thread, for verbs that need few of them.
fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(future))
}

/// Runs the verb of the command line.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Org(verb) => org::run(verb),
        Verb::Member(verb) => member::run(verb),
        Verb::Gateway(verb) => gateway::run(verb),
        Verb::Site(verb) => site::run(verb),
        Verb::Cert(verb) => cert::run(*verb),
        Verb::Revoke(verb) => revoke::run(verb),
        Verb::Record(verb) => record::run(verb),
        Verb::Check(args) => check::run(args),
        Verb::Dns(verb) => dns::run(verb),
        Verb::Recipe(args) => recipe::run(args),
        Verb::Plan(args) => plan::run(args),
        Verb::Policy(verb) => policy::run(verb),
        Verb::Run(args) => run::run(args),
        Verb::Status(args) => status::run(args),
        Verb::Metrics(args) => metrics::run(args),
        Verb::Purge(args) => purge::run(args),
        Verb::Lab(args) => lab::run(args),
    }
}
