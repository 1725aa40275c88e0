//! [`Rng`]: pseudo-random numbers from a seed, for jitter and session indexes (SplitMix64: Steele,
//! Lea, Flood, OOPSLA 2014).
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

    /// A duration from `low` up to but not including `high`; `low` if the range is empty.
    pub(crate) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let width = high.saturating_sub(low).as_micros();
        let width = u64::try_from(width).unwrap_or(u64::MAX);

        // The modulo favours small values by less than one in a million here.
        if width == 0 {
            return low;
        }
        low + Duration::from_micros(self.next_u64() % width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_published_sequence() {
        let mut rng = Rng::new(1234567);
        // Reference values of the SplitMix64 authors' C code.
        assert_eq!(rng.next_u64(), 6457827717110365317);
        assert_eq!(rng.next_u64(), 3203168211198807973);
    }

    #[test]
    fn a_duration_stays_inside_its_range() {
        let mut rng = Rng::new(7);
        let low = Duration::from_millis(5);
        let high = Duration::from_millis(9);

        for _ in 0..1000 {
            assert!((low..high).contains(&rng.between(low, high)));
        }
        assert_eq!(rng.between(high, low), high);
    }
}
