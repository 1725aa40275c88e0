//! `ringway member`: shows, adds and removes the other organizations' records.

mod add;
mod show;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use ringway_config::{Config, Digest, Faults, OrgId};

use super::{ConfigFile, Failure, answer};

/// The verbs of `ringway member`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Show a member record: fingerprint, CA, prefixes, endpoints
    #[command(after_help = "Example:\n  ringway member show beta.member.toml")]
    Show {
        /// The record
        file: PathBuf,
    },
    /// Copy a record into the members directory, unless it overlaps with anything
    #[command(
        after_help = "Example:\n  ringway member add beta.member.toml -c gateway.toml \\\n    \
        --fingerprint sha256:2f1c…\n\n\
        Compare the fingerprint with the organization over a second channel, such as the \
        telephone.\n\
        The record of an organization that is a member already is replaced."
    )]
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

/// Arguments of `ringway member add`.
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

/// How to make a running gateway apply a change.
const APPLY: &str =
    "To apply it to a running gateway: systemctl reload ringway, or kill -HUP <its pid>\n";

/// Runs `ringway member`.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Show { file } => show::run(&file),
        Verb::Add(args) => add::run(&args),
        Verb::Remove { org, config } => remove(&org, &config.path),
    }
}

fn remove(org: &OrgId, path: &Path) -> Result<ExitCode, Failure> {
    let file = record_of(org, path)?;
    // A record makes a member by being in the directory; no other file lists it.
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    answer(format!(
        "{org} is no longer a member: {} is removed\n{APPLY}",
        file.display()
    ))
}

/// The file of `org`'s record, also if the record has faults: they must not keep it from being
/// removed.
fn record_of(org: &OrgId, path: &Path) -> Result<PathBuf, Failure> {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(faults) => {
            let faulty = faulty_record(org, path, &faults).cloned();
            return faulty.ok_or_else(|| faults.into());
        }
    };

    if *org == config.own.org {
        return Err(Failure::Usage(format!(
            "{org} is this gateway's own organization"
        )));
    }
    match config.record(org) {
        Some(member) => Ok(member.place.file.to_path_buf()),
        None => Err(Failure::Usage(format!("{org} is not a member"))),
    }
}

/// Finds the record among files with faults, by the name that `add` gives. The file of that name
/// beside `gateway.toml` is this gateway's record, and no member's.
fn faulty_record<'f>(org: &OrgId, gateway: &Path, faults: &'f Faults) -> Option<&'f PathBuf> {
    let name = format!("{org}.member.toml");
    let mut files = faults.0.iter().map(|fault| &*fault.place.file);
    files.find(|file| {
        file.file_name().is_some_and(|found| found == name.as_str())
            && file.parent() != gateway.parent()
    })
}
