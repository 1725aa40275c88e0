//! [`Rng`]: seeded numbers for jitter and session indexes (SplitMix64: Steele, Lea, Flood, OOPSLA 2014).
//!
//! Not for secrets: keys come from the TLS handshake, boot ids from the shell.

use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A duration from `low` up to, not including, `high`; `low` if the range is empty.
    pub(crate) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let width = high
            .saturating_sub(low)
            .as_micros()
            .try_into()
            .unwrap_or(u64::MAX);
        match width {
            0 => low,
            width => low + Duration::from_micros(self.next_u64() % width),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_published_sequence() {
        let mut rng = Rng::new(1234567);
        // Reference values of the SplitMix64 authors' C code.
        assert_eq!(rng.next_u64(), 6457827717110365317);
        assert_eq!(rng.next_u64(), 3203168211198807973);
    }

    #[test]
    fn a_duration_stays_inside_its_range() {
        let mut rng = Rng::new(7);
        let (low, high) = (Duration::from_millis(5), Duration::from_millis(9));
        assert!(
            (0..1000)
                .map(|_| rng.between(low, high))
                .all(|d| low <= d && d < high)
        );
        assert_eq!(rng.between(high, low), high);
    }
}
