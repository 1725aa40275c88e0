//! `ringway dns`: queries, lists and exports this gateway's zones, checks zone files, and adds and
//! removes hosts.
//!
//! Everything is read from files: our zone is built as `run` builds it, and the other zones are
//! stored copies. So these verbs work without a daemon, and show a change before a reload.

mod check;
pub(super) mod edit;
mod export;
mod host;
mod query;
mod view;
mod zones;

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use ringway_config::ZoneName;
use ringway_dns::Name;
use ringway_dns::rdata::kind_from_text;

use super::{ConfigFile, Failure, Shown};

pub use host::HostArg;

/// The verbs of `ringway dns`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Add hosts to gateway.toml, or addresses and services to hosts that are there
    #[command(after_help = "Examples:\n  \
        ringway dns add peer0=10.1.0.11:7051 orderer0=10.1.0.10:7050 -c gateway.toml\n  \
        ringway dns add web=10.1.0.20,10.1.0.21 --service explorer:8080/tcp -c gateway.toml\n\n\
        A port yields the SRV record of Fabric's service: 7050 orderer, 7051 peer, 7054 ca.\n\
        If anything is wrong, the file stays as it is.")]
    Add(Add),
    /// Remove hosts and records of a name from gateway.toml
    #[command(after_help = "Example:\n  ringway dns remove peer0 -c gateway.toml")]
    Remove(Remove),
    /// Show the answer to a query, and the file and line of each record
    #[command(after_help = "Example:\n  \
        ringway dns query peer0.acme.consortium.example -c gateway.toml\n  \
        ringway dns query _peer._tcp.peer0.acme.consortium.example SRV -c gateway.toml\n  \
        ringway dns query -x 10.1.0.11 -c gateway.toml\n\n\
        The answer comes from files: our zone as they define it now, the others' zones from\n\
        their last good copies. The running gateway is not asked; it also leaves out addresses\n\
        that cannot be reached.")]
    Query(Box<Query>),
    /// List the zones: ours from the files, the others' from their last good copies
    #[command(after_help = "Example:\n  ringway dns zones -c gateway.toml")]
    Zones(Shown),
    /// Write a zone as a zone file (RFC 1035)
    #[command(after_help = "Example:\n  \
        ringway dns export acme.consortium.example -c gateway.toml > acme.zone\n  \
        ringway dns export 1.10.in-addr.arpa -c gateway.toml > reverse.zone")]
    Export {
        /// The zone
        zone: ZoneName,
        /// The gateway
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Check a zone file and what it includes
    #[command(
        after_help = "Example:\n  ringway dns check acme.zone --zone acme.consortium.example\n\n\
        To check it together with gateway.toml: ringway check -c gateway.toml"
    )]
    Check {
        /// The zone file
        file: PathBuf,
        /// The origin of relative names; else that of a SOA record, else that of the gateway.toml
        /// beside the file
        #[arg(long, value_name = "NAME")]
        zone: Option<ZoneName>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `ringway dns add`.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// Hosts of our zone and their addresses
    #[arg(required = true, value_name = "NAME=ADDRESS[:PORT],…")]
    pub hosts: Vec<HostArg>,
    /// A service of the hosts; may be repeated
    #[arg(long = "service", value_name = "NAME:PORT/PROTO")]
    pub services: Vec<String>,
    /// TTL of the records, in seconds
    #[arg(long, value_name = "SECONDS")]
    pub ttl: Option<u32>,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Arguments of `ringway dns remove`.
#[derive(Debug, clap::Args)]
pub struct Remove {
    /// Names of our zone
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Arguments of `ringway dns query`.
#[derive(Debug, clap::Args)]
pub struct Query {
    /// The name; always absolute
    #[arg(value_parser = name, required_unless_present = "address")]
    pub name: Option<Name>,
    /// The name of this address, as dig -x: a PTR query
    #[arg(short = 'x', value_name = "ADDRESS", conflicts_with = "name")]
    pub address: Option<IpAddr>,
    /// The type, such as A, AAAA, SRV, TXT, ANY, TYPE65280
    #[arg(id = "type", default_value = "A", value_name = "TYPE", value_parser = kind)]
    pub kind: u16,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
    /// Answer from this zone file alone
    #[arg(long, value_name = "FILE", conflicts_with = "path")]
    pub zone_file: Option<PathBuf>,
    /// The origin of relative names in the zone file
    #[arg(long, value_name = "NAME", requires = "zone_file")]
    pub zone: Option<ZoneName>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn name(text: &str) -> Result<Name, String> {
    Name::from_text(text).map_err(|error| error.to_string())
}

fn kind(text: &str) -> Result<u16, String> {
    kind_from_text(text)
        .ok_or_else(|| format!("{text:?} is not a record type such as A, SRV or TYPE65280"))
}

/// Runs `ringway dns`.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Add(args) => edit::add(&args),
        Verb::Remove(args) => edit::remove(&args),
        Verb::Query(query) => query::run(&query),
        Verb::Zones(args) => zones::run(&args),
        Verb::Export { zone, config } => export::run(&zone, &config.path),
        Verb::Check { file, zone, json } => check::run(&file, zone.as_ref(), json),
    }
}
