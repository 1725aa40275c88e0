//! `ringway record`: changes this organization's own record.

mod edit;
mod take;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use ringway_config::disk::{self, Access};
use ringway_config::{
    Config, Digest, Ledger as _, Member, Newest, Survey, UpgradeError, reading, upgrade,
};

use super::member::Fingerprint;
use super::member::add::show::{Difference, changes};
use super::own_record::{RecordFile, fault};
use super::{ConfigFile, Failure, answer, answer_json};

/// The verbs of `ringway record`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Edit this organization's record with $EDITOR; it is checked as a whole before it counts
    #[command(after_help = "Example:\n  ringway record edit -c gateway.toml\n\n\
        You edit a copy, and need not raise the serial. If anything is wrong in it, nothing\n\
        changes, and you can go on. For most changes there is a command: ringway gateway,\n\
        ringway site, ringway revoke.")]
    Edit {
        /// The record
        #[command(flatten)]
        record: RecordFile,
    },
    /// Take over a newer version of this organization's record, as another gateway of it has it
    #[command(after_help = "Example:\n  ringway record take acme.member.toml -c gateway.toml")]
    Take {
        /// The newer record
        file: PathBuf,
        /// The fingerprint that it must have
        #[arg(long, value_name = "sha256:…")]
        fingerprint: Option<Fingerprint>,
        /// The gateway
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Write this organization's record of version 1 as one of version 2, which has a serial
    #[command(after_help = "Example:\n  ringway record upgrade -c gateway.toml")]
    Upgrade {
        /// The record, if it is not that of the gateway
        file: Option<PathBuf>,
        /// The gateway
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Show what changes from one record to another
    #[command(after_help = "Example:\n  ringway record diff old.member.toml acme.member.toml")]
    Diff {
        /// The earlier record
        before: PathBuf,
        /// The later record
        after: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs `ringway record`.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Edit { record } => edit::run(&record),
        Verb::Take {
            file,
            fingerprint,
            config,
        } => take::run(&file, fingerprint, config),
        Verb::Upgrade { file, config } => run_upgrade(file, &config.path),
        Verb::Diff {
            before,
            after,
            json,
        } => diff(&before, &after, json),
    }
}

fn diff(before: &Path, after: &Path, json: bool) -> Result<ExitCode, Failure> {
    let before = Member::load(before)?;
    let after = Member::load(after)?;
    if before.org != after.org {
        let message = format!(
            "is of {}, and the other record of {}",
            after.org, before.org
        );
        return Err(fault(&after.place.file, message));
    }

    if json {
        return answer_json(&Difference::of(&before, &after)?);
    }
    answer(changes(Some(&before), &after)?)
}

fn run_upgrade(file: Option<PathBuf>, config: &Path) -> Result<ExitCode, Failure> {
    let survey = Survey::read(config, None);
    let file = match file.or_else(|| survey.record.clone()) {
        Some(file) => file,
        None => {
            let faults = Config::load(config).err();
            return Err(faults.unwrap_or_default().into());
        }
    };
    let text = reading::read_text(&file)
        .with_context(|| format!("cannot read {}", file.display()))
        .map_err(Failure::from)?;

    // Others may have a later record of version 2, for example if this one is from a backup: use a
    // higher serial.
    let serial = match &survey.state_dir {
        Some(dir) => next_serial(dir, &text, &file)?,
        None => 1,
    };
    let upgraded = match upgrade(&text, &file, serial) {
        Ok(upgraded) => upgraded,
        Err(UpgradeError::Faults(faults)) => return Err(faults.into()),
        Err(error) => return Err(fault(&file, error.to_string())),
    };
    disk::replace(&file, upgraded.as_bytes(), Access::Everybody)
        .with_context(|| format!("cannot write {}", file.display()))?;

    answer(format!(
        "{} is of version 2 now, with serial {serial}\n\
         Hand it to the other organizations, and its fingerprint over a second channel:\n  {}\n\
         They add it with ringway member add, and accept no record of version 1 from then on.\n",
        file.display(),
        Digest::of(upgraded.as_bytes())
    ))
}

fn next_serial(state_dir: &Path, text: &str, file: &Path) -> Result<u64, Failure> {
    let record = Member::parse(text, file)?;
    let newest = Newest::load(state_dir).map_err(anyhow::Error::from)?;

    Ok(newest.serial(&record.org).saturating_add(1))
}
