//! [`Recent`]: addresses from which a handshake was completed recently. Also bounded for each
//! network, so that a member with many addresses displaces no other member's.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::source::Source;

/// How long an address is remembered: longer than the life of a session.
const LIFE: Duration = Duration::from_secs(2 * 3600);

/// Maximum number of addresses.
const MAX: usize = 4096;

/// Maximum number of addresses of one network.
const PER_NETWORK: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Recent {
    /// By network and address: when the last handshake was completed.
    seen: BTreeMap<(IpAddr, IpAddr), Instant>,
}

impl Recent {
    pub(super) fn contains(&self, source: Source, now: Instant) -> bool {
        self.seen
            .get(&key(source))
            .is_some_and(|at| now.saturating_duration_since(*at) < LIFE)
    }

    /// Adds `source`. If its network or the table is full, it replaces the entry that was seen
    /// longest ago.
    pub(super) fn insert(&mut self, source: Source, now: Instant) {
        self.seen.insert(key(source), now);

        let of_network = self.seen.iter().filter(|(key, _)| key.0 == source.network);
        if of_network.clone().count() > PER_NETWORK {
            let oldest = oldest(of_network);
            self.forget(oldest);
        } else if self.seen.len() > MAX {
            let oldest = oldest(self.seen.iter());
            self.forget(oldest);
        }
    }

    fn forget(&mut self, key: Option<(IpAddr, IpAddr)>) {
        if let Some(key) = key {
            self.seen.remove(&key);
        }
    }
}

fn key(source: Source) -> (IpAddr, IpAddr) {
    (source.network, source.address)
}

/// The entry that was seen longest ago. Handshakes complete rarely enough for a linear search.
fn oldest<'a>(
    entries: impl Iterator<Item = (&'a (IpAddr, IpAddr), &'a Instant)>,
) -> Option<(IpAddr, IpAddr)> {
    entries.min_by_key(|(_, at)| **at).map(|(key, _)| *key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(octets: [u8; 4]) -> Source {
        Source::from(IpAddr::from(octets))
    }

    #[test]
    fn a_network_displaces_only_its_own_addresses() {
        let mut recent = Recent::default();
        let start = Instant::now();
        recent.insert(source([198, 51, 100, 1]), start);

        for n in 0..=255 {
            let now = start + Duration::from_secs(u64::from(n));
            recent.insert(source([192, 0, 2, n]), now);
        }
        let now = start + Duration::from_secs(256);
        assert!(recent.contains(source([198, 51, 100, 1]), now));
        assert!(recent.contains(source([192, 0, 2, 255]), now));
        assert!(!recent.contains(source([192, 0, 2, 100]), now));
        assert_eq!(recent.seen.len(), PER_NETWORK + 1);
    }

    #[test]
    fn the_table_is_bounded_and_an_address_is_forgotten_after_a_while() {
        let mut recent = Recent::default();
        let start = Instant::now();
        for n in 0..5000u16 {
            let [high, low] = n.to_be_bytes();
            let now = start + Duration::from_millis(n.into());
            recent.insert(source([10, high, low, 1]), now);
        }

        assert_eq!(recent.seen.len(), MAX);
        assert!(!recent.contains(source([10, 0, 0, 1]), start));
        assert!(recent.contains(source([10, 0x13, 0x87, 1]), start));
        assert!(!recent.contains(source([10, 0x13, 0x87, 1]), start + LIFE * 2));
    }
}
