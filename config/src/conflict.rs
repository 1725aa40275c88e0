//! Overlaps as faults, which `check`, `member add` and a reload report to the operator.

use std::collections::BTreeSet;

use crate::overlap::{Claim, Connected, Overlap, Owner, claims, overlaps};
use crate::{Config, Digest, Fault, Faults, OrgId, Place};

/// Faults that are listed. A list of n equal prefixes has n² overlaps.
const MOST_FAULTS: usize = 200;

/// Every overlap as a fault, placed at the claim that has to give way: a site's before the host's,
/// a newcomer's before an incumbent's (known from `accepted`, see [`crate::verdict`]), else the
/// later one in the list of claims.
pub fn conflicts(config: &Config, connected: &[Connected], accepted: &BTreeSet<Digest>) -> Faults {
    let claims = claims(config, connected);
    let this_site = Owner::this_site(config);
    let incumbents = config.incumbents(accepted);

    let mut faults = Vec::new();
    for Overlap { a, b, .. } in overlaps(&claims, &this_site) {
        // One more overlap than are listed; they are not counted, since that could take hours.
        if faults.len() == MOST_FAULTS {
            faults.push(Fault {
                place: Place::whole(&config.path),
                message: format!(
                    "more than {MOST_FAULTS} overlaps; the first {MOST_FAULTS} are listed"
                ),
            });
            break;
        }
        faults.push(fault_of(&claims[a], &claims[b], &incumbents));
    }

    Faults::from(faults)
}

/// `earlier` stands before `later` in the list of claims, and sites stand before the host's ranges.
fn fault_of(earlier: &Claim, later: &Claim, incumbents: &BTreeSet<&OrgId>) -> Fault {
    let later_is_host = !matches!(later.owner, Owner::Site { .. });
    let later_is_incumbent = is_incumbent(later, incumbents) && !is_incumbent(earlier, incumbents);

    // Placed at the claim that can give way: host networks are in no file, incumbents stay.
    if later_is_host || later_is_incumbent {
        earlier.overlapping(later)
    } else {
        later.overlapping(earlier)
    }
}

fn is_incumbent(claim: &Claim, incumbents: &BTreeSet<&OrgId>) -> bool {
    match &claim.owner {
        Owner::Site { org, .. } => incumbents.contains(org),
        Owner::Reserved | Owner::Connected { .. } => false,
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

        // A connected network is not written in any file.
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
