//! Limits handshakes that run at once: in total, and for each network. [`super::accept`] decides
//! which must first prove their address.
//!
//! ```text
//!             known address? ── yes ──► half of the places (`half`), else as a stranger
//!                  │ no
//!                  └──────────────────► the other half
//! ```
//! An address is known while a peer has a session or an endpoint there, or if a handshake from it
//! was completed recently (`recent`), which takes a member's certificate. Strangers can occupy only
//! their half, so no flood delays a known peer. Within each half, places are shared by networks
//! (`source`): a newcomer takes one from the network that holds the most.

mod half;
mod recent;
mod source;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use half::Half;
use recent::Recent;
use source::Source;

/// Handshakes that may run at once.
const MAX_PLACES: usize = 256;

/// Of these, the number for known addresses; the others are for strangers.
const KNOWN: usize = MAX_PLACES / 2;

/// The network of an address for the sharing of places: its /24 or /48.
pub(super) fn network(address: IpAddr) -> IpAddr {
    Source::from(address).network
}

/// All places.
#[derive(Debug)]
pub struct Places(Mutex<State>);

#[derive(Debug)]
struct State {
    known: Half,
    strangers: Half,
    recent: Recent,
    last: u64,
}

/// Which half a place belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Known,
    Strangers,
}

impl Default for Places {
    fn default() -> Places {
        Places(Mutex::new(State {
            known: Half::new(KNOWN),
            strangers: Half::new(MAX_PLACES - KNOWN),
            recent: Recent::default(),
            last: 0,
        }))
    }
}

impl Places {
    /// The running handshakes that matter for one from `address`.
    pub fn taken(&self, address: IpAddr) -> InUse {
        let source = Source::from(address);
        let state = self.lock();

        InUse {
            by_strangers: state.strangers.len(),
            by_source: state.known.of_address(source) + state.strangers.of_address(source),
        }
    }

    /// True if a handshake from `address` was completed recently.
    pub fn is_recent(&self, address: IpAddr, now: Instant) -> bool {
        self.lock().recent.contains(Source::from(address), now)
    }

    /// Takes a place for `address`, if there is one. It is released when dropped. `is_peer` says
    /// that the address is a known peer's.
    pub fn take(self: &Arc<Places>, address: IpAddr, is_peer: bool, now: Instant) -> Option<Place> {
        let source = Source::from(address);
        let mut state = self.lock();

        let is_known = is_peer || state.recent.contains(source, now);
        let number = state.last + 1;
        let (side, evicted) = state.take(number, source, is_known, now)?;
        state.last = number;

        Some(Place {
            places: self.clone(),
            source,
            side,
            number,
            evicted,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(
        &mut self,
        number: u64,
        source: Source,
        is_known: bool,
        now: Instant,
    ) -> Option<(Side, CancellationToken)> {
        let known = is_known
            .then(|| self.known.take(number, source, now))
            .flatten();
        if let Some(evicted) = known {
            return Some((Side::Known, evicted));
        }

        // Without a place in the half for known addresses, a peer competes with strangers.
        let evicted = self.strangers.take(number, source, now)?;
        Some((Side::Strangers, evicted))
    }
}

/// Counts of occupied places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InUse {
    /// Occupied by unknown addresses.
    pub by_strangers: usize,
    /// Occupied by the address in question.
    pub by_source: usize,
}

/// A place, released when dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    source: Source,
    side: Side,
    number: u64,
    /// Cancelled when another handshake takes the place: this one must end.
    pub evicted: CancellationToken,
}

impl Place {
    /// Records that the handshake was completed: the certificate is a member's, so the address is
    /// known for a while.
    pub fn completed(&self, now: Instant) {
        self.places.lock().recent.insert(self.source, now);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.lock();

        match self.side {
            Side::Known => state.known.release(self.number),
            Side::Strangers => state.strangers.release(self.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Silent strangers, each of which occupies as many places as possible.
    fn strangers(places: &Arc<Places>, count: u8, now: Instant) -> Vec<Place> {
        (0..count)
            .flat_map(|n| std::iter::repeat_n([192, 0, n, 7], 64))
            .filter_map(|octets| places.take(octets.into(), false, now))
            .collect()
    }

    #[test]
    fn silent_strangers_keep_no_member_out_wherever_it_comes_from() {
        for count in [1, 8, 12, 16, 23, 60, 127] {
            let places = Arc::new(Places::default());
            let start = Instant::now();
            let held = strangers(&places, count, start);
            let taken = held.iter().filter(|place| !place.evicted.is_cancelled());
            assert!(taken.count() <= MAX_PLACES - KNOWN);

            let member = places.take(address("198.51.100.7"), false, start);
            let member = member.unwrap_or_else(|| panic!("{count} strangers keep a member out"));
            let _more = strangers(&places, count, start);
            assert!(!member.evicted.is_cancelled(), "{count} strangers");
        }
    }

    #[test]
    fn strangers_leave_half_of_the_places_for_addresses_that_completed_one() {
        let places = Arc::new(Places::default());
        let now = Instant::now();
        let member = address("198.51.100.7");
        let place = places.take(member, false, now).unwrap();
        place.completed(now);
        assert!(places.is_recent(member, now) && !places.is_recent(address("192.0.2.1"), now));

        // More networks than places, so that a newcomer finds none.
        let flood = |n: u16| [10, n.to_be_bytes()[0], n.to_be_bytes()[1], 1].into();
        let _held: Vec<_> = (0..1000)
            .filter_map(|n| places.take(flood(n), false, now))
            .collect();
        assert!(places.take(address("198.51.101.7"), false, now).is_none());
        assert!(places.take(member, false, now).is_some());
        assert!(places.take(address("203.0.113.9"), true, now).is_some());

        // Silent handshakes eventually give way, even to strangers.
        let later = now + Duration::from_secs(2);
        assert!(places.take(address("198.51.101.7"), false, later).is_some());
    }

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let places = Arc::new(Places::default());
        let now = Instant::now();
        let stranger = address("192.0.2.1");
        let held = [true, false].map(|is_peer| places.take(stranger, is_peer, now).unwrap());
        let taken = places.taken(stranger);
        assert_eq!((taken.by_strangers, taken.by_source), (1, 2));

        drop(held);
        let taken = places.taken(stranger);
        assert_eq!((taken.by_strangers, taken.by_source), (0, 0));
    }
}
