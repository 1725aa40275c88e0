//! [`RecordDrift`]: two gateways hold different records of one organization. Which of the two is
//! older, and what an operator does about it. What the peer says decides nothing.

use std::collections::BTreeMap;

use ringway_config::{GatewayId, OrgId};

use crate::held_record::HeldRecord;

/// An organization of whose record the two ends of a tunnel hold different versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordDrift {
    /// The organization.
    pub org: OrgId,
    /// What we hold; `None`: it is no member here.
    pub ours: Option<HeldRecord>,
    /// What the peer says that it holds; `None`: it is no member there.
    pub theirs: Option<HeldRecord>,
}

/// The records in this gateway's files, which a reload would read.
pub type FiledRecords = BTreeMap<OrgId, HeldRecord>;

/// How the two records differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// The peer's has the lower serial.
    PeerIsOlder,
    /// Ours has the lower serial.
    WeAreOlder,
    /// One serial, two contents: the organization has handed out both, or one is forged.
    Equivocation,
    /// At least one of the two has no serial.
    Unknown,
    /// The organization is no member there.
    MissingThere,
    /// The organization is no member here.
    MissingHere,
}

impl Drift {
    /// For machines.
    pub fn name(self) -> &'static str {
        match self {
            Drift::PeerIsOlder => "peer-is-older",
            Drift::WeAreOlder => "we-are-older",
            Drift::Equivocation => "equivocation",
            Drift::Unknown => "unknown",
            Drift::MissingThere => "missing-there",
            Drift::MissingHere => "missing-here",
        }
    }
}

impl RecordDrift {
    /// How the two records differ.
    pub fn kind(&self) -> Drift {
        let (ours, theirs) = match (self.ours, self.theirs) {
            (Some(ours), Some(theirs)) => (ours.serial, theirs.serial),
            (Some(_), None) => return Drift::MissingThere,
            (None, _) => return Drift::MissingHere,
        };

        if ours == 0 || theirs == 0 {
            Drift::Unknown
        } else if theirs < ours {
            Drift::PeerIsOlder
        } else if ours < theirs {
            Drift::WeAreOlder
        } else {
            Drift::Equivocation
        }
    }

    /// True if a reload of this gateway ends the difference, or makes it smaller: the record in our
    /// files is the peer's, or newer than the one in force. `files` is `None` while unknown.
    pub fn awaits_reload(&self, files: Option<&FiledRecords>) -> bool {
        let Some(files) = files else {
            return false;
        };
        let filed = files.get(&self.org).copied();
        if self.kind() == Drift::PeerIsOlder || is_same(filed, self.ours) {
            return false;
        }

        let is_newer = filed.is_some_and(|filed| {
            let ours = self.ours.map(|ours| ours.serial);
            ours.is_none_or(|ours| ours != 0 && ours < filed.serial)
        });
        is_newer && self.theirs.is_some() || is_same(filed, self.theirs)
    }

    /// What an operator of `me` should know and do about it; see [`RecordDrift::awaits_reload`].
    pub fn describe(
        &self,
        peer: &GatewayId,
        me: &GatewayId,
        files: Option<&FiledRecords>,
    ) -> String {
        let org = &self.org;
        let ours = version(self.ours);
        let theirs = version(self.theirs);
        if self.awaits_reload(files) {
            return self.describe_unread(peer, files);
        }

        match self.kind() {
            Drift::PeerIsOlder => {
                let remedy = if *org == peer.org {
                    "it needs the newest from its organization, and `ringway reload`".to_owned()
                } else {
                    format!("it needs `ringway member add {org}.member.toml`, and a reload")
                };
                format!("{peer} holds {org}'s record with {theirs}, we hold {ours}: {remedy}")
            }
            Drift::WeAreOlder => {
                let remedy = if *org == me.org {
                    "this gateway's file of our own record is old, replace it by the newest"
                        .to_owned()
                } else {
                    format!("get the newest from {org} and `ringway member add` it here")
                };
                format!("{peer} holds {org}'s record with {theirs}, we hold {ours}: {remedy}")
            }
            Drift::Equivocation => format!(
                "equivocation: {peer} holds another record of {org} with the same {ours}, \
                 {}, and ours is {}: ask {org} which one it has signed off",
                digest(self.theirs),
                digest(self.ours)
            ),
            Drift::Unknown => format!(
                "{peer} holds another record of {org} ({theirs}, {}) than we ({ours}, {}): \
                 compare both with {org}",
                digest(self.theirs),
                digest(self.ours)
            ),
            Drift::MissingThere => {
                format!("{peer} does not have {org} as a member, we hold its record with {ours}")
            }
            Drift::MissingHere => {
                format!("{peer} has {org} as a member ({theirs}), which is none here")
            }
        }
    }

