//! [`Rank`]: the order of the gateways of one site. The active gateway has the highest one.
//!
//! Epochs order the gateways of one site while their sessions are up; no epoch is stored. A gateway
//! that lies can claim [`u64::MAX`] and is active for as long as the record lists it, as it could
//! be by other means. Its siblings stand by, but do not increment from there: [`next`] ignores
//! epochs that honest gateways never reach. Once the liar is removed, the order among the others is
//! intact.

use std::cmp::Reverse;

use ringway_config::GatewayId;

/// Honest gateways never reach this epoch: it takes a hundred thousand years of one takeover a
/// microsecond.
const CEILING: u64 = 1 << 62;

/// The rank of all claims of a gateway. The epoch is compared first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// Incremented with every takeover.
    pub epoch: u64,
    /// From the gateway's configuration.
    pub preference: u32,
}

/// Gateways of one site are compared by this: the greatest is the best. Among equal ranks it is the
/// lowest identity.
pub(crate) type Place<'a> = (Rank, Reverse<&'a GatewayId>);

/// The epoch for a takeover: one above the highest `known` one.
pub(crate) fn next(known: impl Iterator<Item = u64>) -> u64 {
    let highest = known.filter(|epoch| *epoch < CEILING).max();

    highest.unwrap_or_default() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_is_compared_before_preference_and_preference_before_identity() {
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
    fn the_next_epoch_ignores_those_that_only_a_liar_can_claim() {
        assert_eq!(next([].into_iter()), 1);
        assert_eq!(next([4, 7].into_iter()), 8);
        assert_eq!(next([4, u64::MAX, 7, CEILING].into_iter()), 8);
        // A liar can raise the epoch up to the ceiling, where it is ignored again.
        assert_eq!(next([CEILING - 1].into_iter()), CEILING);
        assert_eq!(next([CEILING, 3].into_iter()), 4);
    }
}
