//! [`Newest`]: the newest member record of each organization that this gateway has accepted, kept
//! in `<state-dir>/records`. An older record would undo a revocation; another one of the same
//! serial means that the organization tells its members different things.
//!
//! A line for each organization, `<serial> sha256:<64 hex digits> <org>`, with `removed` at its end
//! for one that is no member now: what was accepted outlives the member. The last line is `end` and
//! the digest of the lines before. The daemon and the command line both write the file: each change
//! is made under a lock of the directory, and the file is replaced atomically.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::disk::{self, Access};
use crate::{Config, Digest, Fault, Member, OrgId, Place};

/// Bytes of the file that are read: some 10,000 organizations.
const MOST_BYTES: u64 = 1 << 20;

/// The newest accepted records by organization.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Newest(BTreeMap<OrgId, Accepted>);

/// The newest accepted record of one organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Accepted {
    serial: u64,
    digest: Digest,
    /// The organization was a member and is none now.
    is_removed: bool,
}

/// Why it is not known which records were accepted, or why that could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum NewestError {
    /// The file or its directory cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not as it was written.
    #[error(
        "{path} is damaged, so that older member records cannot be told; restore it from a \
         backup, or compare the fingerprint of every record and remove it"
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

impl Newest {
    /// What is kept in `state_dir`; nothing if the file does not exist yet.
    pub fn load(state_dir: &Path) -> Result<Newest, NewestError> {
        let path = file(state_dir);
        let text = match read(&path) {
            // The first start of this gateway: no record has been accepted yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Newest::default()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(NewestError::Broken { path });
            }
            Err(source) => return Err(NewestError::Read { path, source }),
            Ok(text) => text,
        };

        parse(&text).ok_or(NewestError::Broken { path })
    }

    /// Changes what is kept in `state_dir`, which is created if it does not exist.
    pub fn update(
        state_dir: &Path,
        change: impl FnOnce(&mut Newest),
    ) -> Result<Newest, NewestError> {
        let _lock = lock(state_dir)?;
        let before = Newest::load(state_dir)?;
        let mut newest = before.clone();
        change(&mut newest);

        // A full disk is no matter if nothing changes.
        if newest != before {
            newest.save(state_dir)?;
        }
        Ok(newest)
    }

    /// Replaces what is kept in `state_dir`, even if it is damaged.
    pub fn replace(&self, state_dir: &Path) -> Result<(), NewestError> {
        let _lock = lock(state_dir)?;
        self.save(state_dir)
    }

    fn save(&self, state_dir: &Path) -> Result<(), NewestError> {
        let path = file(state_dir);
        let mut text = String::new();

        for (org, accepted) in &self.0 {
            let removed = if accepted.is_removed { " removed" } else { "" };
            let Accepted { serial, digest, .. } = accepted;
            text.push_str(&format!("{serial} {digest} {org}{removed}\n"));
        }
        text.push_str(&format!("end {}\n", Digest::of(text.as_bytes())));

        disk::replace(&path, text.as_bytes(), Access::Everybody)
            .map_err(|source| NewestError::Write { path, source })
    }

    /// The fault of a record that is older than the accepted one of its organization, or another
    /// one of the same serial.
    pub fn judge(&self, record: &Member) -> Option<Fault> {
        let Member { org, serial, .. } = record;
        let known = self.0.get(org)?;
        let message = if *serial < known.serial {
            format!(
                "is older than what this gateway has accepted: serial {serial}, but serial {} of \
                 {org} was accepted; take the newest record of {org}",
                known.serial
            )
        } else if *serial == known.serial && *serial > 0 && record.digest != known.digest {
            // Serial 0 is every record of version 1.
            format!(
                "equivocates: another record of {org} with serial {serial} was accepted, {}, and \
                 this one is {}; each change needs a higher serial",
                known.digest, record.digest
            )
        } else {
            return None;
        };

        Some(Fault {
            place: record.place.clone(),
            message,
        })
    }

    /// The faults of every record of `config`, and of a members directory that has become empty
    /// although nobody removed its members.
    pub fn check(&self, config: &Config) -> Vec<Fault> {
        let mut faults: Vec<Fault> = config
            .records()
            .filter_map(|record| self.judge(record))
            .collect();

        if config.members.is_empty() {
            faults.extend(self.vanished(&config.own.org, &config.members_dir));
        }
        faults
    }

    /// The fault of an empty members directory `dir`, unless every member but `own` was removed.
    pub fn vanished(&self, own: &OrgId, dir: &Path) -> Option<Fault> {
        let missing: Vec<&str> = self
            .0
            .iter()
            .filter(|(org, accepted)| *org != own && !accepted.is_removed)
            .map(|(org, _)| org.as_str())
            .collect();
        let first = missing.first()?;

        let message = format!(
            "holds no member record, although this gateway had accepted {}; restore the records, \
             or run ringway member remove {first} for each that is no member any more",
            missing.join(", ")
        );
        Some(Fault {
            place: Place::whole(dir),
            message,
        })
    }

    /// The serial of the newest record of `org`; 0 if none was accepted.
    pub fn serial(&self, org: &OrgId) -> u64 {
        self.0.get(org).map_or(0, |known| known.serial)
    }

    /// True if a record of `org` was accepted, and nobody has removed the organization since.
    pub fn has(&self, org: &OrgId) -> bool {
        self.0.get(org).is_some_and(|known| !known.is_removed)
    }

    /// `record` is accepted. An older one changes nothing.
    pub fn accept(&mut self, record: &Member) {
        let accepted = Accepted {
            serial: record.serial,
            digest: record.digest,
            is_removed: false,
        };
        let known = self.0.entry(record.org.clone()).or_insert(accepted);

        known.is_removed = false;
        if record.serial >= known.serial {
            *known = accepted;
        }
    }

    /// `config` is in force: its records are accepted, and the other organizations are no members.
    pub fn follow(&mut self, config: &Config) {
        for (org, known) in &mut self.0 {
            known.is_removed |= config.record(org).is_none();
        }
        for record in config.records() {
            self.accept(record);
        }
    }

    /// `org` is no member any more.
    pub fn remove(&mut self, org: &OrgId) {
        if let Some(known) = self.0.get_mut(org) {
            known.is_removed = true;
        }
    }

    /// Organizations that somebody has removed by `other` are no members here either. A command has
    /// written that down, while the daemon still has them.
    pub fn heed_removals(&mut self, other: &Newest) {
        for (org, theirs) in &other.0 {
            if let Some(ours) = self.0.get_mut(org) {
                ours.is_removed |= theirs.is_removed;
            }
        }
    }

    /// Adds what `other` knows better: higher serials and organizations that are not known here.
    pub fn merge(&mut self, other: &Newest) {
        for (org, theirs) in &other.0 {
            let ours = self.0.entry(org.clone()).or_insert(*theirs);
            if theirs.serial > ours.serial {
                *ours = *theirs;
            }
        }
    }
}

