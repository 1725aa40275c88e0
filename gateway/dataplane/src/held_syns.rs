//! [`HeldSyns`]: SYNs that wait for a session to their destination. Of a flow the last one is held:
//! a host that retries has forgotten the earlier ones.
//!
//! Bounded: so many in all, a share of them for each host (an IPv6 host is a /64), each short and
//! at most [`MAX_AGE`] old. What finds no place takes that of the oldest of its host, or of all.
//! Each belongs to one sending thread; a flow stays with its thread.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::offload::OFFLOAD_LEN;

/// Hosts wait up to 64 s between two SYNs of a connection (RFC 6298, doubling from 1 s); an older
/// one was given up.
const MAX_AGE: Duration = Duration::from_secs(65);

/// Hosts that fill all places.
const HOSTS: usize = 8;

/// Bytes of the longest packet that is held: all headers and options of a SYN, no data.
const MAX_LEN: usize = 256;

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Connection {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
}

/// One that waits.
#[derive(Debug)]
struct Held {
    connection: Connection,
    /// As it was read, offload header first.
    read: Box<[u8]>,
    at: Instant,
}

/// What becomes of a held SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Keep,
    /// It is given back.
    Release,
    Drop,
}

/// SYNs, in the order in which they came.
pub(crate) struct HeldSyns {
    capacity: usize,
    next: u64,
    by_age: BTreeMap<u64, Held>,
    by_connection: HashMap<Connection, u64>,
    by_host: HashMap<IpAddr, BTreeSet<u64>>,
}

impl HeldSyns {
    /// Places for `capacity`.
    pub(crate) fn new(capacity: usize) -> HeldSyns {
        HeldSyns {
            capacity,
            next: 0,
            by_age: BTreeMap::new(),
            by_connection: HashMap::new(),
            by_host: HashMap::new(),
        }
    }

    /// Changes the number of places. What has none any more is dropped, the oldest first.
    pub(crate) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
        while self.by_age.len() > capacity {
            self.drop_oldest();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_age.is_empty()
    }

    /// Holds what was read, a SYN of `connection` behind its offload header, in place of an earlier
    /// one of the connection. False if it is too long.
    pub(crate) fn hold(&mut self, read: &[u8], connection: Connection, now: Instant) -> bool {
        if read.len() > OFFLOAD_LEN + MAX_LEN || self.capacity == 0 {
            return false;
        }

        if let Some(earlier) = self.by_connection.get(&connection) {
            self.remove(*earlier);
        }
        // Only after the removal: a retry must not cost another connection its place.
        self.make_room(host(connection.source.ip()));

        let number = self.next;
        self.next += 1;
        self.by_connection.insert(connection, number);
        let host = host(connection.source.ip());
        self.by_host.entry(host).or_default().insert(number);
        let held = Held {
            connection,
            read: read.into(),
            at: now,
        };
        self.by_age.insert(number, held);
        true
    }

    /// Drops those that are too old, then lets `decide` look at every other one, the newest first.
    /// Gives what it released, in this order.
    pub(crate) fn review(
        &mut self,
        now: Instant,
        mut decide: impl FnMut(&Connection, &[u8]) -> Decision,
    ) -> Vec<Box<[u8]>> {
        while let Some((_, oldest)) = self.by_age.first_key_value()
            && now.saturating_duration_since(oldest.at) > MAX_AGE
        {
            self.drop_oldest();
        }

        // The newest first: it is the attempt that its client still waits for.
        let mut decided = Vec::new();
        for (number, held) in self.by_age.iter().rev() {
            match decide(&held.connection, &held.read) {
                Decision::Keep => {}
                decision => decided.push((*number, decision)),
            }
        }

        // Only now, since the loop above borrows what this removes from.
        let mut released = Vec::new();
        for (number, decision) in decided {
            let held = self.remove(number);
            if decision == Decision::Release {
                released.extend(held.map(|held| held.read));
            }
        }
        released
    }

