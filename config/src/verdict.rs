//! The incumbent rule: which sites' prefixes this gateway may route, given its configuration, the
//! networks of its host and the records it accepted before (see [`crate::accepted`]).
//!
//! | clash between | verdict |
//! |---|---|
//! | an accepted record and a newcomer | the newcomer is conflicted, not the incumbent |
//! | two records at a cold start, ours included | both are conflicted |
//! | two accepted records | both are conflicted |
//! | another site and a reserved or connected range | the site is conflicted |
//!
//! A prefix without a clash is available, unless its site is to be served via another one whose
//! gateways may not serve it (see [`crate::serving`]). Pure; clashes are found by
//! [`crate::overlap`].

use std::collections::{BTreeMap, BTreeSet};

use crate::overlap::{Claim, Connected, Owner, claims, rivals};
use crate::{Config, Digest, Fault, OrgId, Place, Prefix, SiteId, Unserved};

/// Whether this gateway routes a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No other claim clashes with it.
    Available,
    /// Another owner claims part of it, or all of it, with the same or a better right.
    Conflicted {
        /// The other owner.
        with: Owner,
        /// The other owner's prefix.
        theirs: Prefix,
        /// Where the other owner's prefix is written.
        at: Place,
        /// The addresses that both claim.
        range: Prefix,
    },
    /// Its site is to be served via another one, whose gateways may not serve it.
    Unserved(Unserved),
}

/// The verdict on one prefix of one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// The organization whose record has the prefix.
    pub org: OrgId,
    /// Its site.
    pub site: SiteId,
    /// The prefix.
    pub prefix: Prefix,
    /// Where it is written.
    pub place: Place,
    /// Whether this gateway routes it.
    pub verdict: Verdict,
}

impl Ruling {
    /// True if this gateway routes the prefix.
    pub fn is_available(&self) -> bool {
        self.verdict == Verdict::Available
    }

    /// The conflict as a fault, if the prefix is in one.
    pub fn fault(&self) -> Option<Fault> {
        match &self.verdict {
            // What is wrong with its site is said once for all of its prefixes.
            Verdict::Available | Verdict::Unserved(_) => None,
            Verdict::Conflicted {
                with, theirs, at, ..
            } => {
                let other = Claim {
                    owner: with.clone(),
                    prefix: *theirs,
                    place: at.clone(),
                };
                Some(self.claim().overlapping(&other))
            }
        }
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

/// The verdict on every prefix of our record and of every member's, in file order.
///
/// `accepted` holds the digests of the records that this gateway accepted before; it is empty at a
/// cold start. An incumbent yields to incumbents and to the host, a newcomer to every other claim.
pub fn rule(config: &Config, connected: &[Connected], accepted: &BTreeSet<Digest>) -> Vec<Ruling> {
    let claims = claims(config, connected);
    let this_site = Owner::this_site(config);
    let incumbents = config.incumbents(accepted);

    let all: Vec<usize> = (0..claims.len()).collect();
    let established = all
        .iter()
        .copied()
        .filter(|&i| !is_newcomer(&claims[i], &incumbents))
        .collect();
    // An incumbent is compared with incumbents and the host only, so that no newcomer can take a
    // prefix from it.
    let among_established = rivals(&claims, &this_site, established);
    let among_all = rivals(&claims, &this_site, all);

    let unserved = unserved(config);
    let mut rulings = Vec::new();
    for (i, claim) in claims.iter().enumerate() {
        let rival = if is_newcomer(claim, &incumbents) {
            among_all[i]
        } else {
            among_established[i]
        };
        rulings.extend(ruling(claim, rival.map(|rival| &claims[rival]), &unserved));
    }

    rulings
}

/// The sites that are to be served via another one, and are not.
type UnservedSites<'a> = BTreeMap<(&'a OrgId, &'a SiteId), Unserved>;

fn unserved(config: &Config) -> UnservedSites<'_> {
    let mut unserved = BTreeMap::new();
    for member in config.records() {
        for site in member.sites.iter().filter(|site| site.via.is_some()) {
            if let Err(reason) = config.server(member, site) {
                unserved.insert((&member.org, &site.name), reason);
            }
        }
    }
    unserved
}

fn is_newcomer(claim: &Claim, incumbents: &BTreeSet<&OrgId>) -> bool {
    match &claim.owner {
        Owner::Site { org, .. } => !incumbents.contains(org),
        Owner::Reserved | Owner::Connected { .. } => false,
    }
}

/// `None` for a claim of the host, which is not ruled on.
fn ruling(claim: &Claim, rival: Option<&Claim>, unserved: &UnservedSites<'_>) -> Option<Ruling> {
    let Owner::Site { org, site } = &claim.owner else {
        return None;
    };

    let verdict = match rival {
        None => match unserved.get(&(org, site)) {
            Some(reason) => Verdict::Unserved(reason.clone()),
            None => Verdict::Available,
        },
        Some(rival) => Verdict::Conflicted {
            with: rival.owner.clone(),
            theirs: rival.prefix,
            at: rival.place.clone(),
            // Of two prefixes that overlap, one covers the other.
            range: claim.prefix.narrower(rival.prefix),
        },
    };

    Some(Ruling {
        org: org.clone(),
        site: site.clone(),
        prefix: claim.prefix,
        place: claim.place.clone(),
        verdict,
    })
}
