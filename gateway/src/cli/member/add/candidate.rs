//! [`Candidate`]: a record to be added.

use std::fs;
use std::path::{Path, PathBuf};

use ringway_config::{Config, Fault, Faults, Member, Place, limits};

/// A record with its bytes, from which the fingerprint is computed.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) record: Member,
    pub(super) bytes: Vec<u8>,
}

/// Reads `files`; from a directory, every record except our own organization's. Fails with the
/// faults of all files.
pub(super) fn read(files: &[PathBuf], config: &Config) -> Result<Vec<Candidate>, Faults> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut faults = Vec::new();

    for path in files {
        if !path.is_dir() {
            take(path, config, &mut candidates, &mut faults);
            continue;
        }
        match records_in(path) {
            Ok(paths) => {
                for path in paths.iter().filter(|path| !is_own(path, config)) {
                    take(path, config, &mut candidates, &mut faults);
                }
            }
            Err(fault) => faults.push(fault),
        }
    }

    if faults.is_empty() {
        Ok(candidates)
    } else {
        Err(faults.into())
    }
}

fn take(path: &Path, config: &Config, into: &mut Vec<Candidate>, faults: &mut Vec<Fault>) {
    let candidate = match read_one(path) {
        Ok(candidate) => candidate,
        Err(Faults(more)) => return faults.extend(more),
    };
    faults.extend(wrong_consortium(&candidate.record, config));

    let mut others = into.iter().map(|other| &other.record);
    match others.find(|other| other.org == candidate.record.org) {
        // The same record twice, for example in a directory and by name.
        Some(other) if other.digest == candidate.record.digest => {}
        Some(other) => faults.push(Fault {
            place: candidate.record.place.clone(),
            message: format!(
                "org {} has another record here, {}; leave one of them out",
                other.org, other.place
            ),
        }),
        None => into.push(candidate),
    }
}

/// The member records in `dir`, by name.
fn records_in(dir: &Path) -> Result<Vec<PathBuf>, Fault> {
    let entries = fs::read_dir(dir).map_err(|error| {
        whole(
            dir,
            format!("cannot read the directory: {error}; correct the path"),
        )
    })?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(".member.toml"))
        .collect();
    paths.sort();

    match paths.len() {
        0 => Err(whole(
            dir,
            "no <org>.member.toml is in this directory".into(),
        )),
        1..=limits::MEMBERS => Ok(paths),
        count => Err(whole(
            dir,
            format!("{count} records; is it the right directory?"),
        )),
    }
}

fn is_own(path: &Path, config: &Config) -> bool {
    let own = format!("{}.member.toml", config.own.org);
    path.file_name().is_some_and(|name| name == own.as_str())
}

fn read_one(file: &Path) -> Result<Candidate, Faults> {
    let (record, text) = Member::load_text(file)?;

    Ok(Candidate {
        record,
        bytes: text.into_bytes(),
    })
}

fn whole(path: &Path, message: String) -> Fault {
    Fault {
        place: Place::whole(path),
        message,
    }
}

/// The fault of a record of another consortium, or of our organization.
fn wrong_consortium(record: &Member, config: &Config) -> Option<Fault> {
    let own = &config.own;
    let message = if record.org == own.org {
        format!(
            "{} is this gateway's own organization; its record is {}",
            own.org, own.place
        )
    } else if record.domain != own.domain {
        format!(
            "is of the consortium {}; this gateway's is {}",
            record.domain, own.domain
        )
    } else {
        return None;
    };

    Some(Fault {
        place: record.place.clone(),
        message,
    })
}

impl Candidate {
    /// True if the organization is already a member with exactly this record.
    pub(super) fn is_known(&self, config: &Config) -> bool {
        config
            .record(&self.record.org)
            .is_some_and(|known| known.digest == self.record.digest)
    }

    /// A message about that.
    pub(super) fn is_there(&self, config: &Config) -> String {
        let org = &self.record.org;
        let place = config
            .record(org)
            .map_or(&self.record.place, |known| &known.place);
        format!("{org} is a member with this very record: {place}\n")
    }

    /// The file that the record is written to.
    pub(super) fn target(&self, replaced: &[Member], config: &Config) -> PathBuf {
        let org = &self.record.org;
        match replaced.iter().find(|old| old.org == *org) {
            Some(old) => old.place.file.to_path_buf(),
            None => config.members_dir.join(format!("{org}.member.toml")),
        }
    }

    /// A message about what was done.
    pub(super) fn done(&self, replaced: &[Member], config: &Config) -> String {
        let org = &self.record.org;
        let target = self.target(replaced, config);
        if replaced.iter().any(|old| old.org == *org) {
            format!("The record of {org} is replaced: {}\n", target.display())
        } else {
            format!("{org} is a member: {}\n", target.display())
        }
    }
}
