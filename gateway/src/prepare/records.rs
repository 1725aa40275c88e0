//! Compares member records and revocation lists with what was accepted before: an older one could
//! undo a revocation.

use std::collections::BTreeSet;
use std::path::Path;

use ringway_config::{AcceptedError, Config, Digest, Fault, Faults, Ledger as _, Newest, OrgId};
use ringway_identity::Trust;

use super::{whole_fault, whole_file};
use crate::state::NewestLists;

/// What to do with a record of another organization, or its revocation list, that must not be used:
/// it is older than the accepted one, for example.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unusable {
    /// Go on without tunnels to this organization, as a start does.
    #[default]
    Withhold,
    /// Refuse all files, as a running daemon does: it has an earlier configuration.
    Refuse,
}

/// The newest accepted records, merged from the daemon's knowledge and from disk.
pub(super) fn remembered(
    state_dir: &Path,
    known: Option<Newest>,
    path: &Path,
    unread: &mut Vec<Fault>,
) -> Option<Newest> {
    match (Newest::load(state_dir), known) {
        // Each may know more than the other: the daemon has records that it could not store, the
        // file has removals that a command has recorded.
        (Ok(stored), Some(mut known)) => {
            known.merge(&stored);
            known.heed_removals(&stored);
            Some(known)
        }
        (Ok(stored), None) => Some(stored),
        (Err(error), known) => {
            unread.push(whole_fault(path, &error));
            known
        }
    }
}

/// Withholds or refuses the records that are older than the accepted ones. Ours is always refused:
/// an older one could undo the revocation of a node.
pub(super) fn check_records(
    config: &mut Config,
    newest: &Newest,
    unusable: Unusable,
) -> Result<(), Faults> {
    if unusable == Unusable::Withhold {
        let judged = config.members.iter();
        let judged: Vec<(OrgId, Fault)> = judged
            .filter_map(|member| Some((member.org.clone(), newest.judge(member)?)))
            .collect();
        for (org, fault) in judged {
            config.withhold(&org, fault);
        }
    }

    let faults = newest.check(config);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Faults::from(faults))
    }
}

/// The certificates to accept. Withholds or refuses organizations whose revocation list is older
/// than the accepted one, or missing. Ours is always refused.
pub(super) fn check_lists(
    config: &mut Config,
    known: NewestLists,
    unusable: Unusable,
) -> Result<Trust, Faults> {
    let mut newest = known;
    // If this cannot be read, an older list could undo a revocation.
    let stored = NewestLists::load(&config.state_dir);
    newest.merge(&stored.map_err(|error| whole_file(&config.path, &error))?);

    let trust = Trust::build(config)?;
    let judged = newest.check(config, &trust);
    let is_ours = judged.iter().any(|(org, _)| *org == config.own.org);
    if is_ours || (unusable == Unusable::Refuse && !judged.is_empty()) {
        let faults = judged.into_iter().map(|(_, fault)| fault);
        return Err(Faults::from(faults.collect::<Vec<_>>()));
    }

    if judged.is_empty() {
        return Ok(trust);
    }
    for (org, fault) in judged {
        config.withhold(&org, fault);
    }
    Trust::build(config)
}

/// Withholds the records that were not in force before.
pub(super) fn withhold_unknown(config: &mut Config, accepted: &BTreeSet<Digest>) {
    let records = config.records();
    let unknown: Vec<(OrgId, Fault)> = records
        .filter(|record| !accepted.contains(&record.digest))
        .map(|record| {
            let message = "was not in force before, and may be older than the newest; repair the \
                           state directory";
            let fault = Fault {
                place: record.place.clone(),
                message: message.to_owned(),
            };
            (record.org.clone(), fault)
        })
        .collect();

    for (org, fault) in unknown {
        config.withhold(&org, fault);
    }
}

/// The records that were accepted before. None if they cannot be read, as at a cold start: then
/// overlapping records get no routes, and nobody takes over a prefix.
pub(super) fn known(
    accepted: Result<BTreeSet<Digest>, AcceptedError>,
    path: &Path,
) -> Result<(BTreeSet<Digest>, Option<Fault>), Faults> {
    match accepted {
        Ok(accepted) => Ok((accepted, None)),
        Err(error @ AcceptedError::Read { .. }) => {
            Ok((BTreeSet::new(), Some(whole_fault(path, &error))))
        }
        // A broken line could be an incumbent's, so the operator has to restore the file.
        Err(error) => Err(whole_file(path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use ringway_config::{Member, accepted};

    use super::*;

    /// A gateway of acme that beta relies on, and the reverse.
    fn config() -> Config {
        let case = "../config/tests/cases/announce/gateway.toml";
        Config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join(case)).unwrap()
    }

    /// Another record than that of `org` was accepted, of this serial.
    fn other(config: &Config, org: &str, serial: u64) -> Newest {
        let org = org.parse().unwrap();
        let mut newest = Newest::default();
        newest.accept(&Member {
            serial,
            digest: Digest([7; 32]),
            ..config.record(&org).unwrap().clone()
        });
        newest
    }

    #[test]
    fn a_withheld_record_allows_nothing_and_is_not_accepted() {
        let [acme, beta] = ["acme", "beta"].map(|org| org.parse::<OrgId>().unwrap());
        let [far, plant] = ["far", "plant"].map(|site| site.parse().unwrap());

        // An older one, and another one of the same serial.
        for serial in [5, 1] {
            let mut config = config();
            let newest = other(&config, "beta", serial);
            assert!(
                config.is_served_here(&beta, &plant) && config.server_of(&acme, &far).is_some()
            );
            let prefixes = config.record(&beta).unwrap().sites.clone();
            assert!(check_records(&mut config, &newest, Unusable::Refuse).is_err());
            assert!(config.withheld.is_empty());

            check_records(&mut config, &newest, Unusable::Withhold).unwrap();
            let record = config.record(&beta).unwrap();
            assert!(record.gateways.is_empty());
            assert!(!config.is_served_here(&beta, &plant));
            assert!(config.server_of(&acme, &far).is_none());
            for (site, before) in record.sites.iter().zip(prefixes) {
                assert_eq!(site.prefixes, before.prefixes);
            }

            let mut followed = newest.clone();
            followed.follow(&config);
            assert!(followed.judge(record).is_some());
            let accepted = accepted::after(&config, &[], &BTreeSet::new());
            assert!(accepted.values().eq([&acme]));
        }
    }

    #[test]
    fn our_own_record_is_never_withheld_for_its_age() {
        let mut config = config();
        let newest = other(&config, "acme", 5);
        assert!(check_records(&mut config, &newest, Unusable::Withhold).is_err());
    }

    #[test]
    fn records_that_were_not_in_force_stay_unknown_over_a_start() {
        let mut config = config();
        withhold_unknown(&mut config, &BTreeSet::new());
        assert_eq!(config.withheld.len(), 2);
        assert_eq!(config.own.gateways.len(), 1, "this gateway");
        assert!(accepted::after(&config, &[], &BTreeSet::new()).is_empty());
    }
}
