//! Overlap: which claims on address ranges cannot both hold. The one rule for the loader, the reload,
//! `member add`, and the wire.
//!
//! A [`Claim`] is an owner's prefix and the place where it was made. Two claims *clash* if they share an
//! address and their owners differ in a way that matters:
//!
//! | | own site | other site | reserved, connected |
//! |---|---|---|---|
//! | own site | – | clash | – |
//! | other site | clash | clash, unless it is the same site | clash |
//!
//! Pure; who wins a clash is [`crate::verdict`]'s business.
//!
//! Two prefixes share an address only if one covers the other. So in the order of [`Prefix`] (first
//! address, then length) the prefixes that cover the current one form a stack, widest first, and every
//! pair is found in O(n log n + pairs).

use std::fmt;

use crate::{Config, Member, OrgId, Place, Prefix, SiteId};

/// Who claims a range.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A site of a member organization. Two gateways of one site are one owner.
    Site {
        /// The organization.
        org: OrgId,
        /// Its site.
        site: SiteId,
    },
    /// A range that this gateway's file reserves.
    Reserved,
    /// A network that this gateway's host is connected to.
    Connected {
        /// The interface's name.
        interface: String,
    },
}

/// One owner's claim on one range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who claims it.
    pub owner: Owner,
    /// The range.
    pub prefix: Prefix,
    /// Where it is written; for a connected network, the gateway's file.
    pub place: Place,
}

/// A network that this host is connected to, as the gateway reads it from the kernel (without the
/// loopback interface and the daemon's own TUN device).
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
    /// What both claim: the longer of the two prefixes.
    pub range: Prefix,
}

impl Owner {
    /// The site that this gateway serves.
    pub fn here(config: &Config) -> Owner {
        Owner::Site {
            org: config.own.org.clone(),
            site: config.site.clone(),
        }
    }

    /// True if claims of `self` and `other` on one range cannot both hold. `here` is the own site.
    pub(crate) fn clashes(&self, other: &Owner, here: &Owner) -> bool {
        match (self, other) {
            (Owner::Site { .. }, Owner::Site { .. }) => self != other,
            (site @ Owner::Site { .. }, _) | (_, site @ Owner::Site { .. }) => site != here,
            _ => false,
        }
    }
}

/// Every claim that `config` and the host's networks make: the own record first, then the members in
/// their order, the reserved ranges and the connected networks. A connected network inside the own
/// site's prefixes *is* the own site and makes no claim of its own.
pub fn claims(config: &Config, connected: &[Connected]) -> Vec<Claim> {
    let sites = config.records().flat_map(claims_of);
    let reserved = config.reserved.iter().map(|reserved| Claim {
        owner: Owner::Reserved,
        prefix: reserved.prefix,
        place: reserved.place.clone(),
    });
    let networks = connected
        .iter()
        .filter(|network| !config.is_own(&network.prefix))
        .map(|network| Claim {
            owner: Owner::Connected {
                interface: network.interface.clone(),
            },
            prefix: network.prefix,
            place: Place::whole(&config.path),
        });
    sites.chain(reserved).chain(networks).collect()
}

fn claims_of(member: &Member) -> impl Iterator<Item = Claim> + '_ {
    member.sites.iter().flat_map(|site| {
        site.prefixes.iter().map(|placed| Claim {
            owner: Owner::Site {
                org: member.org.clone(),
                site: site.name.clone(),
            },
            prefix: placed.prefix,
            place: placed.place.clone(),
        })
    })
}

/// Every clashing pair, once. Lazy, since a list of n equal claims has n² pairs: take what you can show.
pub fn overlaps<'a>(claims: &'a [Claim], here: &'a Owner) -> impl Iterator<Item = Overlap> + 'a {
    let mut order: Vec<usize> = (0..claims.len()).collect();
    order.sort_unstable_by_key(|&i| (claims[i].prefix, i));
    Pairs {
        claims,
        here,
        order: order.into_iter(),
        covering: Vec::new(),
        next: 0,
    }
}

/// The sweep behind [`overlaps`]. The last of `covering` is the current claim, the others cover it.
struct Pairs<'a> {
    claims: &'a [Claim],
    here: &'a Owner,
    order: std::vec::IntoIter<usize>,
    covering: Vec<usize>,
    next: usize,
}

impl Iterator for Pairs<'_> {
    type Item = Overlap;

    fn next(&mut self) -> Option<Overlap> {
        loop {
            let Some((&current, covering)) = self.covering.split_last() else {
                self.advance()?;
                continue;
            };
            let Some(&other) = covering.get(self.next) else {
                self.advance()?;
                continue;
            };
            self.next += 1;
            let (one, two) = (&self.claims[current], &self.claims[other]);
            if one.owner.clashes(&two.owner, self.here) {
                let (a, b) = (current.min(other), current.max(other));
                return Some(Overlap {
                    a,
                    b,
                    range: one.prefix,
                });
            }
        }
    }
}

impl Pairs<'_> {
    fn advance(&mut self) -> Option<()> {
        let current = self.order.next()?;
        close(&mut self.covering, self.claims, current);
        self.covering.push(current);
        self.next = 0;
        Some(())
    }
}

/// Drops from the stack what does not cover the claim at `current`.
fn close(covering: &mut Vec<usize>, claims: &[Claim], current: usize) {
    while covering
        .pop_if(|&mut last| !claims[last].prefix.covers(&claims[current].prefix))
        .is_some()
    {}
}

/// For each of the `chosen` claims one other that it clashes with, if there is any among them; the
/// narrowest that covers it goes first. Unlike all pairs, this stays near O(n log n) for any input: a
/// claim whose rival is found is not looked at again.
pub(crate) fn rivals(claims: &[Claim], here: &Owner, mut chosen: Vec<usize>) -> Vec<Option<usize>> {
    let mut rivals = vec![None; claims.len()];
    let (mut covering, mut unrivalled) = (Vec::new(), Vec::new());
    chosen.sort_unstable_by_key(|&i| (claims[i].prefix, i));
    for current in chosen {
        let clashes = |&other: &usize| claims[other].owner.clashes(&claims[current].owner, here);
        close(&mut covering, claims, current);
        close(&mut unrivalled, claims, current);
        for other in unrivalled.extract_if(.., |other| clashes(other)) {
            rivals[other] = Some(current);
        }
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
