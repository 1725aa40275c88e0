//! [`Limiter`]: response rate limiting over UDP, one token bucket per network.
//!
//! The table has a fixed size. Two networks may collide in it; then the one that sent last takes
//! the place, with a full bucket. So with very many networks the limit gets weaker, but no network
//! loses answers because of another. The place is chosen by a keyed hash, so an attacker cannot
//! arrange collisions.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use super::options::Rate;
use crate::acl::Locality;
use crate::answer::RateDecision;

/// Networks that are tracked at the same time; 64 KiB.
const PLACES: usize = 4096;

/// Credit is counted in thousandths of a response.
const MILLI: u32 = 1000;

#[derive(Debug)]
pub(super) struct Limiter {
    buckets: Box<[Bucket]>,
    keys: RandomState,
    /// Queries above the rate so far, of all networks.
    above: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// Hash of the network; 0: unused.
    hash: u64,
    /// Thousandths of responses.
    credit: u32,
    /// When `credit` was computed: milliseconds since the server was bound.
    filled: u32,
}

impl Limiter {
    pub(super) fn new() -> Limiter {
        Limiter {
            buckets: vec![Bucket::default(); PLACES].into(),
            keys: RandomState::new(),
            above: 0,
        }
    }

    /// Takes one response from the bucket of the network of `client`, which is at `locality`. `now`
    /// is the time since the server was bound.
    pub(super) fn decide(
        &mut self,
        rate: &Rate,
        client: IpAddr,
        locality: Locality,
        now: Duration,
    ) -> RateDecision {
        let Some(per_second) = rate.per_second(locality) else {
            return RateDecision::Answer;
        };
        // A network can have hosts in both.
        let hash = self.keys.hash_one((network(rate, client), locality)) | 1;
        let now = now.as_millis() as u32;
        // A full bucket must fit the 32 bits of its credit.
        let per_second = per_second.min(u32::MAX / MILLI);
        let full = per_second * MILLI;

        // The lowest bit is always 1 and does not choose the place.
        let bucket = &mut self.buckets[hash as usize / 2 % PLACES];
        if bucket.hash != hash {
            *bucket = Bucket {
                hash,
                credit: full,
                filled: now,
            };
        }

        // A rate per second is as many thousandths per millisecond.
        let earned = u64::from(now.wrapping_sub(bucket.filled)) * u64::from(per_second);
        bucket.credit = (u64::from(bucket.credit) + earned).min(full.into()) as u32;
        bucket.filled = now;
        if let Some(rest) = bucket.credit.checked_sub(MILLI) {
            bucket.credit = rest;
            return RateDecision::Answer;
        }

        self.above = self.above.wrapping_add(1);
        if rate.slip != 0 && self.above.is_multiple_of(rate.slip) {
            RateDecision::Truncate
        } else {
            RateDecision::Drop
        }
    }
}

/// The prefix of the client's network, and whether it is IPv4.
fn network(rate: &Rate, client: IpAddr) -> (u128, bool) {
    match client.to_canonical() {
        IpAddr::V4(address) => {
            let host_bits = 32 - u32::from(rate.ipv4.min(32));
            // To shift by all bits yields nothing: with a length of 0, all clients are one network.
            let prefix = u128::from(address.to_bits()).checked_shr(host_bits);
            (prefix.unwrap_or(0), true)
        }
        IpAddr::V6(address) => {
            let host_bits = 128 - u32::from(rate.ipv6.min(128));
            (address.to_bits().checked_shr(host_bits).unwrap_or(0), false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        site: 1000,
        mesh: 100,
        slip: 3,
        ipv4: 24,
        ipv6: 56,
    };

    fn decide(limiter: &mut Limiter, client: &str, millis: u64) -> RateDecision {
        let now = Duration::from_millis(millis);
        limiter.decide(&RATE, client.parse().unwrap(), Locality::Mesh, now)
    }

    /// How many of `queries` from `client` are answered.
    fn answered(limiter: &mut Limiter, client: &str, millis: u64, queries: usize) -> usize {
        (0..queries)
            .filter(|_| decide(limiter, client, millis) == RateDecision::Answer)
            .count()
    }

    #[test]
    fn answers_at_the_rate_and_truncates_every_third_response_above_it() {
        let mut limiter = Limiter::new();
        let client = "10.0.0.1";
        assert_eq!(answered(&mut limiter, client, 0, 1000), 100, "one second's");
        assert_eq!(answered(&mut limiter, client, 0, 1000), 0);
        assert_eq!(answered(&mut limiter, client, 50, 1000), 5);
        assert_eq!(
            answered(&mut limiter, client, 9_000, 1000),
            100,
            "credit is capped at one second's"
        );

        let truncated = (0..6)
            .filter(|_| decide(&mut limiter, client, 9_000) == RateDecision::Truncate)
            .count();
        assert_eq!(truncated, 2);
    }

    #[test]
    fn hosts_of_one_network_share_its_rate() {
        let mut limiter = Limiter::new();
        answered(&mut limiter, "10.0.0.1", 0, 200);
        for same in ["10.0.0.2", "::ffff:10.0.0.3"] {
            assert_ne!(
                decide(&mut limiter, same, 0),
                RateDecision::Answer,
                "{same}"
            );
        }

        answered(&mut limiter, "fd00:0:0:100::1", 0, 200);
        let same = "fd00:0:0:1ff::1";
        assert_ne!(decide(&mut limiter, same, 0), RateDecision::Answer);

        // Even if two of these collide, the later one has a full bucket.
        for other in ["10.0.1.1", "fd00:0:0:200::1", "::1"] {
            assert_eq!(
                decide(&mut limiter, other, 0),
                RateDecision::Answer,
                "{other}"
            );
        }
    }

    #[test]
    fn this_site_and_the_others_have_rates_of_their_own_which_may_change() {
        let mut limiter = Limiter::new();
        let client: IpAddr = "10.0.0.1".parse().unwrap();
        let mut answered = |rate: &Rate, locality, second| {
            let now = Duration::from_secs(second);
            let decisions = (0..5000).map(|_| limiter.decide(rate, client, locality, now));
            decisions
                .filter(|decision| *decision == RateDecision::Answer)
                .count()
        };

        assert_eq!(answered(&RATE, Locality::Mesh, 0), 100);
        assert_eq!(answered(&RATE, Locality::Site, 0), 1000);
        let changed = Rate {
            mesh: 20,
            site: 0,
            ..RATE
        };
        assert_eq!(answered(&changed, Locality::Mesh, 9), 20);
        assert_eq!(answered(&changed, Locality::Site, 9), 5000, "0 is no limit");
        assert_eq!(answered(&RATE, Locality::Mesh, 20), 100);
    }

    #[test]
    fn many_networks_use_no_more_memory_and_each_is_answered() {
        let mut limiter = Limiter::new();
        for network in 0..100_000u32 {
            let client = IpAddr::from((0x0a00_0000 + (network << 8)).to_be_bytes());
            let decision = limiter.decide(&RATE, client, Locality::Mesh, Duration::ZERO);
            assert_eq!(decision, RateDecision::Answer);
        }
        assert_eq!(limiter.buckets.len(), PLACES);
    }
}
