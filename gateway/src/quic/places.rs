//! Places for handshakes under way: how many in all, and how many for one source. Which handshake
//! must first prove its address is [`super::accept`]'s to say.
//!
//! Strangers can hold all places but the reserved ones, and one source a few: a flood from one
//! address keeps no other stranger out, and no flood keeps a known peer out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Handshakes that may be under way.
pub const MAX_PLACES: usize = 64;

/// Of these, kept for addresses of known peers.
const RESERVED: usize = 16;

/// For one source: a peer's gateways behind one address, and their redials.
const PER_SOURCE: usize = 8;

/// Where a handshake comes from: an IPv4 address, or the /64 of an IPv6 one, which costs a stranger
/// as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Source {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                Source(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into())
            }
            v4 => Source(v4),
        }
    }
}

/// All places.
#[derive(Debug, Default)]
pub struct Places(Mutex<BTreeMap<Source, usize>>);

impl Places {
    /// Handshakes under way.
    pub fn taken(&self, source: Source) -> InUse {
        let taken = self.lock();

        InUse {
            in_all: taken.values().sum(),
            by_source: taken.get(&source).copied().unwrap_or_default(),
        }
    }

    /// A place for `source` until it is dropped, if there is one. `is_peer`: the source is a known
    /// peer's.
    pub fn take(self: &Arc<Places>, source: Source, is_peer: bool) -> Option<Place> {
        let mut taken = self.lock();
        let limit = if is_peer {
            MAX_PLACES
        } else {
            MAX_PLACES - RESERVED
        };

        if taken.values().sum::<usize>() >= limit
            || taken.get(&source).is_some_and(|n| *n >= PER_SOURCE)
        {
            return None;
        }

        *taken.entry(source).or_default() += 1;
        Some(Place {
            places: self.clone(),
            source,
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Source, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many places are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InUse {
    /// By all sources.
    pub in_all: usize,
    /// By the source in question.
    pub by_source: usize,
}

/// One place. It is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    source: Source,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(n) = taken.get_mut(&self.source) {
            *n -= 1;
            // The map holds no more sources than there are places.
            if *n == 0 {
                taken.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn one_source_cannot_hold_all_places() {
        let places = Arc::new(Places::default());
        let held: Vec<_> = (0..MAX_PLACES)
            .filter_map(|_| places.take(source("192.0.2.1"), false))
            .collect();
        assert_eq!(held.len(), PER_SOURCE);
        assert!(places.take(source("192.0.2.2"), false).is_some());
        drop(held);
        let free = InUse {
            in_all: 0,
            by_source: 0,
        };
        assert_eq!(places.taken(source("192.0.2.1")), free);
        assert!(places.take(source("192.0.2.1"), false).is_some());
    }

    #[test]
    fn all_addresses_of_a_64_are_one_source() {
        let places = Arc::new(Places::default());
        let host = |n: usize| source(&format!("2001:db8:1:2::{n:x}"));
        let held: Vec<_> = (0..MAX_PLACES)
            .filter_map(|n| places.take(host(n), false))
            .collect();
        assert_eq!(held.len(), PER_SOURCE);
        assert!(places.take(source("2001:db8:1:3::1"), false).is_some());
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    }

    #[test]
    fn strangers_leave_places_for_peers() {
        let places = Arc::new(Places::default());
        let stranger = |n: usize| source(&format!("192.0.2.{}", n % 250));
        let held: Vec<_> = (0..1000)
            .filter_map(|n| places.take(stranger(n), false))
            .collect();
        assert_eq!(held.len(), MAX_PLACES - RESERVED);
        assert!(places.take(source("198.51.100.7"), true).is_some());
        assert!(places.take(source("198.51.100.8"), false).is_none());
    }
}
