//! `ringway attach`: the side of an attached node.

mod init;

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use ringway_config::{NodeName, Prefix, SiteId};

use super::Failure;
use super::ca::CaArgs;

/// The verbs of `ringway attach`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Create an attached node's files: its key, its certificate or a request, and node.toml
    #[command(
        after_help = "Examples:\n  ringway attach init db1 --record acme.member.toml \\\n    \
        --site east --address 10.77.5.9\n  ringway attach init idc-router --record \
        acme.member.toml \\\n    --site east --prefix 10.77.6.0/24 --ca ca\n\n\
        Without the CA, the node gets a request for its certificate: ringway cert sign, where the\n\
        CA is. The gateways of the site list the node: ringway node add."
    )]
    Init(Init),
    /// Run the node: attach it to its gateways
    #[command(after_help = "Example:\n  ringway attach run -c node.toml\n\n\
        ringway check, status, doctor, reload and drain take -c node.toml likewise.")]
    Run(super::run::Args),
}

/// Arguments of `ringway attach init`.
#[derive(Debug, clap::Args)]
pub struct Init {
    /// The node: one lowercase DNS label
    pub name: NodeName,
    /// This organization's record
    #[arg(long, value_name = "FILE")]
    pub record: PathBuf,
    /// The site whose gateways it is attached to
    #[arg(long, value_name = "SITE")]
    pub site: Option<SiteId>,
    /// An address that this node gets; may be repeated
    #[arg(long = "address", value_name = "ADDRESS")]
    pub addresses: Vec<IpAddr>,
    /// A network behind this node, or its own address on an interface; may be repeated
    #[arg(
        long = "prefix",
        value_name = "PREFIX",
        required_unless_present = "addresses"
    )]
    pub prefixes: Vec<Prefix>,
    /// The CA
    #[command(flatten)]
    pub ca: CaArgs,
    /// Where to put the files
    #[arg(long, default_value = ".", value_name = "DIRECTORY")]
    pub dir: PathBuf,
}

/// Runs `ringway attach`.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Init(args) => init::run(&args),
        Verb::Run(args) => super::run::run_as(args, true),
    }
}
