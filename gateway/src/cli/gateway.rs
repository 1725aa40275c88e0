//! `ringway gateway`: the gateways in this organization's record.

mod add;
mod files;
mod set;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use ringway_config::{Endpoint, GatewayName, SiteId};

use super::Failure;
use super::ca::CaArgs;
use super::org::DnsListen;
use super::own_record::RecordFile;
use super::site::SiteChoice;

/// The verbs of `ringway gateway`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Add a gateway to this organization's record, and make its files
    #[command(
        after_help = "Examples:\n  ringway gateway add gw2 --endpoint 203.0.113.9:4600 --ca ca\n  \
        ringway gateway add west --site west=10.9.0.0/16 --endpoint 203.0.113.9:4600 --ca ca\n\n\
        The record gets the next serial; everybody needs it. Without the CA here, the new host\n\
        makes its key itself and asks for a certificate (ringway cert request).\n\
        At the site of the gateway here, the new one gets the same rules and names."
    )]
    Add(Box<Add>),
    /// Change where a gateway can be dialled, or which site it serves
    #[command(
        after_help = "Example:\n  ringway gateway set gw --endpoint gw.acme.example:4600 \
        -c gateway.toml"
    )]
    Set(Set),
    /// Remove a gateway from this organization's record
    #[command(
        after_help = "Example:\n  ringway gateway remove gw2 -c gateway.toml\n\n\
        If its key may be in wrong hands, revoke it too: ringway revoke key --help"
    )]
    Remove {
        /// The gateway
        name: GatewayName,
        /// The record
        #[command(flatten)]
        record: RecordFile,
    },
}

/// Arguments of `ringway gateway add`.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// The gateway's name: one lowercase DNS label
    pub name: GatewayName,
    /// The site that it serves; a new one with its address ranges; may be left out if there is one
    #[arg(long, value_name = "NAME[=PREFIX,…]")]
    pub site: Option<SiteChoice>,
    /// Where other gateways can dial it; may be repeated; without any, it only dials
    #[arg(long = "endpoint", value_name = "HOST:PORT")]
    pub endpoints: Vec<Endpoint>,
    /// The tunnel's address and UDP port; 0.0.0.0:4600 unless the gateway here says otherwise
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Where its DNS server listens; may be repeated
    #[arg(long = "dns-listen", value_name = "ADDRESS[:PORT]")]
    pub dns_listen: Vec<DnsListen>,
    /// The CA
    #[command(flatten)]
    pub ca: CaArgs,
    /// Where to put its files; a directory of its name beside the record
    #[arg(long, value_name = "DIRECTORY")]
    pub dir: Option<PathBuf>,
    /// Allow address ranges that are not private
    #[arg(long)]
    pub public: bool,
    /// The record
    #[command(flatten)]
    pub record: RecordFile,
}

/// Arguments of `ringway gateway set`.
#[derive(Debug, clap::Args)]
#[group(id = "change", required = true, multiple = true,
    args = ["endpoints", "add_endpoints", "remove_endpoints", "dials_only", "site"])]
pub struct Set {
    /// The gateway
    pub name: GatewayName,
    /// Where it can be dialled, in place of what the record says; may be repeated
    #[arg(long = "endpoint", value_name = "HOST:PORT",
        conflicts_with_all = ["add_endpoints", "remove_endpoints"])]
    pub endpoints: Vec<Endpoint>,
    /// One endpoint more; may be repeated
    #[arg(long = "add-endpoint", value_name = "HOST:PORT")]
    pub add_endpoints: Vec<Endpoint>,
    /// One endpoint less; may be repeated
    #[arg(long = "remove-endpoint", value_name = "HOST:PORT")]
    pub remove_endpoints: Vec<Endpoint>,
    /// It has no endpoint, and only dials
    #[arg(long, conflicts_with_all = ["endpoints", "add_endpoints", "remove_endpoints"])]
    pub dials_only: bool,
    /// The site that it serves
    #[arg(long, value_name = "NAME")]
    pub site: Option<SiteId>,
    /// The record
    #[command(flatten)]
    pub record: RecordFile,
}

/// Runs `ringway gateway`.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Add(args) => add::run(&args),
        Verb::Set(args) => set::set(&args),
        Verb::Remove { name, record } => set::remove(&name, &record),
    }
}
