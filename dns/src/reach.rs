//! [`Reach`]: which addresses are reachable from this site, and which are in it.
//!
//! A name with several addresses is answered with the reachable ones, those of this site first. If
//! none is reachable, all are returned: our view may be outdated, and the client finds out by
//! trying. Addresses of equal rank take turns at being the first, which is the one that most
//! clients use; the turn is the query's id, which is random. Sets of one address never change. The
//! gateway supplies the view ([`Zones::set_reach`](crate::zones::Zones::set_reach)); nothing is
//! probed here.

use std::net::IpAddr;

use ringway_config::Prefix;

use crate::prefixes::PrefixSet;
use crate::rdata::kind;
use crate::rrset::{RRset, data_of};

/// Reachability at one moment. The default is empty and changes no answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Prefixes of this site.
    site: PrefixSet,
    unreachable: PrefixSet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    ThisSite,
    Remote,
    Unreachable,
}

/// The passes over a set, which return the records of one rank each; `None` stands for every rank.
const BY_RANK: &[Option<Rank>] = &[Some(Rank::ThisSite), Some(Rank::Remote)];
const UNCHANGED: &[Option<Rank>] = &[None];

impl Reach {
    /// From this site's prefixes, and those that are unreachable at the moment.
    pub fn new(
        site: impl IntoIterator<Item = Prefix>,
        unreachable: impl IntoIterator<Item = Prefix>,
    ) -> Reach {
        Reach {
            site: PrefixSet::new(site),
            unreachable: PrefixSet::new(unreachable),
        }
    }

    /// True if `set` is returned whole and in its order, whatever its data are.
    pub(crate) fn leaves_unchanged(set: &RRset) -> bool {
        set.count() < 2 || !matches!(set.kind(), kind::A | kind::AAAA)
    }

    /// The records of `set` to answer with (see [`RRset::records`]), in order of preference. Those
    /// of equal rank begin with another one at each `turn`.
    ///
    /// Part of the query path: passes over the set again instead of sorting, to allocate nothing.
    pub(crate) fn records<'s>(
        &'s self,
        set: &'s RRset,
        turn: u16,
    ) -> impl Iterator<Item = &'s [u8]> {
        let mut ranks = set.records().map(|record| self.rank(record));
        let is_fixed = Reach::leaves_unchanged(set);
        // If no address is reachable, all are returned: none would mean that the name has none.
        let by_rank = !is_fixed && ranks.any(|rank| rank != Rank::Unreachable);
        let passes = if by_rank { BY_RANK } else { UNCHANGED };

        passes.iter().flat_map(move |pass| {
            let of_rank = move || {
                set.records()
                    .filter(move |record| pass.is_none_or(|rank| rank == self.rank(record)))
            };
            let first = match of_rank().count() {
                0 => 0,
                _ if is_fixed => 0,
                count => usize::from(turn) % count,
            };
            of_rank().skip(first).chain(of_rank().take(first))
        })
    }

    fn rank(&self, record: &[u8]) -> Rank {
        match address(data_of(record)) {
            Some(address) if self.unreachable.contains(address) => Rank::Unreachable,
            Some(address) if self.site.contains(address) => Rank::ThisSite,
            _ => Rank::Remote,
        }
    }
}

/// The address in the data of an A or AAAA record; `None` for data of any other length.
pub(crate) fn address(data: &[u8]) -> Option<IpAddr> {
    match data.len() {
        4 => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(texts: &[&str]) -> Vec<Prefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// The last octets of the addresses answered, out of `10.0.<last / 10>.<last>` for each `last`.
    fn answered(site: &[&str], unreachable: &[&str], last_octets: &[u8]) -> Vec<u8> {
        answered_at(0, site, unreachable, last_octets)
    }

    fn answered_at(turn: u16, site: &[&str], unreachable: &[&str], last_octets: &[u8]) -> Vec<u8> {
        let addresses: Vec<_> = last_octets
            .iter()
            .map(|last| [10, 0, last / 10, *last])
            .collect();
        let set = RRset::pack(kind::A, 5, addresses.iter().map(|address| &address[..]));
        let reach = Reach::new(prefixes(site), prefixes(unreachable));
        reach
            .records(&set, turn)
            .map(|record| record[record.len() - 1])
            .collect()
    }

    #[test]
    fn addresses_of_this_site_come_first_and_unreachable_ones_are_left_out() {
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
    fn if_nothing_is_reachable_every_address_is_answered() {
        assert_eq!(answered(&[], &["10.0.0.0/8"], &[1, 2]), [1, 2]);
        assert_eq!(answered(&[], &["10.0.0.0/8"], &[1]), [1]);
    }

    #[test]
    fn addresses_of_equal_rank_take_turns() {
        let all = [1, 2, 11, 21, 22];
        assert_eq!(answered_at(1, &[], &[], &all), [2, 11, 21, 22, 1]);
        assert_eq!(answered_at(5, &[], &[], &all), all);
        assert_eq!(
            answered_at(1, &["10.0.2.0/24"], &[], &all),
            [22, 21, 2, 11, 1]
        );
        assert_eq!(answered_at(3, &[], &["10.0.0.0/8"], &[1, 2]), [2, 1]);
        assert_eq!(answered_at(65_535, &[], &[], &[1]), [1]);
    }

    #[test]
    fn records_of_other_types_are_unchanged() {
        let set = RRset::pack(kind::TXT, 5, [&[10, 0, 0, 1][..], &[10, 0, 0, 2]]);
        let reach = Reach::new([], prefixes(&["10.0.0.1/32"]));
        let answered: Vec<u8> = reach
            .records(&set, 1)
            .map(|record| record[record.len() - 1])
            .collect();
        assert_eq!(answered, [1, 2]);
    }
}
