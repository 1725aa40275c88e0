//! [`NewestLists`]: the newest certificate revocation list of each CA that this gateway has
//! accepted, kept in `<state-dir>/revocation-lists`. An older list would undo a revocation, and so
//! would a list that is gone.
//!
//! A line for each CA, `<number> <SHA-256 of the list> <SHA-256 of the CA's key> <org>`. The last
//! line is `end` and the digest of the lines before.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ringway_config::disk::{self, Access};
use ringway_config::{Config, Digest, Fault, OrgId, Place};
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

/// Why it is not known which lists were accepted, or why that could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum ListsError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not as it was written.
    #[error(
        "{path} is damaged, so that older revocation lists cannot be told; restore it from a \
         backup, or ask each organization for its newest list and remove it"
    )]
    Broken {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be replaced.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
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

    /// What is kept in `state_dir`; nothing if the file does not exist yet.
    pub fn load(state_dir: &Path) -> Result<NewestLists, ListsError> {
        let path = file(state_dir);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(NewestLists::default());
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(ListsError::Broken { path });
            }
            Err(source) => return Err(ListsError::Read { path, source }),
            Ok(text) => text,
        };

        parse(&text).ok_or(ListsError::Broken { path })
    }

    /// Adds these lists to what is kept in `state_dir`.
    pub fn store(&self, state_dir: &Path) -> Result<(), ListsError> {
        let before = NewestLists::load(state_dir)?;
        let mut merged = before.clone();
        merged.merge(self);
        // A full disk is no matter if nothing changes.
        if merged == before {
            return Ok(());
        }

        let path = file(state_dir);
        disk::replace(&path, merged.text().as_bytes(), Access::Everybody)
            .map_err(|source| ListsError::Write { path, source })
    }

    /// Adds what `other` knows better.
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

    /// The faults of the lists that `trust` would use for `config`: older than the accepted ones,
    /// others of their numbers, or gone.
    pub fn check(&self, config: &Config, trust: &Trust) -> Vec<Fault> {
        let judged = trust
            .lists()
            .filter_map(|(org, list)| self.judge(org, list));

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

    /// Lists that were accepted, of CAs that still count, and that are gone.
    fn missing(&self, config: &Config, trust: &Trust) -> Vec<Fault> {
        let mut faults: BTreeMap<&OrgId, Fault> = BTreeMap::new();

        for (org, key) in self.0.keys() {
            let Some(record) = config.record(org) else {
                continue;
            };
            let is_there = trust
                .lists()
                .any(|(other, list)| other == org && list.issuer_key == *key);
            if is_there || config.crl.none_from.contains(org) || !trust.has_authority(org, key) {
                continue;
            }

            let message = format!(
                "is missing, although this gateway had accepted a revocation list of {org}; put \
                 the newest one here, or add {org} to [crl] none-from if it makes none any more"
            );
            faults.entry(org).or_insert(Fault {
                place: Place::whole(&path_beside(&record.place.file)),
                message,
            });
        }
        faults.into_values().collect()
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for ((org, key), Accepted { number, digest }) in &self.0 {
            text.push_str(&format!("{number} {digest} {key} {org}\n"));
        }
        text.push_str(&format!("end {}\n", Digest::of(text.as_bytes())));
        text
    }
}

fn accepted(list: &Crl) -> Accepted {
    Accepted {
        number: list.number,
        digest: list.digest,
    }
}

fn file(state_dir: &Path) -> PathBuf {
    state_dir.join("revocation-lists")
}

fn parse(text: &str) -> Option<NewestLists> {
    // Without its end, a CA could be missing, and its older lists would be accepted.
    let end = text
        .trim_end_matches('\n')
        .rfind('\n')
        .map_or(0, |at| at + 1);
    let (lines, last) = text.split_at(end);
    let digest = last.strip_prefix("end ")?.strip_suffix('\n')?;
    if digest != Digest::of(lines.as_bytes()).to_string() {
        return None;
    }

    let mut newest = NewestLists::default();
    for line in lines.lines() {
        let mut words = line.split(' ');
        let number = CrlNumber::parse(words.next()?)?;
        let digest = words.next()?.parse().ok()?;
        let key = words.next()?.parse().ok()?;
        let org = words.next()?.parse().ok()?;
        newest.0.insert((org, key), Accepted { number, digest });
    }
    Some(newest)
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
            let text = lists.text();
            assert_eq!(parse(&text), Some(lists));
            for cut in 0..text.len() {
                assert_eq!(parse(&text[..cut]), None, "{cut}");
            }
            let more = format!("01 {0} {0} org\n{text}", Digest::of(b""));
            assert_eq!(parse(&more), None);
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
