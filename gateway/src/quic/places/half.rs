//! [`Half`]: the places of one half, shared fairly. While there are free places, every handshake
//! gets one. After that, a newcomer takes the oldest place of the network that holds the most, and
//! within a network of the address that holds the most. If no network holds more than the
//! newcomer's would, it takes a place that was held for longer than a handshake needs, or none.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::source::Source;

/// Maximum of places for one network, and so for one address.
const PER_NETWORK: usize = 16;

/// A handshake older than this gives way to one whose network holds as many places. It is the time
/// of three round trips around half the earth.
const MATURE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Half {
    size: usize,
    /// The occupied places, by number, the oldest first.
    held: BTreeMap<u64, Held>,
}

#[derive(Debug)]
struct Held {
    source: Source,
    since: Instant,
    evicted: CancellationToken,
}

impl Half {
    pub(super) fn new(size: usize) -> Half {
        Half {
            size,
            held: BTreeMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn of_address(&self, source: Source) -> usize {
        let sources = self.held.values().map(|held| held.source.address);
        sources.filter(|held| *held == source.address).count()
    }

    fn of_network(&self, network: IpAddr) -> usize {
        let networks = self.held.values().map(|held| held.source.network);
        networks.filter(|held| *held == network).count()
    }

    /// Takes place `number` for `source`, if possible. The returned token is cancelled when a later
    /// handshake takes the place.
    pub(super) fn take(
        &mut self,
        number: u64,
        source: Source,
        now: Instant,
    ) -> Option<CancellationToken> {
        // A network at its limit replaces a place of its own; no other network loses one.
        if self.of_network(source.network) >= PER_NETWORK {
            self.evict_of_network(source.network, source, now)?;
        } else if self.held.len() >= self.size {
            self.evict_of_largest(source, now)?;
        }

        let evicted = CancellationToken::new();
        let held = Held {
            source,
            since: now,
            evicted: evicted.clone(),
        };
        self.held.insert(number, held);
        Some(evicted)
    }

    /// Releases place `number`, unless another handshake has already taken it.
    pub(super) fn release(&mut self, number: u64) {
        self.held.remove(&number);
    }

    /// Evicts from the network that holds the most; `None` if that would not be fair.
    fn evict_of_largest(&mut self, newcomer: Source, now: Instant) -> Option<()> {
        let networks = counts(self.held.values().map(|held| held.source.network));
        let (largest, most) = largest(&networks)?;
        let own = networks.get(&newcomer.network).copied().unwrap_or_default();

        // With the newcomer, its network holds one more, and must not become the largest.
        if most > own + 1 {
            return self.evict_oldest(|source| source.network == largest);
        }
        self.evict_mature(|_| true, now)
    }

    /// Evicts from `network`, which is at its limit; `None` if that would not be fair.
    fn evict_of_network(&mut self, network: IpAddr, newcomer: Source, now: Instant) -> Option<()> {
        let sources = self.held.values().map(|held| held.source);
        let here = sources.filter(|source| source.network == network);
        let addresses = counts(here.map(|source| source.address));
        let (largest, most) = largest(&addresses)?;
        let own = addresses
            .get(&newcomer.address)
            .copied()
            .unwrap_or_default();

        // Only from an address that afterwards still holds at least as many as the newcomer.
        if most > own + 1 {
            return self.evict_oldest(|source| source.address == largest);
        }
        self.evict_mature(|source| source.network == network, now)
    }

    fn evict_mature(&mut self, which: impl Fn(Source) -> bool, now: Instant) -> Option<()> {
        let oldest = self.held.values().find(|held| which(held.source))?;
        let is_mature = now.saturating_duration_since(oldest.since) >= MATURE;

        is_mature.then(|| self.evict_oldest(which)).flatten()
    }

    fn evict_oldest(&mut self, which: impl Fn(Source) -> bool) -> Option<()> {
        let mut held = self.held.iter();
        let (number, _) = held.find(|(_, held)| which(held.source))?;
        let number = *number;

        // Its task ends later; the place is free at once.
        self.held.remove(&number)?.evicted.cancel();
        Some(())
    }
}

fn counts(keys: impl Iterator<Item = IpAddr>) -> BTreeMap<IpAddr, usize> {
    let mut counts = BTreeMap::new();

    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    counts
}

fn largest(counts: &BTreeMap<IpAddr, usize>) -> Option<(IpAddr, usize)> {
    let largest = counts.iter().max_by_key(|(_, count)| **count)?;

    Some((*largest.0, *largest.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(octets: [u8; 4]) -> Source {
        Source::from(IpAddr::from(octets))
    }

    #[test]
    fn a_flooding_network_keeps_only_its_share_and_gives_way_to_others() {
        let mut half = Half::new(64);
        let now = Instant::now();
        let flood: Vec<_> = (0..64)
            .filter_map(|n| half.take(n, source([192, 0, 2, 1]), now))
            .collect();
        assert_eq!((flood.len(), half.len()), (PER_NETWORK, PER_NETWORK));

        let neighbour = half.take(100, source([192, 0, 2, 2]), now).unwrap();
        assert!(flood[0].is_cancelled() && !flood[1].is_cancelled());
        assert!(half.take(101, source([192, 0, 2, 1]), now).is_none());
        assert!(!neighbour.is_cancelled());
        assert_eq!(half.len(), PER_NETWORK);
    }

    #[test]
    fn a_full_half_gives_a_newcomer_the_oldest_place_of_the_largest_network() {
        let mut half = Half::new(8);
        let now = Instant::now();
        let first: Vec<_> = (0..6)
            .filter_map(|n| half.take(n, source([192, 0, 2, 1]), now))
            .collect();
        let second: Vec<_> = (6..8)
            .filter_map(|n| half.take(n, source([192, 0, 3, 1]), now))
            .collect();

        assert!(half.take(8, source([198, 51, 100, 1]), now).is_some());
        assert!(first[0].is_cancelled() && !first[1].is_cancelled());
        assert!(second.iter().all(|place| !place.is_cancelled()));
        assert_eq!(half.len(), 8);
    }

    #[test]
    fn if_all_hold_as_little_only_a_late_handshake_gives_way() {
        let mut half = Half::new(4);
        let now = Instant::now();
        let held: Vec<_> = (0..4)
            .filter_map(|n| half.take(u64::from(n), source([192, 0, n, 1]), now))
            .collect();

        assert!(half.take(9, source([198, 51, 100, 1]), now).is_none());
        let later = now + MATURE;
        assert!(half.take(9, source([198, 51, 100, 1]), later).is_some());
        assert!(held[0].is_cancelled() && !held[1].is_cancelled());

        half.release(0);
        assert_eq!(half.len(), 4, "it was another's place by then");
    }
}
