//! `ringway site`: the sites in this organization's record.

mod change;
mod choice;
mod transit;
mod via_choice;

use std::process::ExitCode;

use ringway_config::{Prefix, SiteId};

use super::Failure;
use super::own_record::RecordFile;

pub use choice::SiteChoice;
pub(super) use choice::refuse_public;
pub use via_choice::ViaChoice;

/// The verbs of `ringway site`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Add a site and its address ranges to this organization's record
    #[command(
        after_help = "Example:\n  ringway site add west=10.9.0.0/16 -c gateway.toml\n\n\
        It needs a gateway: ringway gateway add, which can add both at once. A data centre behind\n\
        a router or VPN of another site is served by the gateways of that one:\n  \
        ringway site add idc=10.9.0.0/16 --via east -c gateway.toml"
    )]
    Add(Add),
    /// Change a site's address ranges, or by whose gateways it is served
    #[command(
        after_help = "Example:\n  ringway site set west --add-prefix 10.10.0.0/16 \
        -c gateway.toml\n\n\
        Rules of the gateway here that name a range which goes are changed with it: they name the\n\
        ranges that come in its place, or go too."
    )]
    Set(Set),
    /// Consent to serve a site of another organization, or withdraw that
    #[command(subcommand)]
    Transit(transit::Verb),
    /// Remove a site that no gateway serves from this organization's record
    #[command(after_help = "Example:\n  ringway site remove west -c gateway.toml")]
    Remove {
        /// The site
        name: SiteId,
        /// The record
        #[command(flatten)]
        record: RecordFile,
    },
}

/// Arguments of `ringway site add`.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// The site and its ranges
    #[arg(value_name = "NAME[=PREFIX,…]")]
    pub site: SiteChoice,
    /// A range; may be repeated
    #[arg(long = "prefix", value_name = "PREFIX")]
    pub prefixes: Vec<Prefix>,
    /// The site whose gateways serve it too, ours or another organization's
    #[arg(long, value_name = "SITE|ORG/SITE")]
    pub via: Option<ViaChoice>,
    /// Allow address ranges that are not private
    #[arg(long)]
    pub public: bool,
    /// The record
    #[command(flatten)]
    pub record: RecordFile,
}

/// Arguments of `ringway site set`.
#[derive(Debug, clap::Args)]
#[group(id = "change", required = true, multiple = true,
    args = ["prefixes", "add_prefixes", "remove_prefixes", "via", "no_via"])]
pub struct Set {
    /// The site
    pub name: SiteId,
    /// A range in place of those in the record; may be repeated
    #[arg(long = "prefix", value_name = "PREFIX",
        conflicts_with_all = ["add_prefixes", "remove_prefixes"])]
    pub prefixes: Vec<Prefix>,
    /// One range more; may be repeated
    #[arg(long = "add-prefix", value_name = "PREFIX")]
    pub add_prefixes: Vec<Prefix>,
    /// One range less; may be repeated
    #[arg(long = "remove-prefix", value_name = "PREFIX")]
    pub remove_prefixes: Vec<Prefix>,
    /// The site whose gateways serve it too, ours or another organization's
    #[arg(long, value_name = "SITE|ORG/SITE")]
    pub via: Option<ViaChoice>,
    /// It has gateways of its own
    #[arg(long, conflicts_with = "via")]
    pub no_via: bool,
    /// Allow address ranges that are not private
    #[arg(long)]
    pub public: bool,
    /// The record
    #[command(flatten)]
    pub record: RecordFile,
}

/// Runs `ringway site`.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Add(args) => change::add(&args),
        Verb::Set(args) => change::set(&args),
        Verb::Transit(verb) => transit::run(&verb),
        Verb::Remove { name, record } => change::remove(&name, &record),
    }
}
