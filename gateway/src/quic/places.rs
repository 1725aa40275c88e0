//! Places for handshakes under way: how many in all, and how many for one network. Which handshake
//! must first prove its address is [`super::accept`]'s to say.
//!
//! ```text
//!             known address? ── yes ──► half of the places (`half`), else as a stranger
//!                  │ no
//!                  └──────────────────► the other half
//! ```
//! An address is known while a peer has a session or an endpoint there, or if a handshake from it
//! was completed lately (`recent`): only a member's certificate completes one. Strangers can hold
//! the places of their half only, so that no flood delays a known peer. Within each half, a place
//! is shared by networks (`source`): a newcomer takes it from the network that holds the most.

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

/// Handshakes that may be under way.
const MAX_PLACES: usize = 256;

/// Of these, for addresses that are known; the others are for strangers.
const KNOWN: usize = MAX_PLACES / 2;

/// The network of an address, as places are shared: its /24 or /48.
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
    /// Handshakes under way, as far as they matter for one from `address`.
    pub fn taken(&self, address: IpAddr) -> InUse {
        let source = Source::from(address);
        let state = self.lock();

        InUse {
            by_strangers: state.strangers.len(),
            by_source: state.known.of_address(source) + state.strangers.of_address(source),
        }
    }

    /// True if a handshake from `address` was completed lately.
    pub fn is_recent(&self, address: IpAddr, now: Instant) -> bool {
        self.lock().recent.contains(Source::from(address), now)
    }

    /// A place for `address` until it is dropped, if there is one. `is_peer`: the address is a
    /// known peer's.
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

        // Without a place among the known, a peer competes like anybody else.
        let evicted = self.strangers.take(number, source, now)?;
        Some((Side::Strangers, evicted))
    }
}

/// How many places are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InUse {
    /// By addresses that are not known.
    pub by_strangers: usize,
    /// By the address in question.
    pub by_source: usize,
}

/// One place. It is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    source: Source,
    side: Side,
    number: u64,
    /// Cancelled when another handshake has taken the place: this one must end.
    pub evicted: CancellationToken,
}

impl Place {
    /// Its handshake was completed: the certificate is a member's, so that the address is known
    /// from now on.
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

    /// Silent strangers, each of which takes as many places as it can.
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

        // More networks than there are places, so that a newcomer finds none.
        let flood = |n: u16| [10, n.to_be_bytes()[0], n.to_be_bytes()[1], 1].into();
        let _held: Vec<_> = (0..1000)
            .filter_map(|n| places.take(flood(n), false, now))
            .collect();
        assert!(places.take(address("198.51.101.7"), false, now).is_none());
        assert!(places.take(member, false, now).is_some());
        assert!(places.take(address("203.0.113.9"), true, now).is_some());

        // Silent ones give way in the end, to strangers too.
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
