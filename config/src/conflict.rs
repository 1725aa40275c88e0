//! Overlaps as faults: what `check`, `member add` and a reload tell the operator.

use std::collections::BTreeSet;

use crate::overlap::{Claim, Connected, Owner, claims, overlaps};
use crate::{Config, Digest, Fault, Faults, OrgId, Place};

/// At most this many faults are listed; more than that help nobody.
const MOST_FAULTS: usize = 200;

/// Every overlap as a fault. It stands at the side that has to give way: at a site rather than at the
/// host's own range, at a newcomer rather than at an incumbent known from `accepted` (see
/// [`crate::verdict`]), else at the later one.
pub fn conflicts(config: &Config, connected: &[Connected], accepted: &BTreeSet<Digest>) -> Faults {
    let (claims, here) = (claims(config, connected), Owner::here(config));
    let incumbents = config.incumbents(accepted);
    let mut pairs = overlaps(&claims, &here);
    let shown = pairs.by_ref().take(MOST_FAULTS);
    let shown = shown.map(|pair| fault_of(&claims[pair.a], &claims[pair.b], &incumbents));
    let mut faults: Vec<Fault> = shown.collect();
    if pairs.next().is_some() {
        let message =
            format!("more than {MOST_FAULTS} overlaps; the first {MOST_FAULTS} are listed");
        faults.push(Fault {
            place: Place::whole(&config.path),
            message,
        });
    }
    Faults::from(faults)
}

/// In the list of claims `earlier` stands before `later`, and sites before the host's own ranges.
fn fault_of(earlier: &Claim, later: &Claim, incumbents: &BTreeSet<&OrgId>) -> Fault {
    let is_incumbent =
        |claim: &Claim| matches!(&claim.owner, Owner::Site { org, .. } if incumbents.contains(org));
    let is_host = !matches!(later.owner, Owner::Site { .. });
    match is_host || (is_incumbent(later) && !is_incumbent(earlier)) {
        true => earlier.overlapping(later),
        false => later.overlapping(earlier),
    }
}

impl Claim {
    /// The fault that this claim overlaps `other`.
    pub fn overlapping(&self, other: &Claim) -> Fault {
        let Claim {
            owner,
            prefix,
            place,
        } = other;
        let other = match owner {
            Owner::Connected { .. } => format!("{prefix} ({owner})"),
            _ => format!("{prefix} ({owner}, {place})"),
        };
        let message = format!("{} ({}) overlaps {other}", self.prefix, self.owner);
        Fault {
            place: self.place.clone(),
            message,
        }
    }
}
