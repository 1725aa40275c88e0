//! `ringway cert`: certificates of this organization's gateways.

mod pair;
mod renew;
mod request;
mod show;
mod sign;

use std::path::PathBuf;
use std::process::ExitCode;

use ringway_config::{Config, Digest, GatewayName, NodeName};

use super::ca::CaArgs;
use super::own_record::RecordFile;
use super::{ConfigFile, Failure};

/// The verbs of `ringway cert`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Show a certificate or a request: names, validity, and the digest that a revocation names
    #[command(after_help = "Examples:\n  ringway cert show -c gateway.toml\n  \
        ringway cert show gateway.csr")]
    Show(Show),
    /// Renew this gateway's certificate, or put one in place that was signed elsewhere
    #[command(
        after_help = "Examples:\n  ringway cert renew --ca ca -c gateway.toml\n  \
        ringway cert renew --certificate gateway.crt.new -c gateway.toml\n\n\
        A running gateway uses the new certificate within seconds. No key is overwritten: with\n\
        --new-key, the earlier one is kept beside."
    )]
    Renew(Renew),
    /// Make a request for this gateway's certificate, and its key if there is none
    #[command(after_help = "Example:\n  ringway cert request -c gateway.toml\n\n\
        Where the CA is: ringway cert sign. Then, here: ringway cert renew --certificate")]
    Request(Request),
    /// Sign a gateway's request with this organization's CA
    #[command(after_help = "Examples:\n  \
        ringway cert sign gateway.csr --ca ca --record acme.member.toml\n  \
        ringway cert sign gateway.csr --ca ca --ca-key 'pkcs11:token=ca;object=acme' \\\n    \
        --record acme.member.toml\n\n\
        Only a gateway in the record gets a certificate, and only its public key is taken from\n\
        the request. Compare the key's digest with what ringway cert request has printed.")]
    Sign(Sign),
}

/// Arguments of `ringway cert show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// Certificates or a request, PEM; this gateway's certificate unless one is named
    pub file: Option<PathBuf>,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `ringway cert renew`.
#[derive(Debug, clap::Args)]
pub struct Renew {
    /// The CA
    #[command(flatten)]
    pub ca: CaArgs,
    /// Make a new key too
    #[arg(long)]
    pub new_key: bool,
    /// The certificate that was signed elsewhere, PEM
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ca", "new_key"])]
    pub certificate: Option<PathBuf>,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Arguments of `ringway cert request`.
#[derive(Debug, clap::Args)]
pub struct Request {
    /// Make a new key, which counts once its certificate is in place
    #[arg(long)]
    pub new_key: bool,
    /// Where to put the request; gateway.csr beside gateway.toml
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Arguments of `ringway cert sign`.
#[derive(Debug, clap::Args)]
pub struct Sign {
    /// The request, PEM
    pub request: PathBuf,
    /// The CA
    #[command(flatten)]
    pub ca: CaArgs,
    /// The gateway that it must be for
    #[arg(long, value_name = "NAME")]
    pub gateway: Option<GatewayName>,
    /// The attached node that it must be for
    #[arg(long, value_name = "NAME", conflicts_with = "gateway")]
    pub node: Option<NodeName>,
    /// The digest that the key must have
    #[arg(long, value_name = "sha256:…")]
    pub key: Option<Digest>,
    /// Where to put the certificate; beside the request, with the ending .crt
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The record
    #[command(flatten)]
    pub record: RecordFile,
}

/// Runs `ringway cert`.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Show(args) => show::run(&args),
        Verb::Renew(args) => renew::run(&args),
        Verb::Request(args) => request::run(&args),
        Verb::Sign(args) => sign::run(&args),
    }
}

/// The digest of the key in a gateway's certificate; `None` if that cannot be read.
pub(super) fn key_of(config: &Config) -> Option<Digest> {
    let described = show::read(&config.identity.certificate).ok()?;
    Some(described.first()?.key)
}
