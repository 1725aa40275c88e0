//! Overlap: which claims on address ranges cannot both hold. One rule serves the loader, the
//! reload, `member add` and the wire.
//!
//! A [`Claim`] is an owner's prefix and the place where it is written. Two claims *clash* if they
//! share an address and their owners are at odds:
//!
//! | | this site | other site | reserved, connected |
//! |---|---|---|---|
//! | this site | – | clash | – |
//! | other site | clash | clash, unless it is the same site | clash |
//!
//! Pure; the winner of a clash is decided in [`crate::verdict`].
//!
//! Two prefixes share an address only if one covers the other. So in the order of [`Prefix`] (first
//! address, then length) the prefixes that cover the current one form a stack, widest first, and
//! every pair is found in O(n log n + pairs).

use std::fmt;

use crate::{Config, Member, OrgId, Place, Prefix, SiteId};

/// The party that claims a range.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A site of a member organization. Two gateways of one site are one owner.
    Site {
        /// The organization.
        org: OrgId,
        /// Its site.
        site: SiteId,
    },
    /// This gateway, which reserves the range in its file.
    Reserved,
    /// This gateway's host, which is connected to the network.
    Connected {
        /// The interface's name.
        interface: String,
    },
}

/// One owner's claim on one range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The party that claims it.
    pub owner: Owner,
    /// The range.
    pub prefix: Prefix,
    /// Where it is written; for a connected network, the gateway's file.
    pub place: Place,
}

/// A network that this host is connected to, as the kernel lists it. The loopback interface and the
/// daemon's TUN device do not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connected {
    /// The network.
    pub prefix: Prefix,
    /// The interface's name.
    pub interface: String,
}

/// Two claims that cannot both hold, by their positions in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Overlap {
    /// The lower position.
    pub a: usize,
    /// The higher position.
    pub b: usize,
    /// The addresses that both claim: the longer of the two prefixes.
    pub range: Prefix,
}

impl Owner {
    /// The site that this gateway serves.
    pub fn this_site(config: &Config) -> Owner {
        Owner::Site {
            org: config.own.org.clone(),
            site: config.site.clone(),
        }
    }

    /// True if claims of `self` and `other` on one range cannot both hold.
    pub(crate) fn clashes(&self, other: &Owner, this_site: &Owner) -> bool {
        match (self, other) {
            // Two gateways of one site announce the same prefixes.
            // An attached node lies inside what its gateways' site serves.
            (Owner::Site { site, .. }, Owner::Site { site: its, .. }) => {
                self != other && !site.is_node() && !its.is_node()
            }
            // This site's prefixes are the networks that its host is connected to.
            (site @ Owner::Site { .. }, _) | (_, site @ Owner::Site { .. }) => site != this_site,
            _ => false,
        }
    }
}

/// Every claim that `config` and the host's networks make: those of our record first, then the
/// members' in their order, the reserved ranges and the connected networks.
///
/// A connected network inside this site's prefixes is a part of the site, and makes no claim.
pub fn claims(config: &Config, connected: &[Connected]) -> Vec<Claim> {
    let mut claims = Vec::new();
    for record in config.records() {
        push_claims(&mut claims, record);
    }
    for reserved in &config.reserved {
        claims.push(Claim {
            owner: Owner::Reserved,
            prefix: reserved.prefix,
            place: reserved.place.clone(),
        });
    }
    for network in connected {
        // A network within this site's prefixes is the site itself.
        if config.is_own(&network.prefix) {
            continue;
        }
        claims.push(Claim {
            owner: Owner::Connected {
                interface: network.interface.clone(),
            },
            prefix: network.prefix,
            // No file names the network, and a fault needs a place.
            place: Place::whole(&config.path),
        });
    }

    claims
}

fn push_claims(claims: &mut Vec<Claim>, member: &Member) {
    for site in &member.sites {
        let owner = Owner::Site {
            org: member.org.clone(),
            site: site.name.clone(),
        };
        for placed in &site.prefixes {
            claims.push(Claim {
                owner: owner.clone(),
                prefix: placed.prefix,
                place: placed.place.clone(),
            });
        }
    }
}

