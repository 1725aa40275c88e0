//! [`Limiter`]: response rate limiting over UDP, a token bucket for each network.
//!
//! The table has a fixed size. Where two networks meet in one place, the later takes it with a full bucket:
//! a crowd of networks is limited less, never somebody for another's questions. Where is a keyed hash, so
//! nobody can arrange for it.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use super::options::Rate;
use crate::answer::Verdict;

/// Networks that are told apart; 64 KiB.
const PLACES: usize = 4096;

/// One thousandth of a response: what a bucket counts in.
const MILLI: u64 = 1000;

#[derive(Debug)]
pub(super) struct Limiter {
    rate: Rate,
    buckets: Box<[Bucket]>,
    keys: RandomState,
    /// Responses above the rate so far.
    above: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// Of the network; 0: nobody's yet.
    hash: u64,
    /// Thousandths of responses that may be sent at once.
    credit: u32,
    /// Milliseconds since the server was bound.
    filled: u32,
}

impl Limiter {
    pub(super) fn new(rate: Rate) -> Limiter {
        // A bucket's credit has 32 bits.
        let rate = Rate {
            per_second: rate.per_second.min(u32::MAX / 1000),
            ..rate
        };
        let buckets = vec![Bucket::default(); PLACES].into();
        Limiter {
            rate,
            buckets,
            keys: RandomState::new(),
            above: 0,
        }
    }

    /// What a question from `asker` gets, `now` after the server was bound.
    pub(super) fn verdict(&mut self, asker: IpAddr, now: Duration) -> Verdict {
        let hash = self.keys.hash_one(self.network(asker)) | 1;
        let now = now.as_millis() as u32;
        let full = u64::from(self.rate.per_second) * MILLI;
        let bucket = &mut self.buckets[hash as usize / 2 % PLACES];
        if bucket.hash != hash {
            *bucket = Bucket {
                hash,
                credit: full as u32,
                filled: now,
            };
        }
        let earned = u64::from(now.wrapping_sub(bucket.filled)) * u64::from(self.rate.per_second);
        bucket.credit = (u64::from(bucket.credit) + earned).min(full) as u32;
        bucket.filled = now;
        match bucket.credit.checked_sub(MILLI as u32) {
            Some(rest) => {
                bucket.credit = rest;
                Verdict::Answer
            }
            None => {
                self.above = self.above.wrapping_add(1);
                let told = self.rate.slip != 0 && self.above.is_multiple_of(self.rate.slip);
                if told { Verdict::Cut } else { Verdict::Drop }
            }
        }
    }

    /// The asker's network: its first bits, and its family.
    fn network(&self, asker: IpAddr) -> (u128, bool) {
        match asker.to_canonical() {
            IpAddr::V4(address) => {
                let host = 32 - u32::from(self.rate.ipv4.min(32));
                (
                    u128::from(address.to_bits()).checked_shr(host).unwrap_or(0),
                    true,
                )
            }
            IpAddr::V6(address) => {
                let host = 128 - u32::from(self.rate.ipv6.min(128));
                (address.to_bits().checked_shr(host).unwrap_or(0), false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_second: 100,
        slip: 3,
        ipv4: 24,
        ipv6: 56,
    };

    fn limiter() -> (Limiter, impl Fn(&mut Limiter, &str, u64) -> Verdict) {
        let ask = |limiter: &mut Limiter, asker: &str, ms| {
            limiter.verdict(asker.parse().unwrap(), Duration::from_millis(ms))
        };
        (Limiter::new(RATE), ask)
    }

    #[test]
    fn a_network_gets_its_rate_and_then_every_third_answer_is_cut() {
        let (mut limiter, ask) = limiter();
        let answered = |limiter: &mut Limiter, ms| {
            (0..1000)
                .filter(|_| ask(limiter, "10.0.0.1", ms) == Verdict::Answer)
                .count()
        };
        assert_eq!(answered(&mut limiter, 0), 100, "a second's worth at once");
        assert_eq!(answered(&mut limiter, 0), 0);
        assert_eq!(answered(&mut limiter, 50), 5);
        assert_eq!(answered(&mut limiter, 9_000), 100, "no more is saved up");
        let next: Vec<_> = (0..6)
            .map(|_| ask(&mut limiter, "10.0.0.1", 9_000))
            .collect();
        assert_eq!(
            next.iter()
                .filter(|verdict| **verdict == Verdict::Cut)
                .count(),
            2
        );
    }

    #[test]
    fn hosts_share_the_rate_of_their_network_and_only_that() {
        let (mut limiter, ask) = limiter();
        let _ = (0..200).map(|_| ask(&mut limiter, "10.0.0.1", 0)).count();
        for same in ["10.0.0.2", "::ffff:10.0.0.3"] {
            assert_ne!(ask(&mut limiter, same, 0), Verdict::Answer, "{same}");
        }
        let _ = (0..200)
            .map(|_| ask(&mut limiter, "fd00:0:0:100::1", 0))
            .count();
        assert_ne!(ask(&mut limiter, "fd00:0:0:1ff::1", 0), Verdict::Answer);
        // Two networks of these may meet in a place: then the later has it, with a full bucket.
        for other in ["10.0.1.1", "fd00:0:0:200::1", "::1"] {
            assert_eq!(ask(&mut limiter, other, 0), Verdict::Answer, "{other}");
        }
    }

    #[test]
    fn a_crowd_of_networks_takes_no_more_memory_and_nobodys_answers() {
        let (mut limiter, _) = limiter();
        for network in 0..100_000u32 {
            let asker = IpAddr::from((0x0a00_0000 + (network << 8)).to_be_bytes());
            assert_eq!(limiter.verdict(asker, Duration::ZERO), Verdict::Answer);
        }
        assert_eq!(limiter.buckets.len(), PLACES);
    }
}
