//! [`RoundTrips`]: how long the probes of a tunnel took, as counts between fixed bounds. They go on
//! from session to session, and begin with the daemon.

use std::time::Duration;

/// Round trips of the probes of one tunnel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoundTrips {
    counts: [u64; Self::BOUNDS.len() + 1],
    sum: Duration,
}

impl RoundTrips {
    /// The upper bounds, in microseconds, from neighbours to the far side of the world. A round
    /// trip counts below the first that it does not exceed.
    pub const BOUNDS: [u64; 12] = [
        500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
        2_500_000,
    ];

    pub(crate) fn note(&mut self, round_trip: Duration) {
        let micros = round_trip.as_micros();
        let place = Self::BOUNDS.partition_point(|bound| u128::from(*bound) < micros);

        self.counts[place] += 1;
        self.sum += round_trip;
    }

    /// How many were between each two bounds; the last is of those above every bound.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The sum of all of them.
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_counts_below_the_first_bound_that_it_does_not_exceed() {
        let mut round_trips = RoundTrips::default();
        for micros in [0, 500, 501, 30_000, 2_500_000, 2_500_001] {
            round_trips.note(Duration::from_micros(micros));
        }

        let counts = round_trips.counts();
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1]);
        assert_eq!(round_trips.sum(), Duration::from_micros(5_031_002));
    }
}
