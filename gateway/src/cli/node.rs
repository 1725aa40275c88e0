//! `ringway node`: manages the attached nodes in a gateway's file.

mod add;
mod list;
mod rekey;
mod wireguard;

use std::process::ExitCode;

use ringway_config::{Endpoint, NodeName, Prefix, WireGuardKey};

use super::{ConfigFile, Failure, Shown};

/// The verbs of `ringway node`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Serve an attached node: a host or router of ours that dials this site's gateways
    #[command(
        after_help = "Example:\n  ringway node add db1 --prefix 10.77.5.9/32 -c gateway.toml\n\n\
        Its addresses lie in those of the site, or of a data centre that is served via it\n\
        (ringway site add idc=10.77.0.0/16 --via SITE). Add it at every gateway of the site. Its\n\
        own files: ringway attach init, on the node.\n\n\
        A standard WireGuard client, and its file for wg-quick:\n  \
        ringway node add phone --prefix 10.77.5.10/32 --wireguard -c gateway.toml > phone.conf"
    )]
    Add(Add),
    /// Give a WireGuard client another key: the former one ends with the next reload
    #[command(
        after_help = "Example:\n  ringway node rekey phone -c gateway.toml > phone.conf && ringway \
        reload -c gateway.toml\n\n\
        Without a public key, one is made, and its private key is in the file that is printed."
    )]
    Rekey(Rekey),
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
    /// It is a standard WireGuard client, with this public key or with one that is made: its file
    /// for wg-quick goes to stdout, and a QR code to stderr
    #[arg(long, value_name = "PUBLIC-KEY", num_args = 0..=1)]
    pub wireguard: Option<Option<WireGuardKey>>,
    /// Where the client finds this gateway, if not at the first endpoint of our record
    #[arg(long, value_name = "HOST:PORT", requires = "wireguard")]
    pub endpoint: Option<Endpoint>,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Arguments of `ringway node rekey`.
#[derive(Debug, clap::Args)]
pub struct Rekey {
    /// The node
    pub name: NodeName,
    /// Its new public key; without it, a pair of keys is made
    #[arg(value_name = "PUBLIC-KEY")]
    pub key: Option<WireGuardKey>,
    /// Where the client finds this gateway, if not at the first endpoint of our record
    #[arg(long, value_name = "HOST:PORT")]
    pub endpoint: Option<Endpoint>,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Runs `ringway node`.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Add(args) => add::run(&args),
        Verb::Rekey(args) => rekey::run(&args),
        Verb::Remove { name, config } => add::remove(&name, &config.path),
        Verb::List(shown) => list::run(&shown, None),
        Verb::Show { name, shown } => list::run(&shown, Some(&name)),
    }
}
