//! [`Reach`]: which addresses can be reached from here, and which are near.
//!
//! A name with several addresses is answered with those that can be reached, the own site's first. If
//! none can, with all: what was last known is better than nothing, and the asker's own attempt tells
//! more than we know. Sets of one address are never touched. The gateway says what is reachable
//! ([`Zones::set_reach`](crate::zones::Zones::set_reach)); nothing is probed here.

use std::net::IpAddr;

use ringway_config::Prefix;

use crate::prefixes::PrefixSet;
use crate::rdata::kind;
use crate::rrset::{RRset, data_of};

/// What this site reaches at one moment. The default knows nothing and changes no answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    own: PrefixSet,
    unreachable: PrefixSet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    Own,
    Far,
    Unreachable,
}

/// One pass over a set for each rank that is answered, in this order; `None` takes every rank.
const BY_RANK: &[Option<Rank>] = &[Some(Rank::Own), Some(Rank::Far)];
const AS_IT_IS: &[Option<Rank>] = &[None];

impl Reach {
    /// `own` is the own site; hosts in `unreachable` cannot be reached now.
    pub fn new(
        own: impl IntoIterator<Item = Prefix>,
        unreachable: impl IntoIterator<Item = Prefix>,
    ) -> Reach {
        Reach {
            own: PrefixSet::new(own),
            unreachable: PrefixSet::new(unreachable),
        }
    }

    /// True if `set` is answered whole and in its own order.
    pub(crate) fn leaves(&self, set: &RRset) -> bool {
        let knows_nothing = self.own.is_empty() && self.unreachable.is_empty();
        knows_nothing || set.count() < 2 || !matches!(set.kind(), kind::A | kind::AAAA)
    }

    /// The records of `set` to answer ([`RRset::records`]), nearest first. Allocates nothing.
    pub(crate) fn records<'s>(&'s self, set: &'s RRset) -> impl Iterator<Item = &'s [u8]> {
        let reached = |record| self.rank(record) != Rank::Unreachable;
        let as_it_is = self.leaves(set) || !set.records().any(reached);
        let passes = if as_it_is { AS_IT_IS } else { BY_RANK };
        passes.iter().flat_map(move |pass| {
            set.records()
                .filter(move |record| pass.is_none_or(|rank| rank == self.rank(record)))
        })
    }

    fn rank(&self, record: &[u8]) -> Rank {
        match address(data_of(record)) {
            Some(address) if self.unreachable.contains(address) => Rank::Unreachable,
            Some(address) if self.own.contains(address) => Rank::Own,
            _ => Rank::Far,
        }
    }
}

/// The address that the data of an A or AAAA record is.
pub(crate) fn address(data: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(data).ok().map(IpAddr::from);
    v4().or_else(|| <[u8; 16]>::try_from(data).ok().map(IpAddr::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(own: &[&str], unreachable: &[&str], last_octets: &[u8]) -> Vec<u8> {
        let prefixes = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.parse().unwrap())
                .collect::<Vec<_>>()
        };
        let data: Vec<_> = last_octets
            .iter()
            .map(|last| [10, 0, last / 10, *last])
            .collect();
        let set = RRset::pack(kind::A, 5, data.iter().map(|data| &data[..]));
        let reach = Reach::new(prefixes(own), prefixes(unreachable));
        reach
            .records(&set)
            .map(|record| record[record.len() - 1])
            .collect()
    }

    #[test]
    fn the_own_sites_addresses_come_first_and_the_unreachable_not_at_all() {
        let all = [1, 2, 11, 21, 22];
        assert_eq!(answered(&[], &[], &all), all);
        assert_eq!(answered(&["10.0.2.0/24"], &[], &all), [21, 22, 1, 2, 11]);
        assert_eq!(
            answered(&["10.0.2.0/24"], &["10.0.0.0/24"], &all),
            [21, 22, 11]
        );
        assert_eq!(
            answered(&["10.0.2.0/24"], &["10.0.2.21/32"], &all),
            [22, 1, 2, 11]
        );
    }

    #[test]
    fn what_was_last_known_is_answered_rather_than_nothing() {
        assert_eq!(answered(&[], &["10.0.0.0/8"], &[1, 2]), [1, 2]);
        assert_eq!(answered(&[], &["10.0.0.0/8"], &[1]), [1]);
    }

    #[test]
    fn other_types_are_left_as_they_are() {
        let set = RRset::pack(16, 5, [&[10, 0, 0, 1][..], &[10, 0, 0, 2]]);
        let reach = Reach::new([], ["10.0.0.1/32".parse().unwrap()]);
        assert_eq!(reach.records(&set).count(), 2);
    }
}
