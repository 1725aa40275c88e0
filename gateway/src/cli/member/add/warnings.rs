//! Warnings that do not refuse a record, but that the operator should know.

use ringway_config::{Config, Escaped, Fault, Member};
use ringway_identity::crl::path_beside;
use ringway_identity::trust;

use super::candidate::Candidate;

/// One line for each warning about the `new` records, if `config` ran with them.
pub(super) fn warnings(config: &Config, new: &[Candidate], replaced: &[Member]) -> String {
    let is_new = |fault: &Fault| {
        let mut places = new.iter().map(|candidate| &candidate.record.place.file);
        places.any(|file| *file == fault.place.file)
    };
    let unmet = config.never_met().into_iter().filter(is_new);
    let lists = new
        .iter()
        .flat_map(|candidate| of_lists(candidate, replaced, config));

    let unserved = changed_serving(config, new);

    unmet
        .chain(lists)
        .chain(unserved)
        .map(|fault| format!("warning: {fault}\n"))
        .collect()
}

/// Sites that no gateway serves because of a new record. The record itself is accepted.
fn changed_serving(config: &Config, new: &[Candidate]) -> Vec<Fault> {
    let mut faults = config.unserved();
    faults.extend(config.unused_transit());

    faults.retain(|fault| {
        let mut places = new.iter().map(|candidate| &candidate.record.place.file);
        places.any(|file| *file == fault.place.file)
            || new.iter().any(|candidate| {
                let org = candidate.record.org.as_str();
                fault
                    .message
                    .split([' ', '/', ',', ';'])
                    .any(|word| word == org)
            })
    });
    faults
}

/// Warnings about revocation lists: those beside the record's target, and that lists beside the
/// given file are not copied.
fn of_lists(candidate: &Candidate, replaced: &[Member], config: &Config) -> Vec<Fault> {
    let target = candidate.target(replaced, config);
    let offered = path_beside(&candidate.record.place.file);
    let used = path_beside(&target);

    let mut there = candidate.record.clone();
    there.place.file = target.into();
    let mut faults = match trust::lists(&there) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.0,
    };
    for fault in &mut faults {
        fault
            .message
            .push_str("; until then every start and reload is refused");
    }

    if offered != used && offered.exists() {
        let path = used.display().to_string();
        faults.push(Fault {
            place: ringway_config::Place::whole(&offered),
            message: format!(
                "is not copied with the record; to use it, copy it to {}",
                Escaped(&path)
            ),
        });
    }
    faults
}
