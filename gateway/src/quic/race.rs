//! [`Race`]: in which order the addresses of a peer are tried, and when each begins (RFC 8305,
//! sections 4 and 5). Does no I/O.
//!
//! The order is: the first addresses of all endpoints, in the record's order, then their second
//! ones, and so on; families alternate as long as both are left. Each address has a head start over
//! the next, which ends when it fails.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use ringway_core::race_step;
use tokio::time::Instant;

/// Maximum number of addresses in a race.
const MAX_ADDRESSES: usize = 32;

/// One address of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    /// Position among the addresses of its endpoint.
    rank: usize,
    /// Index of the endpoint in the record.
    pub(super) endpoint: usize,
    pub(super) address: SocketAddr,
}

/// The addresses of one peer.
#[derive(Debug)]
pub(super) struct Race {
    waiting: BTreeSet<Candidate>,
    seen: BTreeSet<SocketAddr>,
    /// True if the last attempt used IPv6.
    last_v6: Option<bool>,
    /// When the next attempt may start.
    next: Instant,
}

impl Race {
    pub(super) fn new(now: Instant) -> Race {
        Race {
            waiting: BTreeSet::new(),
            seen: BTreeSet::new(),
            last_v6: None,
            next: now,
        }
    }

    /// Adds the addresses of an endpoint. An address that another endpoint has too is added once.
    pub(super) fn add(&mut self, endpoint: usize, addresses: impl IntoIterator<Item = SocketAddr>) {
        for (rank, address) in addresses.into_iter().enumerate() {
            if self.seen.len() < MAX_ADDRESSES && self.seen.insert(address) {
                self.waiting.insert(Candidate {
                    rank,
                    endpoint,
                    address,
                });
            }
        }
    }

    /// When the next attempt starts; `None` if no address is left.
    pub(super) fn next_start(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then_some(self.next)
    }

    /// An attempt has failed: the next one may start now.
    pub(super) fn failed(&mut self, now: Instant) {
        self.next = self.next.min(now);
    }

    /// Starts the next attempt, and returns its address.
    pub(super) fn begin(&mut self, now: Instant) -> Option<Candidate> {
        // RFC 8305, section 4: alternate families.
        let other_family = self
            .waiting
            .iter()
            .find(|candidate| Some(candidate.address.is_ipv6()) != self.last_v6);
        let candidate = *other_family.or_else(|| self.waiting.first())?;

        self.waiting.remove(&candidate);
        self.last_v6 = Some(candidate.address.is_ipv6());
        self.next = now + self.lead();
        Some(candidate)
    }

    fn lead(&self) -> Duration {
        race_step(self.seen.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(race: &mut Race) -> Vec<String> {
        let now = Instant::now();
        std::iter::from_fn(|| race.begin(now))
            .map(|candidate| candidate.address.ip().to_string())
            .collect()
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts
            .iter()
            .map(|text| SocketAddr::new(text.parse().unwrap(), 4600))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn first_addresses_come_first_and_families_alternate() {
        let mut race = Race::new(Instant::now());
        race.add(1, addresses(&["10.0.1.1", "2001:db8::11"]));
        race.add(0, addresses(&["10.0.0.1", "10.0.0.2", "2001:db8::1"]));
        race.add(2, addresses(&["10.0.2.1", "10.0.0.1"]));

        let expected = [
            "10.0.0.1",
            "2001:db8::11",
            "10.0.1.1",
            "2001:db8::1",
            "10.0.2.1",
            "10.0.0.2",
        ];
        assert_eq!(order(&mut race), expected);
        assert_eq!(race.next_start(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_of_eight_begins_in_time_and_a_failure_ends_a_lead() {
        let start = Instant::now();
        let mut race = Race::new(start);
        for endpoint in 0..8 {
            race.add(endpoint, addresses(&[&format!("10.0.{endpoint}.1")]));
        }

        for lead in 0..8 {
            let due = race.next_start().unwrap();
            assert_eq!(due, start + Duration::from_millis(150) * lead);
            race.begin(due).unwrap();
        }

        race.add(8, addresses(&["10.0.8.1"]));
        let due = race.next_start().unwrap();
        let now = due - Duration::from_millis(100);
        race.failed(now);
        assert_eq!(race.next_start(), Some(now));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_with_very_many_addresses_is_not_dialled_at_all_of_them() {
        let mut race = Race::new(Instant::now());
        for endpoint in 0..16 {
            let many: Vec<_> = (0..8).map(|n| format!("10.0.{endpoint}.{n}")).collect();
            let many: Vec<_> = many.iter().map(String::as_str).collect();
            race.add(endpoint, addresses(&many));
        }
        assert_eq!(order(&mut race).len(), MAX_ADDRESSES);
    }
}
