//! `ringway member`: the other organizations' records. What a record says is `show`'s to print; how one
//! becomes a member's is `add`'s.

mod add;
mod show;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use ringway_config::{Config, Digest, OrgId};

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
    /// Take a record into the members directory, unless it overlaps with anything
    #[command(
        after_help = "Example:\n  ringway member add beta.member.toml -c gateway.toml \\\n    \
        --fingerprint sha256:2f1c…\n\n\
        Compare the fingerprint with its owner over a second channel, such as the telephone.\n\
        A record of an organization that is a member already replaces the old one."
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

/// How a running gateway learns of a change.
const APPLY: &str =
    "A running gateway takes it over with: systemctl reload ringway, or kill -HUP <its pid>\n";

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
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    answer(format!(
        "{org} is no longer a member: {} is removed\n{APPLY}",
        file.display()
    ))
}

/// The file of `org`'s record. Nobody should have to mend a record to be rid of it: one with faults is found by
/// the name that `add` gave it, in a directory of its own: beside `gateway.toml` lies the own record.
fn record_of(org: &OrgId, path: &Path) -> Result<PathBuf, Failure> {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(faults) => {
            let name = format!("{org}.member.toml");
            let is_record = |file: &&PathBuf| {
                file.file_name().is_some_and(|file| file == name.as_str())
                    && file.parent() != path.parent()
            };
            let faulty = faults
                .0
                .iter()
                .map(|fault| &*fault.place.file)
                .find(is_record)
                .cloned();
            return faulty.ok_or_else(|| faults.into());
        }
    };
    if *org == config.own.org {
        return Err(Failure::Usage(format!(
            "{org} is this gateway's own organization"
        )));
    }
    let Some(member) = config.record(org) else {
        return Err(Failure::Usage(format!("{org} is not a member")));
    };
    Ok(member.place.file.to_path_buf())
}
