//! `ringway member`: shows, lists, adds and removes the other organizations' records.

pub(super) mod add;
mod list;
mod show;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context as _;
use ringway_config::{Config, Digest, DigestError, Ledger as _, Newest, OrgId, Survey};
use ringway_identity::crl::path_beside;

use super::{ConfigFile, Failure, Shown, answer, how_to_apply};

/// The verbs of `ringway member`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Show a member record: fingerprint, CA, prefixes, endpoints
    #[command(after_help = "Example:\n  ringway member show beta.member.toml")]
    Show {
        /// The record
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the members: serial, fingerprint, sites, gateways
    #[command(after_help = "Example:\n  ringway member list -c gateway.toml")]
    List(Shown),
    /// Copy records into the members directory, unless one overlaps with anything
    #[command(
        after_help = "Example:\n  ringway member add beta.member.toml -c gateway.toml \\\n    \
        --fingerprint sha256:2f1c…\n\n\
        Shows what changes. Ask the organization for the fingerprint over a second channel, such\n\
        as the telephone: it is given here or, at a terminal, its end is typed when asked for.\n\
        The record of an organization that is a member already is replaced. All or nothing."
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
    /// Records, and directories of records
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
    /// The fingerprint of a record, also as sha256sum prints it; may be repeated
    #[arg(long = "fingerprint", value_name = "sha256:…")]
    pub fingerprints: Vec<Fingerprint>,
    /// A file with the fingerprints of all records, as sha256sum writes it
    #[arg(long = "fingerprints", value_name = "FILE")]
    pub list: Option<PathBuf>,
}

/// A digest, with or without `sha256:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub Digest);

impl FromStr for Fingerprint {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Fingerprint, DigestError> {
        text.parse()
            .or_else(|error| Digest::from_sum(text).map_err(|_| error))
            .map(Fingerprint)
    }
}

/// Runs `ringway member`.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Show { file, json } => show::run(&file, json),
        Verb::List(args) => list::run(&args),
        Verb::Add(args) => add::run(&args),
        Verb::Remove { org, config } => remove(&org, &config.path),
    }
}

fn remove(org: &OrgId, path: &Path) -> Result<ExitCode, Failure> {
    let survey = Survey::read(path, None);
    let file = record_of(org, path, &survey)?;
    // First: if this was the last member, the daemon must know that the directory is empty on
    // purpose.
    let noted = survey.state_dir.map(|dir| {
        Newest::update(&dir, |newest| {
            for record in &survey.records {
                newest.accept(record);
            }
            newest.remove(org);
        })
    });

    let Some(file) = file else {
        noted.transpose().map_err(anyhow::Error::from)?;
        let named = survey.members_dir.map(|dir| record_in(&dir, org));
        let list = named.map(|file| remove_list(&file)).transpose()?;
        return answer(format!(
            "{org} is no longer a member; its record was gone already\n{}{}",
            list.unwrap_or_default(),
            how_to_apply(path)
        ));
    };
    // A record's presence in the directory makes a member; no other file lists it.
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    // Reported only now: a failure must not keep the member in.
    noted.transpose().map_err(anyhow::Error::from)?;
    let list = remove_list(&file)?;
    answer(format!(
        "{org} is no longer a member: {} is removed\n{list}{}",
        file.display(),
        how_to_apply(path)
    ))
}

/// Removes the revocation lists of the record `file`, and reports it. Without the record they are
/// useless, and `check` would complain about them.
fn remove_list(file: &Path) -> Result<String, Failure> {
    let list = path_beside(file);
    if list.symlink_metadata().is_err() {
        return Ok(String::new());
    }

    fs::remove_file(&list).with_context(|| format!("cannot remove {}", list.display()))?;
    Ok(format!(
        "Its revocation list is removed too: {}\n",
        list.display()
    ))
}

/// The file name that `add` gives the record of `org`.
fn record_in(dir: &Path, org: &OrgId) -> PathBuf {
    dir.join(format!("{org}.member.toml"))
}

/// The file of `org`'s record, even if it or other files have faults: these must not prevent the
/// removal. `None` if the file is already gone without `member remove`.
fn record_of(org: &OrgId, path: &Path, survey: &Survey) -> Result<Option<PathBuf>, Failure> {
    let Some(dir) = &survey.members_dir else {
        // Without gateway.toml, the directory of the records is unknown.
        return Err(Config::load(path).err().unwrap_or_default().into());
    };
    if survey.own.as_ref() == Some(org) {
        return Err(Failure::Usage(format!(
            "{org} is this gateway's own organization"
        )));
    }

    // Found by the file name that `add` gives, or by its content.
    let named = record_in(dir, org);
    if named.symlink_metadata().is_ok() {
        return Ok(Some(named));
    }
    let found = survey
        .records_of(org)
        .map(|record| record.place.file.to_path_buf())
        .find(|file| file.parent() == Some(dir));
    if found.is_some() {
        return Ok(found);
    }

    let state_dir = survey.state_dir.as_ref();
    let newest = state_dir.and_then(|dir| Newest::load(dir).ok());
    if newest.is_some_and(|newest| newest.has(org)) {
        return Ok(None);
    }
    Err(Failure::Usage(format!("{org} is not a member")))
}
