//! `ringway policy`: the rules of a gateway's files, and what a running gateway denied by them.

mod allow;
mod denied;
mod diff;
mod edit;
mod files;
mod follow;
mod show;
mod test;
mod wanted;

use std::process::ExitCode;

use super::{ConfigFile, Failure, Shown};

pub(super) use files::{Files, new_faults};
pub(super) use follow::follow_prefixes;
pub use wanted::Wanted;

/// The verbs of `ringway policy`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Show the rules, each with the place in the file that says so
    #[command(after_help = "Example:\n  ringway policy show -c gateway.toml\n\n\
        The rules come from the file. A running gateway is asked whether it has the same ones.")]
    Show(Shown),
    /// Tell whether a connection would be allowed, and by which rule
    #[command(after_help = "Examples:\n  \
        ringway policy test beta peer0 --port 7051 -c gateway.toml\n  \
        ringway policy test 10.2.0.5 10.1.0.11 --service fabric-peer -c gateway.toml\n  \
        ringway policy test peer0 beta/east --proto icmp -c gateway.toml\n\n\
        An end is an organization, <org>/<site>, a prefix, an address or a name; one of them\n\
        is in this site. The exit code is 0 if everything that this means is allowed, else 1.")]
    Test(Test),
    /// Show the packets that a running gateway denied last
    #[command(after_help = "Example:\n  ringway policy denied -c gateway.toml")]
    Denied(Shown),
    /// Add a rule to the file, check the result and print the difference
    #[command(after_help = "Examples:\n  \
        ringway policy allow --from beta --to peer0 --service fabric-peer -c gateway.toml\n  \
        ringway policy allow --from beta/east --to 10.1.0.11 --port 7051/tcp -c gateway.toml\n\n\
        If anything is wrong with the rule, the file stays as it is.")]
    Allow(Allow),
}

/// Arguments of `ringway policy test`.
#[derive(Debug, clap::Args)]
pub struct Test {
    /// The host that opens the connection
    pub from: String,
    /// The host to which it is opened
    pub to: String,
    /// The service
    #[command(flatten)]
    pub wanted: Wanted,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `ringway policy allow`.
#[derive(Debug, clap::Args)]
pub struct Allow {
    /// The hosts that may open: all, an organization, org/site, or a prefix; may be repeated
    #[arg(long, required = true, value_name = "ORIGIN")]
    pub from: Vec<String>,
    /// The hosts that may be reached: a name, an address or a prefix in this site; may be repeated
    #[arg(long, required = true, value_name = "TARGET")]
    pub to: Vec<String>,
    /// The service
    #[command(flatten)]
    pub wanted: Wanted,
    /// Print the difference and leave the file as it is
    #[arg(long)]
    pub dry_run: bool,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Runs `ringway policy`.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Show(args) => show::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Denied(args) => denied::run(&args),
        Verb::Allow(args) => allow::run(&args),
    }
}