    fn make_room(&mut self, host: IpAddr) {
        let share = self.capacity.div_ceil(HOSTS);
        let oldest = self
            .by_host
            .get(&host)
            .filter(|numbers| numbers.len() >= share)
            .and_then(|numbers| numbers.first().copied());

        // A host that has its share pays with its own, so that a flood from one takes no other's
        // place.
        if let Some(oldest) = oldest {
            self.remove(oldest);
        } else if self.by_age.len() >= self.capacity {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((oldest, _)) = self.by_age.first_key_value() {
            self.remove(*oldest);
        }
    }

    fn remove(&mut self, number: u64) -> Option<Held> {
        let held = self.by_age.remove(&number)?;
        self.by_connection.remove(&held.connection);

        let host = host(held.connection.source.ip());
        if let Some(numbers) = self.by_host.get_mut(&host) {
            numbers.remove(&number);
            // A sender may use ever new addresses: what is left of each would never be freed.
            if numbers.is_empty() {
                self.by_host.remove(&host);
            }
        }
        Some(held)
    }
}

/// One host may use every address of its /64 (RFC 8981).
fn host(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(source: &str, port: u16) -> Connection {
        Connection {
            source: SocketAddr::new(source.parse().unwrap(), port),
            destination: "10.2.0.1:7051".parse().unwrap(),
        }
    }

    /// What is held, the newest first: source port and first byte.
    fn held(syns: &mut HeldSyns, now: Instant) -> Vec<(u16, u8)> {
        let mut found = Vec::new();
        syns.review(now, |connection, read| {
            found.push((connection.source.port(), read[0]));
            Decision::Keep
        });
        found
    }

    #[test]
    fn the_last_of_a_connection_is_held_and_the_newest_comes_first() {
        let now = Instant::now();
        let mut syns = HeldSyns::new(80);
        for (port, byte) in [(1, 10), (2, 20), (3, 30), (1, 11)] {
            assert!(syns.hold(&[byte], connection("10.1.0.1", port), now));
        }
        assert_eq!(held(&mut syns, now), [(1, 11), (3, 30), (2, 20)]);

        let released = syns.review(now, |connection, _| match connection.source.port() {
            2 | 1 => Decision::Release,
            _ => Decision::Drop,
        });
        assert_eq!(released, [[11].into(), [20].into()] as [Box<[u8]>; 2]);
        assert_eq!(held(&mut syns, now), []);
        for port in [2, 1] {
            assert!(syns.hold(&[port as u8 * 10 + 1], connection("10.1.0.1", port), now));
        }
        assert_eq!(held(&mut syns, now), [(1, 11), (2, 21)]);
    }

    #[test]
    fn no_held_syn_is_older_than_a_host_waits() {
        let now = Instant::now();
        let mut syns = HeldSyns::new(8);
        syns.hold(&[1], connection("10.1.0.1", 1), now);
        syns.hold(
            &[2],
            connection("10.1.0.2", 2),
            now + Duration::from_secs(1),
        );
        assert_eq!(held(&mut syns, now + MAX_AGE).len(), 2);
        assert_eq!(
            held(&mut syns, now + MAX_AGE + Duration::from_secs(1)),
            [(2, 2)]
        );
        assert!(held(&mut syns, now + 2 * MAX_AGE).is_empty() && syns.is_empty());
        assert!(syns.by_host.is_empty() && syns.by_connection.is_empty());
    }

    #[test]
    fn a_host_has_a_share_and_all_have_a_limit() {
        let now = Instant::now();
        let mut syns = HeldSyns::new(16);
        syns.hold(&[0], connection("10.1.0.9", 9), now);
        for port in 1..=100 {
            syns.hold(&[0], connection("10.1.0.1", port), now);
            // Other addresses of one /64 are the same host.
            syns.hold(&[0], connection(&format!("fd00::{port}"), port), now);
        }
        let ports: Vec<u16> = held(&mut syns, now).iter().map(|(port, _)| *port).collect();
        assert_eq!(ports, [100, 100, 99, 99, 9], "the share is 2");

        for host in 1..=100 {
            syns.hold(&[0], connection(&format!("10.1.1.{host}"), host), now);
        }
        assert_eq!(held(&mut syns, now).len(), 16);
        syns.set_capacity(3);
        let ports: Vec<u16> = held(&mut syns, now).iter().map(|(port, _)| *port).collect();
        assert_eq!(ports, [100, 99, 98]);
    }

    #[test]
    fn a_syn_full_of_data_is_not_held() {
        let mut syns = HeldSyns::new(8);
        let long = vec![0; OFFLOAD_LEN + MAX_LEN + 1];
        assert!(!syns.hold(&long, connection("10.1.0.1", 1), Instant::now()));
        assert!(syns.hold(&long[1..], connection("10.1.0.1", 1), Instant::now()));
    }
}
