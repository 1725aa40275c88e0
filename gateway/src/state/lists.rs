//! [`NewestLists`]: the newest certificate revocation list of each CA that this gateway has
//! accepted, in `<state-dir>/revocation-lists`. An older or missing list would undo a revocation.
//!
//! A [`Ledger`]. A line for each CA: `<number> <SHA-256 of the list> <SHA-256 of the CA's key>
//! <org>`.

use std::collections::BTreeMap;
use std::path::Path;

use ringway_config::{Config, Digest, Fault, Ledger, LedgerError, OrgId, Place};
use ringway_identity::crl::path_beside;
use ringway_identity::{Crl, CrlNumber, Trust};

/// The newest accepted lists, by organization and key of the CA.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewestLists(BTreeMap<(OrgId, Digest), Accepted>);

/// The newest accepted list of one CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Accepted {
    number: CrlNumber,
    digest: Digest,
}

impl Ledger for NewestLists {
    const FILE: &'static str = "revocation-lists";
    const LOSS: &'static str = "older revocation lists cannot be told; restore it from a backup, \
                                or ask each organization for its newest list and remove it";

    fn lines(&self) -> String {
        let mut text = String::new();

        for ((org, key), Accepted { number, digest }) in &self.0 {
            text.push_str(&format!("{number} {digest} {key} {org}\n"));
        }
        text
    }

    fn parse(lines: &str) -> Option<NewestLists> {
        let mut newest = NewestLists::default();
        for line in lines.lines() {
            let mut words = line.split(' ');
            let number = CrlNumber::parse(words.next()?)?;
            let digest = words.next()?.parse().ok()?;
            let key = words.next()?.parse().ok()?;
            let org = words.next()?.parse().ok()?;
            if words.next().is_some() {
                return None;
            }
            newest.0.insert((org, key), Accepted { number, digest });
        }
        Some(newest)
    }
}

impl NewestLists {
    /// The lists that `trust` uses.
    pub fn of(trust: &Trust) -> NewestLists {
        let mut newest = NewestLists::default();
        for (org, list) in trust.lists() {
            newest.accept(org.clone(), list.issuer_key, accepted(list));
        }
        newest
    }

    /// Adds these lists to those in `state_dir`.
    pub fn store(&self, state_dir: &Path) -> Result<(), LedgerError> {
        NewestLists::update(state_dir, |kept| kept.merge(self)).map(drop)
    }

    /// Adds the entries of `other` that are newer.
    pub fn merge(&mut self, other: &NewestLists) {
        for ((org, key), theirs) in &other.0 {
            self.accept(org.clone(), *key, *theirs);
        }
    }

    fn accept(&mut self, org: OrgId, key: Digest, list: Accepted) {
        let known = self.0.entry((org, key)).or_insert(list);
        if known.number < list.number {
            *known = list;
        }
    }

    /// The faults of the lists that `trust` would use for `config`, with their organizations: older
    /// than the accepted ones, different lists of the same number, or missing.
    pub fn check(&self, config: &Config, trust: &Trust) -> Vec<(OrgId, Fault)> {
        let judged = trust
            .lists()
            .filter_map(|(org, list)| Some((org.clone(), self.judge(org, list)?)));

        judged.chain(self.missing(config, trust)).collect()
    }

    fn judge(&self, org: &OrgId, list: &Crl) -> Option<Fault> {
        let known = self.0.get(&(org.clone(), list.issuer_key))?;
        let Crl { number, issuer, .. } = list;

        let message = if *number < known.number {
            format!(
                "is older than what this gateway has accepted: CRL number {number} of {issuer}, \
                 but {} was accepted; take the newest list of {org}",
                known.number
            )
        } else if *number == known.number && list.digest != known.digest {
            format!(
                "is another list of {issuer} with the CRL number {number} than the one that was \
                 accepted: {} and not {}; each list needs a higher number",
                list.digest, known.digest
            )
        } else {
            return None;
        };
        Some(Fault {
            place: list.place.clone(),
            message,
        })
    }

    /// Accepted lists of CAs that are still in the record, and that are missing now.
    fn missing(&self, config: &Config, trust: &Trust) -> BTreeMap<OrgId, Fault> {
        let mut faults: BTreeMap<OrgId, Fault> = BTreeMap::new();

        for (org, key) in self.0.keys() {
            let Some(record) = config.record(org) else {
                continue;
            };
            let is_there = trust
                .lists()
                .any(|(other, list)| other == org && list.issuer_key == *key);
            // Fine if the CA has left the record, or if the operator allows its absence.
            if is_there || config.crl.none_from.contains(org) || !trust.has_authority(org, key) {
                continue;
            }

            let message = format!(
                "is missing, although this gateway had accepted a revocation list of {org}; put \
                 the newest one here, or add {org} to [crl] none-from if it makes none any more"
            );
            faults.entry(org.clone()).or_insert(Fault {
                place: Place::whole(&path_beside(&record.place.file)),
                message,
            });
        }
        faults
    }
}

fn accepted(list: &Crl) -> Accepted {
    Accepted {
        number: list.number,
        digest: list.digest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(number: &str) -> NewestLists {
        let accepted = Accepted {
            number: CrlNumber::parse(number).unwrap(),
            digest: Digest::of(number.as_bytes()),
        };
        let key = ("beta".parse().unwrap(), Digest::of(b"key"));
        NewestLists([(key, accepted)].into())
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        for lists in [NewestLists::default(), newest("01"), newest("FFFF")] {
            let text = lists.lines();
            assert_eq!(NewestLists::parse(&text), Some(lists));
            let more = format!("01 {0} {0} org extra\n{text}", Digest::of(b""));
            assert_eq!(NewestLists::parse(&more), None);
        }
    }

    #[test]
    fn the_newer_list_stays() {
        let mut lists = newest("02");
        lists.merge(&newest("01"));
        assert_eq!(lists, newest("02"));
        lists.merge(&newest("03"));
        assert_eq!(lists, newest("03"));
    }
}
