//! [`Rng`]: the emulator's random numbers, determined by a seed (SplitMix64: Steele, Lea and Flood,
//! "Fast splittable pseudorandom number generators", OOPSLA 2014).

use std::time::Duration;

use super::conditions::Share;

/// A sequence of numbers that follows from a seed.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next_u64() % limit
    }

    /// True for `share` of all calls.
    pub fn hits(&mut self, share: Share) -> bool {
        // A condition that is not set must not consume a number, or it would change what the others
        // do with the same seed.
        if share == Share::NONE {
            return false;
        }
        self.below(Share::ALL.per_million().into()) < share.per_million().into()
    }

    /// A duration from 0 to `most`, evenly distributed.
    pub fn within(&mut self, most: Duration) -> Duration {
        match u64::try_from(most.as_nanos()) {
            Ok(0) => Duration::ZERO,
            Ok(nanos) => Duration::from_nanos(self.below(nanos.saturating_add(1))),
            Err(_) => most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_hit_about_as_often_as_it_says() {
        let mut rng = Rng::new(1);
        let share: Share = "10%".parse().unwrap();
        let hits = (0..100_000).filter(|_| rng.hits(share)).count();
        assert!((9_500..10_500).contains(&hits), "{hits}");

        assert!((0..1000).all(|_| rng.hits(Share::ALL)));
        assert!(!(0..1000).any(|_| rng.hits(Share::NONE)));
    }
}
