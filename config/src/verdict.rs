//! The incumbent rule: which sites' prefixes this gateway may route, given its configuration, the
//! networks of its host and the records it accepted before (see [`crate::accepted`]).
//!
//! | clash between | verdict |
//! |---|---|
//! | an accepted record and a newcomer | the newcomer is conflicted, the incumbent keeps its range |
//! | two records without history (cold start), the own one included | both are conflicted |
//! | two accepted records | both are conflicted |
//! | another site and a reserved or connected range | the site is conflicted, accepted or not |
//!
//! Everything that clashes with nothing is available. Pure; finding the clashes is [`crate::overlap`]'s.

use std::collections::BTreeSet;

use crate::overlap::{Claim, Connected, Owner, claims, rivals};
use crate::{Config, Digest, Fault, OrgId, Place, Prefix, SiteId};

/// Whether this gateway routes a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against it.
    Available,
    /// Somebody else has a claim on part of it or on all of it.
    Conflicted {
        /// Who.
        with: Owner,
        /// The other's prefix.
        theirs: Prefix,
        /// Where the other's prefix is written.
        at: Place,
        /// What both claim.
        range: Prefix,
    },
    /// The import policy refuses it. [`rule`] never says so, a running gateway may.
    Denied {
        /// Why.
        reason: String,
    },
}

/// The verdict on one prefix of one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// Whose prefix it is.
    pub org: OrgId,
    /// The site.
    pub site: SiteId,
    /// The prefix.
    pub prefix: Prefix,
    /// Where it is written.
    pub place: Place,
    /// What this gateway makes of it.
    pub verdict: Verdict,
}

impl Ruling {
    /// True if this gateway routes the prefix.
    pub fn is_available(&self) -> bool {
        self.verdict == Verdict::Available
    }

    /// The ruling as a fault, unless the prefix is available.
    pub fn fault(&self) -> Option<Fault> {
        let message = match &self.verdict {
            Verdict::Available => return None,
            Verdict::Denied { reason } => {
                format!(
                    "{} (org {}, site {}) is denied: {reason}",
                    self.prefix, self.org, self.site
                )
            }
            Verdict::Conflicted {
                with, theirs, at, ..
            } => {
                let other = Claim {
                    owner: with.clone(),
                    prefix: *theirs,
                    place: at.clone(),
                };
                return Some(self.claim().overlapping(&other));
            }
        };
        Some(Fault {
            place: self.place.clone(),
            message,
        })
    }

    fn claim(&self) -> Claim {
        let owner = Owner::Site {
            org: self.org.clone(),
            site: self.site.clone(),
        };
        Claim {
            owner,
            prefix: self.prefix,
            place: self.place.clone(),
        }
    }
}

/// The verdict on every prefix of the own record and of every member's, in file order.
///
/// `accepted` holds the digests of the records that this gateway accepted before; empty at a cold start.
/// An incumbent yields to incumbents and to the host, a newcomer to everybody.
pub fn rule(config: &Config, connected: &[Connected], accepted: &BTreeSet<Digest>) -> Vec<Ruling> {
    let (claims, here) = (claims(config, connected), Owner::here(config));
    let incumbents = config.incumbents(accepted);
    let is_newcomer = |claim: &Claim| matches!(&claim.owner, Owner::Site { org, .. } if !incumbents.contains(org));
    let everybody = || 0..claims.len();
    let established = everybody().filter(|&i| !is_newcomer(&claims[i])).collect();
    let among_established = rivals(&claims, &here, established);
    let among_all = rivals(&claims, &here, everybody().collect());
    let rulings = claims.iter().enumerate().filter_map(|(i, claim)| {
        let rival = if is_newcomer(claim) {
            among_all[i]
        } else {
            among_established[i]
        };
        ruling(claim, rival.map(|rival| &claims[rival]))
    });
    rulings.collect()
}

/// `None` for a claim of the host itself, on which nothing is to be ruled.
fn ruling(claim: &Claim, rival: Option<&Claim>) -> Option<Ruling> {
    let Owner::Site { org, site } = &claim.owner else {
        return None;
    };
    let verdict = match rival {
        None => Verdict::Available,
        Some(rival) => Verdict::Conflicted {
            with: rival.owner.clone(),
            theirs: rival.prefix,
            at: rival.place.clone(),
            range: claim.prefix.narrower(rival.prefix),
        },
    };
    let (org, site, place) = (org.clone(), site.clone(), claim.place.clone());
    Some(Ruling {
        org,
        site,
        prefix: claim.prefix,
        place,
        verdict,
    })
}
