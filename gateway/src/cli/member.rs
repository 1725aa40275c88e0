//! `ringway member`: the other organizations' records.

use std::path::PathBuf;
use std::process::ExitCode;

use ringway_config::{Digest, OrgId};

use super::{ConfigFile, Failure};

/// The verbs of `ringway member`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Show a member record: fingerprint, CA, prefixes, endpoints
    #[command(after_help = "Example:\n  ringway member show beta.member.toml")]
    Show {
        /// The record
        file: PathBuf,
    },
    /// Take a record into the members directory, unless it overlaps with anything
    #[command(after_help = "Example:\n  ringway member add beta.member.toml -c gateway.toml \\\n    \
        --fingerprint sha256:2f1c…\n\n\
        Compare the fingerprint with its owner over a second channel, such as the telephone.\n\
        A record of an organization that is a member already replaces the old one.")]
    Add(Add),
    /// Remove an organization's record
    #[command(after_help = "Example:\n  ringway member remove beta -c gateway.toml")]
    Remove {
        /// The organization
        org: OrgId,
        /// The gateway
        #[command(flatten)]
        config: ConfigFile,
    },
}

/// What `member add` is told.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// The record
    pub file: PathBuf,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
    /// Refuse the record unless this is its fingerprint
    #[arg(long, value_name = "sha256:…")]
    pub fingerprint: Option<Digest>,
}

/// Runs `ringway member`.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    let _ = verb;
    Ok(ExitCode::SUCCESS)
}
