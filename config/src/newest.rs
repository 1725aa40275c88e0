//! [`Newest`]: the newest member record of each organization that this gateway has accepted, kept
//! in `<state-dir>/records`. An older record would undo a revocation; another one of the same
//! serial means that the organization tells its members different things.
//!
//! A [`Ledger`]. A line for each organization, `<serial> sha256:<64 hex digits> <org>`, with
//! `removed` at its end for one that is no member now: what was accepted outlives the member.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Config, Digest, Fault, Ledger, Member, OrgId, Place, reading};

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

impl Ledger for Newest {
    const FILE: &'static str = "records";
    const LOSS: &'static str = "older member records cannot be told; restore it from a backup, or \
                                compare the fingerprint of every record and remove it";

    fn lines(&self) -> String {
        let mut text = String::new();

        for (org, accepted) in &self.0 {
            let removed = if accepted.is_removed { " removed" } else { "" };
            let Accepted { serial, digest, .. } = accepted;
            text.push_str(&format!("{serial} {digest} {org}{removed}\n"));
        }
        text
    }

    fn parse(lines: &str) -> Option<Newest> {
        let mut newest = Newest::default();
        for line in lines.lines() {
            let (org, accepted) = parse_line(line)?;
            newest.0.insert(org, accepted);
        }
        Some(newest)
    }
}

impl Newest {
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
            if has_other_line_ends(record, known.digest) {
                format!(
                    "is the record of {org} with serial {serial} that was accepted, but for its \
                     line ends, which a transfer or an editor has changed; copy it again as it is"
                )
            } else {
                format!(
                    "equivocates: another record of {org} with serial {serial} was accepted, {}, \
                     and this one is {}; each change needs a higher serial",
                    known.digest, record.digest
                )
            }
        } else {
            return None;
        };

        Some(Fault {
            place: record.place.clone(),
            message,
        })
    }

    /// The faults of every record of `config` that is not withheld, and of a members directory that
    /// has become empty although nobody removed its members.
    pub fn check(&self, config: &Config) -> Vec<Fault> {
        let mut faults: Vec<Fault> = config
            .records()
            .filter(|record| !config.withheld.contains_key(&record.org))
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

    /// `config` is in force: its records are accepted, but for withheld ones, and the other
    /// organizations are no members.
    pub fn follow(&mut self, config: &Config) {
        for (org, known) in &mut self.0 {
            known.is_removed |= config.record(org).is_none();
        }
        let records = config.records();
        for record in records.filter(|record| !config.withheld.contains_key(&record.org)) {
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

/// True if `record` would have the digest `accepted` with other line ends, with or without a byte
/// order mark.
fn has_other_line_ends(record: &Member, accepted: Digest) -> bool {
    let Ok(text) = reading::read_text(&record.place.file) else {
        return false;
    };

    let unix = text.replace("\r\n", "\n");
    let unix = unix.trim_start_matches('\u{feff}').to_owned();
    let other = unix.replace('\n', "\r\n");
    let marked = [&unix, &other].map(|text| format!("\u{feff}{text}"));
    let variants = [&unix, &other].into_iter().chain(&marked);
    variants
        .map(|text| Digest::of(text.as_bytes()))
        .any(|digest| digest == accepted)
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
    use std::fs;
    use std::path::PathBuf;

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
    fn a_record_that_differs_in_its_line_ends_alone_is_not_called_another_one() {
        let dir = scratch("line-ends");
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("acme.member.toml");
        let text = format!(
            "# of acme\n{}",
            include_str!("../tests/cases/sound/acme.member.toml")
        );
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            Member::load(&path).unwrap()
        };
        let mut newest = Newest::default();
        newest.accept(&read(&text));

        for same in [text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
            let refusal = refusal(&newest, &read(&same));
            assert!(refusal.contains("line ends"), "{refusal}");
        }
        let other = refusal(&newest, &read(&text.replace("of acme", "of ours")));
        assert!(other.contains("equivocates"), "{other}");
        fs::remove_dir_all(dir).unwrap();
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
