//! [`RecordDrift`]: two gateways hold different records of one organization. Which of the two is
//! older, and what an operator does about it. What the peer says decides nothing.

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

    /// What an operator of `me` should know and do about it.
    pub fn describe(&self, peer: &GatewayId, me: &GatewayId) -> String {
        let org = &self.org;
        let ours = version(self.ours);
        let theirs = version(self.theirs);

        match self.kind() {
            Drift::PeerIsOlder => {
                let remedy = if *org == peer.org {
                    "its organization has to give it the newest".to_owned()
                } else {
                    format!("it needs `ringway member add {org}.member.toml`")
                };
                format!("{peer} holds {org}'s record with {theirs}, we hold {ours}: {remedy}")
            }
            Drift::WeAreOlder => {
                let remedy = if *org == me.org {
                    "this gateway's copy of our own record is old, take the newest".to_owned()
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

    fn said(ours: Option<HeldRecord>, theirs: Option<HeldRecord>) -> String {
        let id = |org: &str| GatewayId {
            org: org.parse().unwrap(),
            name: "gw".parse().unwrap(),
        };
        let drift = RecordDrift {
            org: "org2".parse().unwrap(),
            ours,
            theirs,
        };
        drift.describe(&id("org1"), &id("org0"))
    }

    #[test]
    fn drift_names_the_older_side_and_the_remedy() {
        assert_eq!(
            said(held(5, 1), held(3, 2)),
            "gw.org1 holds org2's record with serial 3, we hold serial 5: it needs `ringway member \
             add org2.member.toml`"
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
    fn records_without_a_serial_have_no_order() {
        let said = said(held(5, 1), held(0, 2));
        assert!(said.contains("(no serial, sha256:0202"), "{said}");
        assert!(said.contains("we (serial 5, sha256:0101"), "{said}");
    }
}
