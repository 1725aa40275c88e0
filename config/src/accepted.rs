//! The records that this gateway has accepted, kept in `<state-dir>/accepted`, so that a restart
//! decides overlaps as the running daemon did (see [`crate::verdict`]).
//!
//! A line for each record, `sha256:<64 hex digits> <org>`; the file is replaced atomically.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{self, Access};
use crate::overlap::Owner;
use crate::verdict::{Ruling, Verdict};
use crate::{Config, Digest, OrgId, reading};

/// Accepted records: digest and organization.
pub type Accepted = BTreeMap<Digest, OrgId>;

/// Why the accepted records could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum AcceptedError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A line is not `sha256:<64 hex digits> <org>`.
    #[error(
        "{path}:{line}:1: not a line `sha256:<64 hex digits> <org>`; restore the file from a \
         backup, or remove it if no two member records overlap (run `ringway check`)"
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
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

/// The digests kept in `state_dir`; none if the file does not exist yet.
pub fn load(state_dir: &Path) -> Result<BTreeSet<Digest>, AcceptedError> {
    let path = state_dir.join("accepted");
    let text = match reading::open(&path).and_then(io::read_to_string) {
        // The first start of this gateway: no record has been accepted yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(source) => return Err(AcceptedError::Read { path, source }),
        Ok(text) => text,
    };

    let mut digests = BTreeSet::new();
    for (line, text) in (1..).zip(text.lines()) {
        let Some(digest) = read_line(text) else {
            // Skipped, the line's organization would be a newcomer and could lose its prefixes.
            return Err(AcceptedError::Broken { path, line });
        };
        digests.insert(digest);
    }

    Ok(digests)
}

fn read_line(line: &str) -> Option<Digest> {
    // The organization is for readers of the file; the digest alone decides.
    let (digest, org) = line.split_once(' ')?;
    org.parse::<OrgId>().ok()?;
    digest.parse().ok()
}

/// Replaces the records kept in `state_dir` by `accepted`. Atomic: a crash leaves the old or the
/// new file.
pub fn save(state_dir: &Path, accepted: &Accepted) -> Result<(), AcceptedError> {
    let path = state_dir.join("accepted");
    let text: String = accepted
        .iter()
        .map(|(digest, org)| format!("{digest} {org}\n"))
        .collect();
    disk::replace(&path, text.as_bytes(), Access::Owner)
        .map_err(|source| AcceptedError::Write { path, source })
}

/// The records to keep once `rulings` are in force: those of `config` that were accepted `before`,
/// and those that clash with no other organization's. A record that is not kept counts as a
/// newcomer again the next time (see [`crate::verdict`]). Withheld records are not in force.
pub fn after(config: &Config, rulings: &[Ruling], before: &BTreeSet<Digest>) -> Accepted {
    let mut disputed = BTreeSet::new();
    for ruling in rulings {
        // A clash with a range of this host does not count: it may be gone at the next start.
        if let Verdict::Conflicted {
            with: Owner::Site { .. },
            ..
        } = ruling.verdict
        {
            disputed.insert(&ruling.org);
        }
    }

    config
        .records()
        .filter(|record| !config.withheld.contains_key(&record.org))
        .filter(|record| before.contains(&record.digest) || !disputed.contains(&record.org))
        .map(|record| (record.digest, record.org.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// An empty directory for one test.
    fn scratch(test: &str) -> PathBuf {
        let dir =
            std::env::temp_dir().join(format!("ringway-accepted-{test}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn records_that_were_kept_are_read_back_and_replaced_whole() {
        let dir = scratch("kept");
        assert_eq!(load(&dir).unwrap(), BTreeSet::new());
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        let org: OrgId = "acme".parse().unwrap();
        save(
            &dir,
            &Accepted::from([(one, org.clone()), (two, org.clone())]),
        )
        .unwrap();
        assert_eq!(load(&dir).unwrap(), BTreeSet::from([one, two]));
        save(&dir, &Accepted::from([(two, org)])).unwrap();
        assert_eq!(load(&dir).unwrap(), BTreeSet::from([two]));
        assert_eq!(
            fs::read_dir(&dir).unwrap().count(),
            1,
            "only the file itself is left"
        );
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_broken_file_is_an_error_that_says_how_to_correct_it() {
        let dir = scratch("broken");
        let good = format!("{} acme\n", Digest::of(b"x"));
        for bad in [
            "\n",
            "sha256:00 acme\n",
            "acme\n",
            &good.replace("acme", "Acme"),
        ] {
            fs::write(dir.join("accepted"), format!("{good}{bad}")).unwrap();
            let error = load(&dir).unwrap_err().to_string();
            assert!(
                error.contains("accepted:2:1: ") && error.contains("restore the file"),
                "{error}"
            );
        }
        fs::remove_dir_all(dir).unwrap();
    }
}
