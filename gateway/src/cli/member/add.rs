//! `ringway member add`: checks a record as a reload would, then copies it into the members
//! directory, byte for byte and atomically. If anything is wrong, every fault is printed and
//! nothing changes.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use ringway_config::disk::{self, Access};
use ringway_config::{Config, Digest, Fault, Faults, Member, Newest, Place, conflicts};
use ringway_identity::Trust;
use rustls_pki_types::UnixTime;

use super::{APPLY, Add};
use crate::cli::{Failure, answer, block_on};
use crate::prepare::links;

/// Runs `ringway member add`.
pub(super) fn run(args: &Add) -> Result<ExitCode, Failure> {
    let mut config = Config::load(&args.config.path)?;
    let (bytes, record) = read(&args.file)?;
    let faults = [
        wrong_fingerprint(&record, args.fingerprint),
        wrong_consortium(&record, &config),
        newest(&config)?.judge(&record),
    ];
    let faults: Vec<Fault> = faults.into_iter().flatten().collect();
    if !faults.is_empty() {
        return Err(Faults::from(faults).into());
    }

    // Without the earlier record of this organization, with which the new one may well overlap.
    let replaced = remove_record(&mut config, &record);
    judge(&mut config, &record)?;
    let target = match &replaced {
        Some(old) => old.place.file.to_path_buf(),
        None => config
            .members_dir
            .join(format!("{}.member.toml", record.org)),
    };

    if replaced
        .as_ref()
        .is_some_and(|old| old.digest == record.digest)
    {
        return answer(format!(
            "{} is a member with this very record: {}\n",
            record.org,
            target.display()
        ));
    }

    // The bytes, not the parsed record: the fingerprint is that of the file.
    put(&target, &bytes).with_context(|| format!("cannot write {}", target.display()))?;
    Newest::update(&config.state_dir, |newest| newest.accept(&record))
        .map_err(anyhow::Error::from)?;
    answer(summary(args, &record, replaced.is_some(), &target))
}

/// The newest records that were accepted: by the daemon, and by this command.
fn newest(config: &Config) -> Result<Newest, Failure> {
    let mut newest = Newest::load(&config.state_dir).map_err(anyhow::Error::from)?;
    // Those of a directory that no daemon has read yet.
    for record in &config.members {
        newest.accept(record);
    }

    Ok(newest)
}

/// The bytes of the file, and the record in them.
fn read(file: &Path) -> Result<(Vec<u8>, Member), Faults> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            let message = format!("cannot read the file: {error}; create it, or correct the path");
            return Err(fault(file, message));
        }
    };
    let Ok(text) = std::str::from_utf8(&bytes) else {
        let message = "is not UTF-8 text; a member record is TOML";
        return Err(fault(file, message.into()));
    };

    let record = Member::parse(text, file)?;
    Ok((bytes, record))
}

fn fault(file: &Path, message: String) -> Faults {
    Faults::from(vec![Fault {
        place: Place::whole(file),
        message,
    }])
}

fn wrong_fingerprint(record: &Member, fingerprint: Option<Digest>) -> Option<Fault> {
    let expected = fingerprint.filter(|expected| *expected != record.digest)?;
    let message = format!(
        "fingerprint is {}, not {expected}; ask {} for the right record",
        record.digest, record.org
    );
    Some(Fault {
        place: record.place.clone(),
        message,
    })
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

/// Removes the record of the same organization, if there is one.
fn remove_record(config: &mut Config, record: &Member) -> Option<Member> {
    let position = config
        .members
        .iter()
        .position(|member| member.org == record.org)?;
    Some(config.members.remove(position))
}

/// Adds `record` to the members of `config` and reports its faults. The records that are there
/// already have the older claim: where one of them overlaps with the new one, the fault is the new
/// one's.
fn judge(config: &mut Config, record: &Member) -> Result<(), Failure> {
    let accepted: BTreeSet<Digest> = config.records().map(|member| member.digest).collect();
    config.members.push(record.clone());

    let connected = block_on(links(config))??.connected();
    let lapsed = Trust::build(config)?.lapsed(UnixTime::now());
    let overlapping = conflicts(config, &connected, &accepted).0;
    let mut faults: Vec<Fault> = lapsed.into_iter().chain(overlapping).collect();
    // Faults among the other records do not keep this one out.
    faults.retain(|fault| fault.place.file == record.place.file);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Faults::from(faults).into())
    }
}

/// Writes the file as it was handed over, into a directory that may not exist yet.
fn put(target: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(dir) = target.parent() {
        fs::create_dir_all(dir)?;
    }
    disk::replace(target, bytes, Access::Everybody)
}

fn summary(args: &Add, record: &Member, replaced: bool, target: &Path) -> String {
    let Member { org, digest, .. } = record;
    let target = target.display();
    let done = if replaced {
        format!("The record of {org} is replaced: {target}")
    } else {
        format!("{org} is a member: {target}")
    };
    let compare = match args.fingerprint {
        Some(_) => String::new(),
        None => format!("Compare its fingerprint with {org} over a second channel: {digest}\n"),
    };
    format!("{done}\n{compare}{APPLY}")
}
