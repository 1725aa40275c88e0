//! `ringway node`: the attached nodes that a gateway serves, in its file.

mod add;
mod list;

use std::process::ExitCode;

use ringway_config::{NodeName, Prefix};

use super::{ConfigFile, Failure, Shown};

/// The verbs of `ringway node`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Serve an attached node: a host or router of ours that dials this site's gateways
    #[command(
        after_help = "Example:\n  ringway node add db1 --prefix 10.77.5.9/32 -c gateway.toml\n\n\
        Its addresses lie in those of the site, or of a data centre that is served via it\n\
        (ringway site add idc=10.77.0.0/16 --via SITE). Add it at every gateway of the site. Its\n\
        own files: ringway attach init, on the node."
    )]
    Add(Add),
    /// Serve a node no longer: its session ends with the next reload
    #[command(
        after_help = "Example:\n  ringway node remove db1 -c gateway.toml && ringway reload \
        -c gateway.toml\n\n\
        If its key is stolen, revoke that too: ringway revoke key"
    )]
    Remove {
        /// The node
        name: NodeName,
        /// The gateway
        #[command(flatten)]
        config: ConfigFile,
    },
    /// List the nodes, and whether they are attached now
    #[command(after_help = "Example:\n  ringway node list -c gateway.toml")]
    List(Shown),
    /// Show one node
    #[command(after_help = "Example:\n  ringway node show db1 -c gateway.toml")]
    Show {
        /// The node
        name: NodeName,
        /// The gateway
        #[command(flatten)]
        shown: Shown,
    },
}

/// Arguments of `ringway node add`.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// The node: one lowercase DNS label
    pub name: NodeName,
    /// Its addresses, or the network behind it; may be repeated
    #[arg(long = "prefix", required = true, value_name = "PREFIX")]
    pub prefixes: Vec<Prefix>,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Runs `ringway node`.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Add(args) => add::run(&args),
        Verb::Remove { name, config } => add::remove(&name, &config.path),
        Verb::List(shown) => list::run(&shown, None),
        Verb::Show { name, shown } => list::run(&shown, Some(&name)),
    }
}