/// Every clashing pair, once. Lazy, since a list of n equal claims has n² pairs.
pub fn overlaps<'a>(
    claims: &'a [Claim],
    this_site: &'a Owner,
) -> impl Iterator<Item = Overlap> + 'a {
    let mut order: Vec<usize> = (0..claims.len()).collect();
    // The position breaks ties, so that the pairs come in the same order in every run.
    order.sort_unstable_by_key(|&i| (claims[i].prefix, i));

    Pairs {
        claims,
        this_site,
        order: order.into_iter(),
        covering: Vec::new(),
        next: 0,
    }
}

/// The sweep behind [`overlaps`].
struct Pairs<'a> {
    claims: &'a [Claim],
    this_site: &'a Owner,
    /// Claims that are still to come, in the order of their prefixes.
    order: std::vec::IntoIter<usize>,
    /// The claims that cover the current one, widest first, and last the current one itself.
    covering: Vec<usize>,
    /// The position in `covering` of the next claim to compare with the current one.
    next: usize,
}

impl Iterator for Pairs<'_> {
    type Item = Overlap;

    fn next(&mut self) -> Option<Overlap> {
        loop {
            // The stack is empty before the first claim.
            let Some((&current, covering)) = self.covering.split_last() else {
                self.advance()?;
                continue;
            };
            let Some(&other) = covering.get(self.next) else {
                self.advance()?;
                continue;
            };
            self.next += 1;

            let claim = &self.claims[current];
            if claim
                .owner
                .clashes(&self.claims[other].owner, self.this_site)
            {
                return Some(Overlap {
                    a: current.min(other),
                    b: current.max(other),
                    range: claim.prefix,
                });
            }
        }
    }
}

impl Pairs<'_> {
    /// Makes the next claim the current one; `None` after the last.
    fn advance(&mut self) -> Option<()> {
        let current = self.order.next()?;
        pop_disjoint(&mut self.covering, self.claims, current);
        self.covering.push(current);
        self.next = 0;

        Some(())
    }
}

/// Pops the claims from the stack that do not cover the claim at `current`.
fn pop_disjoint(stack: &mut Vec<usize>, claims: &[Claim], current: usize) {
    let prefix = claims[current].prefix;
    // Claims are sorted by address: what does not cover this one covers no later one either.
    while let Some(&last) = stack.last()
        && !claims[last].prefix.covers(&prefix)
    {
        stack.pop();
    }
}

/// For each of the `chosen` claims one other of them that it clashes with, if there is any. If
/// several cover it, it is the narrowest.
///
/// Unlike a search of all pairs this stays near O(n log n) for any input, since a claim whose rival
/// is found is not compared again.
pub(crate) fn rivals(
    claims: &[Claim],
    this_site: &Owner,
    mut chosen: Vec<usize>,
) -> Vec<Option<usize>> {
    let mut rivals = vec![None; claims.len()];
    // Both are stacks of claims that cover the current one, widest first.
    let mut covering = Vec::new();
    let mut unrivalled = Vec::new();

    chosen.sort_unstable_by_key(|&i| (claims[i].prefix, i));
    for current in chosen {
        let clashes = |&other: &usize| {
            claims[other]
                .owner
                .clashes(&claims[current].owner, this_site)
        };
        pop_disjoint(&mut covering, claims, current);
        pop_disjoint(&mut unrivalled, claims, current);

        for other in unrivalled.extract_if(.., |other| clashes(other)) {
            rivals[other] = Some(current);
        }
        // From the top of the stack, where the narrowest is.
        rivals[current] = covering.iter().rev().copied().find(clashes);
        covering.push(current);
        if rivals[current].is_none() {
            unrivalled.push(current);
        }
    }

    rivals
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Site { org, site } => write!(f, "org {org}, site {site}"),
            Owner::Reserved => f.write_str("reserved"),
            Owner::Connected { interface } => write!(f, "connected, interface {interface}"),
        }
    }
}
