//! [`Rank`]: the order of the gateways of one site. The active gateway has the highest one.
//!
//! An epoch only orders gateways of one site, among sessions that are up: nothing remembers one
//! longer. That is why no number is a dead end. A gateway that lies takes [`u64::MAX`] and is the
//! active one for as long as its record lists it, as it could by other means. Its siblings stand
//! down, but do not count on from there ([`next`] leaves out what honest gateways never reach), so
//! that the order among them is as before once it is gone.

use std::cmp::Reverse;

use ringway_config::GatewayId;

/// What honest gateways never reach: one takeover a microsecond for a hundred thousand years.
const CEILING: u64 = 1 << 62;

/// The rank of all claims of a gateway. A later epoch goes before a higher preference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// Grows with every takeover.
    pub epoch: u64,
    /// As the gateway's operator wants it.
    pub preference: u32,
}

/// Gateways of one site are compared by this: greater is better. Of two alike, the lower identity
/// goes first.
pub(crate) type Place<'a> = (Rank, Reverse<&'a GatewayId>);

/// The epoch of a gateway that takes over, when these are known.
pub(crate) fn next(known: impl Iterator<Item = u64>) -> u64 {
    let highest = known.filter(|epoch| *epoch < CEILING).max();

    highest.unwrap_or_default() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_goes_before_preference_and_preference_before_the_identity() {
        let ids = ["gw1.a", "gw2.a"].map(|id| id.parse::<GatewayId>().unwrap());
        let place = |number: usize, epoch, preference| {
            let rank = Rank { epoch, preference };
            (rank, Reverse(&ids[number]))
        };

        assert!(place(1, 2, 0) > place(0, 1, 9));
        assert!(place(1, 2, 9) > place(0, 2, 8));
        assert!(place(0, 2, 9) > place(1, 2, 9));
    }

    #[test]
    fn a_jump_to_the_highest_number_is_not_counted_on_from() {
        assert_eq!(next([].into_iter()), 1);
        assert_eq!(next([4, 7].into_iter()), 8);
        assert_eq!(next([4, u64::MAX, 7, CEILING].into_iter()), 8);
        // What a liar can make of it is passed, and then left out as well.
        assert_eq!(next([CEILING - 1].into_iter()), CEILING);
        assert_eq!(next([CEILING, 3].into_iter()), 4);
    }
}
