//! Overlaps caused by a change of our record.

use std::collections::BTreeSet;

use ringway_config::{Claim, Config, Fault, Member, Owner, conflicts, overlaps};

use super::OwnRecord;

/// The overlaps of our record with everything in a gateway's files.
pub(super) fn of_config(config: &Config) -> Vec<Fault> {
    let accepted: BTreeSet<_> = config.members.iter().map(|member| member.digest).collect();
    let mut faults = conflicts(config, &[], &accepted).0;

    // The others' claims are older, so an overlap is a fault of our record.
    faults.retain(|fault| fault.place.file == config.own.place.file);
    faults
}

/// The overlaps of `after` with itself and with the other records that the record before did not
/// have.
pub(super) fn among_records(own: &OwnRecord, after: &Member) -> Vec<Fault> {
    let known: BTreeSet<String> = overlapping(own, &own.member)
        .into_iter()
        .map(|fault| fault.message)
        .collect();

    let mut faults = overlapping(own, after);
    faults.retain(|fault| !known.contains(&fault.message));
    faults
}

fn overlapping(own: &OwnRecord, record: &Member) -> Vec<Fault> {
    let records = own.others.iter().chain([record]);
    let claims: Vec<Claim> = records.flat_map(claims).collect();
    let mine = |claim: &Claim| claim.place.file == record.place.file;

    // Among sites it does not matter which one is ours.
    overlaps(&claims, &Owner::Reserved)
        .map(|overlap| (&claims[overlap.a], &claims[overlap.b]))
        .filter(|(_, later)| mine(later))
        .map(|(earlier, later)| later.overlapping(earlier))
        .collect()
}

fn claims(record: &Member) -> impl Iterator<Item = Claim> {
    record.sites.iter().flat_map(|site| {
        let owner = Owner::Site {
            org: record.org.clone(),
            site: site.name.clone(),
        };
        site.prefixes.iter().map(move |placed| Claim {
            owner: owner.clone(),
            prefix: placed.prefix,
            place: placed.place.clone(),
        })
    })
}
