//! `ringway member add`: checks records as a reload would, shows what each changes, asks the reader
//! to confirm their fingerprints, and copies them into the members directory byte for byte. If any
//! of them has a fault, all faults are printed and nothing changes.

mod candidate;
mod confirm;
mod put;
pub(in crate::cli) mod show;
mod warnings;

use std::collections::BTreeSet;
use std::process::ExitCode;

use ringway_config::{Config, Digest, Fault, Faults, Ledger as _, Member, Newest, conflicts};
use ringway_identity::Trust;
use rustls_pki_types::UnixTime;

use super::Add;
use crate::cli::{Failure, answer, block_on, how_to_apply};
use crate::prepare::links;
use candidate::Candidate;
use confirm::Fingerprints;

/// Runs `ringway member add`.
pub(super) fn run(args: &Add) -> Result<ExitCode, Failure> {
    let mut config = Config::load(&args.config.path)?;
    let fingerprints = Fingerprints::of(args)?;
    let newest = newest(&config)?;
    let candidates = candidate::read(&args.files, &config)?;
    let (known, new): (Vec<Candidate>, Vec<Candidate>) = candidates
        .into_iter()
        .partition(|candidate| candidate.is_known(&config));

    let mut faults: Vec<Fault> = new
        .iter()
        .filter_map(|candidate| newest.judge(&candidate.record))
        .collect();
    faults.extend(new.iter().filter_map(|new| fingerprints.fault(new)));
    if !faults.is_empty() {
        return Err(Faults::from(faults).into());
    }

    // Without the former records of these organizations, since the new ones may overlap with them.
    let replaced = replace(&mut config, &new);
    judge(&config, &new)?;

    for candidate in &known {
        answer(candidate.is_there(&config))?;
    }
    if new.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    for candidate in &new {
        let before = replaced.iter().find(|old| old.org == candidate.record.org);
        answer(show::changes(before, &candidate.record)?)?;
    }
    answer(warnings::warnings(&config, &new, &replaced))?;
    fingerprints.confirm(&new)?;

    put::all(&new, &replaced, &config)?;
    let done = new
        .iter()
        .map(|candidate| candidate.done(&replaced, &config));
    answer(done.collect::<String>() + &how_to_apply(&config.path))
}

/// The newest accepted records: by the daemon, and by this command.
fn newest(config: &Config) -> Result<Newest, Failure> {
    let mut newest = Newest::load(&config.state_dir).map_err(anyhow::Error::from)?;
    // Records in a directory that no daemon has read yet.
    for record in &config.members {
        newest.accept(record);
    }

    Ok(newest)
}

/// Replaces the records of the same organizations. Returns the former ones.
fn replace(config: &mut Config, new: &[Candidate]) -> Vec<Member> {
    let orgs: BTreeSet<_> = new.iter().map(|candidate| &candidate.record.org).collect();
    let (replaced, mut members): (Vec<Member>, Vec<Member>) = config
        .members
        .drain(..)
        .partition(|member| orgs.contains(&member.org));

    members.extend(new.iter().map(|candidate| candidate.record.clone()));
    config.members = members;
    replaced
}

/// Reports the faults of the new records. The existing records have the older claims: an overlap of
/// both is a fault of the new record.
fn judge(config: &Config, new: &[Candidate]) -> Result<(), Failure> {
    let files: BTreeSet<_> = new
        .iter()
        .map(|candidate| &candidate.record.place.file)
        .collect();
    let accepted: BTreeSet<Digest> = config
        .records()
        .filter(|record| !files.contains(&record.place.file))
        .map(|record| record.digest)
        .collect();

    let connected = block_on(links(config))??.connected();
    let lapsed = Trust::build(config)?.lapsed(UnixTime::now());
    let overlapping = conflicts(config, &connected, &accepted).0;
    let mut faults: Vec<Fault> = lapsed.into_iter().chain(overlapping).collect();
    // Faults of other records do not matter here.
    faults.retain(|fault| files.contains(&fault.place.file));
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Faults::from(faults).into())
    }
}
