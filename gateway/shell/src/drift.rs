//! Turns differences between the member records of two gateways into what an operator should know.

use ringway_config::GatewayId;
use ringway_core::{Drift, RecordDrift};
use ringway_intent::{Finding, Remedy};

/// Organizations that are named; a peer can invent many.
const MOST: usize = 3;

/// The name under which the drift of `peer` is listed.
pub(crate) fn name(peer: &GatewayId) -> String {
    format!("records {peer}")
}

/// What an operator of `me` should know; `None` if the records are the same.
pub(crate) fn finding(peer: &GatewayId, me: &GatewayId, drift: &[RecordDrift]) -> Option<Finding> {
    // What this operator can do, and what is worst, comes first.
    let mut sorted: Vec<&RecordDrift> = drift.iter().collect();
    sorted.sort_by_key(|drift| urgency(drift.kind()));
    let first = sorted.first()?;

    let mut what: Vec<String> = sorted
        .iter()
        .take(MOST)
        .map(|drift| drift.describe(peer, me))
        .collect();
    if let Some(more) = drift.len().checked_sub(MOST).filter(|more| *more > 0) {
        what.push(format!("and {more} more"));
    }

    let remedy = match first.kind() {
        Drift::WeAreOlder if first.org != me.org => {
            Remedy::ringway(format!("member add {}.member.toml", first.org))
        }
        _ => Remedy::None,
    };
    Some(Finding {
        name: name(peer),
        what: what.join("; "),
        remedy,
    })
}

fn urgency(kind: Drift) -> u8 {
    match kind {
        Drift::Equivocation => 0,
        Drift::WeAreOlder => 1,
        Drift::PeerIsOlder => 2,
        Drift::Unknown => 3,
        Drift::MissingThere => 4,
        Drift::MissingHere => 5,
    }
}

#[cfg(test)]
mod tests {
    use ringway_config::Digest;
    use ringway_core::HeldRecord;

    use super::*;

    #[test]
    fn forged_drift_of_a_peer_does_not_hide_a_remedy_of_this_operator() {
        let id = |org: &str| GatewayId {
            org: org.parse().unwrap(),
            name: "gw".parse().unwrap(),
        };
        let held = |serial| {
            Some(HeldRecord {
                serial,
                digest: Digest([serial as u8; 32]),
            })
        };
        let invented = (0..500).map(|number| RecordDrift {
            org: format!("a{number}").parse().unwrap(),
            ours: None,
            theirs: held(7),
        });
        let older = RecordDrift {
            org: "org2".parse().unwrap(),
            ours: held(3),
            theirs: held(5),
        };
        let drift: Vec<_> = invented.chain([older]).collect();

        let finding = finding(&id("org1"), &id("org0"), &drift).unwrap();
        assert_eq!(finding.name, "records gw.org1");
        assert_eq!(
            finding.remedy.to_string(),
            "ringway member add org2.member.toml"
        );
        let start = "gw.org1 holds org2's record with serial 5, we hold serial 3: ";
        assert!(finding.what.starts_with(start), "{}", finding.what);
        assert!(finding.what.ends_with("; and 498 more"), "{}", finding.what);
    }
}