fn file(state_dir: &Path) -> PathBuf {
    state_dir.join("records")
}

/// Until the file is dropped, nobody else changes what is kept in `state_dir`.
fn lock(state_dir: &Path) -> Result<Flock<File>, NewestError> {
    let locked = fs::create_dir_all(state_dir)
        .and_then(|()| File::open(state_dir))
        .and_then(|dir| {
            Flock::lock(dir, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
        });

    locked.map_err(|source| NewestError::Read {
        path: state_dir.to_owned(),
        source,
    })
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(MOST_BYTES)
        .read_to_string(&mut text)?;

    Ok(text)
}

fn parse(text: &str) -> Option<Newest> {
    // Without its end, an organization could be missing, and its older records would be accepted.
    let lines = text.strip_suffix('\n')?;
    let (lines, end) = match lines.rsplit_once('\n') {
        Some((_, end)) => (&text[..text.len() - end.len() - 1], end),
        None => ("", lines),
    };
    if end.strip_prefix("end ")? != Digest::of(lines.as_bytes()).to_string() {
        return None;
    }

    let mut newest = Newest::default();
    for line in lines.lines() {
        let (org, accepted) = parse_line(line)?;
        newest.0.insert(org, accepted);
    }
    Some(newest)
}

fn parse_line(line: &str) -> Option<(OrgId, Accepted)> {
    let mut words = line.split(' ');
    let serial = words.next()?.parse().ok()?;
    let digest = words.next()?.parse().ok()?;
    let org = words.next()?.parse().ok()?;
    let is_removed = match words.next() {
        None => false,
        Some("removed") => true,
        Some(_) => return None,
    };

    let accepted = Accepted {
        serial,
        digest,
        is_removed,
    };
    Some((org, accepted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewMember, member_text};

    /// An empty directory for one test.
    fn scratch(test: &str) -> PathBuf {
        let dir =
            std::env::temp_dir().join(format!("ringway-newest-{test}-{}", std::process::id()));
        _ = fs::remove_dir_all(&dir);
        dir
    }

    /// A record of acme; `site` makes its content another one.
    fn record(serial: u64, site: &str) -> Member {
        let text = member_text(&NewMember {
            org: "acme".parse().unwrap(),
            domain: "consortium.example".parse().unwrap(),
            serial: serial.max(1),
            ca_pem: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n".into(),
            sites: vec![(site.parse().unwrap(), Vec::new())],
            gateways: Vec::new(),
        });
        let member = Member::parse(&text, Path::new("acme.member.toml")).unwrap();
        Member { serial, ..member }
    }

    fn refusal(newest: &Newest, record: &Member) -> String {
        newest
            .judge(record)
            .map(|fault| fault.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn an_older_record_and_another_one_of_the_same_serial_are_refused() {
        let mut newest = Newest::default();
        newest.accept(&record(5, "west"));

        assert_eq!(refusal(&newest, &record(5, "west")), "");
        assert_eq!(refusal(&newest, &record(6, "east")), "");
        for older in [0, 4] {
            let refusal = refusal(&newest, &record(older, "west"));
            assert!(
                refusal.contains(&format!("serial {older}, but serial 5 of acme")),
                "{refusal}"
            );
        }
        let other = record(5, "east");
        let refusal = refusal(&newest, &other);
        for part in [
            "equivocates",
            &record(5, "west").digest.to_string(),
            &other.digest.to_string(),
        ] {
            assert!(refusal.contains(part), "{part}: {refusal}");
        }
    }

    #[test]
    fn records_of_version_1_follow_each_other_until_one_of_version_2_is_accepted() {
        let mut newest = Newest::default();
        newest.accept(&record(0, "west"));
        assert_eq!(refusal(&newest, &record(0, "east")), "");
        newest.accept(&record(1, "west"));
        assert!(refusal(&newest, &record(0, "west")).contains("serial 0, but serial 1"));
    }

    #[test]
    fn what_was_accepted_outlives_the_member_and_the_process() {
        let dir = scratch("kept");
        let org = "acme".parse().unwrap();
        Newest::update(&dir, |newest| newest.accept(&record(5, "west"))).unwrap();
        Newest::update(&dir, |newest| newest.remove(&org)).unwrap();

        let mut newest = Newest::load(&dir).unwrap();
        assert!(!newest.has(&org));
        assert!(newest.judge(&record(4, "west")).is_some());
        newest.accept(&record(4, "west"));
        assert!(newest.has(&org) && newest.judge(&record(4, "west")).is_some());
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_file_with_any_byte_cut_off_or_changed_is_damaged() {
        let dir = scratch("damaged");
        Newest::update(&dir, |newest| newest.accept(&record(5, "west"))).unwrap();
        let good = fs::read(file(&dir)).unwrap();

        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            for bad in [&good[..at], &changed[..]] {
                fs::write(file(&dir), bad).unwrap();
                let error = Newest::load(&dir).unwrap_err();
                assert!(matches!(error, NewestError::Broken { .. }), "{at}: {error}");
            }
        }

        // A change does not replace it: what it said would be lost.
        assert!(Newest::update(&dir, |newest| newest.accept(&record(6, "west"))).is_err());
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_directory_that_is_suddenly_empty_is_a_fault_unless_its_members_were_removed() {
        let dir = Path::new("members");
        let (own, org) = ("beta".parse().unwrap(), "acme".parse().unwrap());
        let mut newest = Newest::default();
        assert_eq!(newest.vanished(&own, dir), None);
        newest.accept(&record(1, "west"));
        let fault = newest.vanished(&own, dir).unwrap().to_string();
        assert!(fault.contains("ringway member remove acme"), "{fault}");
        assert_eq!(newest.vanished(&org, dir), None, "our own organization");
        newest.remove(&org);
        assert_eq!(newest.vanished(&own, dir), None);
    }

    #[test]
    fn a_removal_that_only_the_file_knows_counts() {
        let (own, org) = ("beta".parse().unwrap(), "acme".parse().unwrap());
        let mut known = Newest::default();
        known.accept(&record(5, "west"));
        let mut stored = known.clone();
        stored.remove(&org);

        known.merge(&stored);
        assert!(known.has(&org), "the daemon still has it");
        known.heed_removals(&stored);
        assert_eq!(known.vanished(&own, Path::new("members")), None);
        // A file that is gone says nothing.
        known.accept(&record(5, "west"));
        known.heed_removals(&Newest::default());
        assert!(known.has(&org));
    }

    #[test]
    fn merging_keeps_the_higher_serial_of_each() {
        let mut one = Newest::default();
        one.accept(&record(5, "west"));
        let mut two = Newest::default();
        two.accept(&record(7, "west"));
        one.merge(&two);
        assert_eq!(one, two);
        two.merge(&Newest::default());
        assert_eq!(one, two);
    }
}