    /// The difference while `files` have a record that this gateway has not read yet.
    fn describe_unread(&self, peer: &GatewayId, files: Option<&FiledRecords>) -> String {
        let org = &self.org;
        let theirs = version(self.theirs);
        let Some(filed) = files.and_then(|files| files.get(org)) else {
            return format!(
                "{peer} does not have {org} as a member, and our files have it no more: \
                 `ringway reload` reads them"
            );
        };
        let filed = version(Some(*filed));

        match self.ours {
            None => format!(
                "{peer} has {org} as a member ({theirs}), and our files have its record with \
                 {filed}: `ringway reload` reads it"
            ),
            ours => format!(
                "{peer} holds {org}'s record with {theirs}, we hold {}, and our files have \
                 {filed}: `ringway reload` reads it",
                version(ours)
            ),
        }
    }
}

fn is_same(one: Option<HeldRecord>, other: Option<HeldRecord>) -> bool {
    one.map(|held| held.digest) == other.map(|held| held.digest)
}

fn version(held: Option<HeldRecord>) -> String {
    match held.map_or(0, |held| held.serial) {
        0 => "no serial".to_owned(),
        serial => format!("serial {serial}"),
    }
}

fn digest(held: Option<HeldRecord>) -> String {
    held.map(|held| held.digest.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use ringway_config::Digest;

    use super::*;

    fn held(serial: u64, digest: u8) -> Option<HeldRecord> {
        Some(HeldRecord {
            serial,
            digest: Digest([digest; 32]),
        })
    }

    fn beside(
        ours: Option<HeldRecord>,
        theirs: Option<HeldRecord>,
        files: Option<&FiledRecords>,
    ) -> String {
        let id = |org: &str| GatewayId {
            org: org.parse().unwrap(),
            name: "gw".parse().unwrap(),
        };
        let drift = RecordDrift {
            org: "org2".parse().unwrap(),
            ours,
            theirs,
        };
        drift.describe(&id("org1"), &id("org0"), files)
    }

    fn said(ours: Option<HeldRecord>, theirs: Option<HeldRecord>) -> String {
        beside(ours, theirs, None)
    }

    #[test]
    fn drift_names_the_older_side_and_the_remedy() {
        assert_eq!(
            said(held(5, 1), held(3, 2)),
            "gw.org1 holds org2's record with serial 3, we hold serial 5: it needs `ringway member \
             add org2.member.toml`, and a reload"
        );
        assert_eq!(
            said(held(3, 1), held(5, 2)),
            "gw.org1 holds org2's record with serial 5, we hold serial 3: get the newest from org2 \
             and `ringway member add` it here"
        );
        assert_eq!(
            said(held(3, 1), None),
            "gw.org1 does not have org2 as a member, we hold its record with serial 3"
        );
        assert_eq!(
            said(None, held(3, 1)),
            "gw.org1 has org2 as a member (serial 3), which is none here"
        );
    }

    #[test]
    fn one_serial_with_two_contents_is_equivocation_and_both_digests_are_named() {
        let said = said(held(5, 1), held(5, 2));
        let digests = [1, 2].map(|digest| Digest([digest; 32]).to_string());
        assert!(said.starts_with("equivocation: gw.org1"), "{said}");
        assert!(digests.iter().all(|digest| said.contains(digest)), "{said}");
    }

    #[test]
    fn a_record_in_our_files_that_was_not_reloaded_needs_a_reload() {
        let files = |filed: Option<HeldRecord>| {
            let filed = filed.map(|held| ("org2".parse().unwrap(), held));
            FiledRecords::from_iter(filed)
        };
        let needs = |ours, theirs, filed| {
            let text = beside(ours, theirs, Some(&files(filed)));
            text.ends_with("`ringway reload` reads it")
                || text.ends_with("`ringway reload` reads them")
        };
        assert_eq!(
            beside(held(3, 1), held(5, 2), Some(&files(held(5, 2)))),
            "gw.org1 holds org2's record with serial 5, we hold serial 3, and our files have \
             serial 5: `ringway reload` reads it"
        );
        assert_eq!(
            beside(None, held(5, 2), Some(&files(held(5, 2)))),
            "gw.org1 has org2 as a member (serial 5), and our files have its record with serial \
             5: `ringway reload` reads it"
        );

        // Not the newest of all, but newer; the same without a serial; removed.
        assert!(needs(held(3, 1), held(5, 2), held(4, 3)));
        assert!(needs(held(0, 1), held(0, 2), held(0, 2)));
        assert!(needs(held(3, 1), None, None));
        // Nothing to read, or nothing that helps.
        assert!(!needs(held(3, 1), held(5, 2), held(3, 1)));
        assert!(!needs(held(3, 1), held(5, 2), held(2, 4)));
        assert!(
            !needs(held(5, 1), held(3, 2), held(6, 3)),
            "the peer is older"
        );
        assert!(!needs(held(3, 1), held(5, 2), None), "removed here");
        assert!(!needs(None, held(5, 2), None));
        assert!(!needs(held(3, 1), None, held(4, 2)), "no member there");
    }

    #[test]
    fn records_without_a_serial_have_no_order() {
        let said = said(held(5, 1), held(0, 2));
        assert!(said.contains("(no serial, sha256:0202"), "{said}");
        assert!(said.contains("we (serial 5, sha256:0101"), "{said}");
    }
}
