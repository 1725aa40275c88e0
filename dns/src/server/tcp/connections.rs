//! [`Connections`]: the open TCP connections, and which of them is closed when there are too many.
//!
//! Above a limit, the connection that has been silent for longest is closed for a new one. Above
//! the limit of one client it is one of that client's connections, so a client with many
//! connections does not displace others before the limit of all clients is reached; and then
//! connections in use outlast idle ones.
//!
//! A client that opens many connections at once is about to ask over each: its connections that are
//! as young as [`PATIENCE`] and have not asked are kept, and the new one is refused.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Open connections in all. By default a process may have 1024 descriptors.
const MAX_CONNECTIONS: usize = 512;
/// Open connections from one address.
const MAX_PER_CLIENT: usize = 32;
/// How long a new connection may take to ask before it counts as idle.
const PATIENCE: Duration = Duration::from_secs(2);

/// All open connections. Clones share them.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct Connections(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// By number, which is the tick at which they were opened.
    open: Mutex<BTreeMap<u64, Connection>>,
    /// A logical clock that advances with every connection and query.
    tick: AtomicU64,
}

#[derive(Debug)]
struct Connection {
    client: IpAddr,
    opened: Instant,
    /// The connection's number until it has asked.
    last_active: Arc<AtomicU64>,
    close: CancellationToken,
}

/// What a new connection means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    /// There is a place for it.
    Free,
    /// Another one was closed.
    Evicted,
    /// It is refused: none of the client's connections may be closed.
    Refused,
}

/// The place of one open connection; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Slot {
    connections: Connections,
    number: u64,
    last_active: Arc<AtomicU64>,
    /// Cancelled when the connection must close.
    pub(super) close: CancellationToken,
    /// True if another connection was closed for this one.
    pub(super) evicted: bool,
}

impl Connections {
    /// A place for a connection from `client`; closes another connection if there are too many.
    /// `None` if the new one is refused.
    pub(super) fn open(&self, client: IpAddr) -> Option<Slot> {
        let now = Instant::now();
        let number = self.next_tick();
        // Equal to the number until the first query: see `is_idle`.
        let last_active = Arc::new(AtomicU64::new(number));
        let close = CancellationToken::new();

        let mut open = self.lock();
        let admission = make_room(&mut open, client, now);
        if admission == Admission::Refused {
            return None;
        }
        let connection = Connection {
            client,
            opened: now,
            last_active: last_active.clone(),
            close: close.clone(),
        };
        open.insert(number, connection);

        Some(Slot {
            connections: self.clone(),
            number,
            last_active,
            close,
            evicted: admission == Admission::Evicted,
        })
    }

    fn next_tick(&self) -> u64 {
        self.0.tick.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Connection>> {
        // Every change of the map is a single call, so it is consistent even after a panic.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Records that the connection has just sent a query.
    pub(super) fn touch(&self) {
        let tick = self.connections.next_tick();
        self.last_active.store(tick, Ordering::Relaxed);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.number);
    }
}

/// Closes the connection that has been silent for longest if the next one of `client` would exceed
/// a limit.
fn make_room(open: &mut BTreeMap<u64, Connection>, client: IpAddr, now: Instant) -> Admission {
    let from_client = open.values().filter(|other| other.client == client).count();
    let is_greedy = from_client >= MAX_PER_CLIENT;
    if !is_greedy && open.len() < MAX_CONNECTIONS {
        return Admission::Free;
    }

    // A scan of a few hundred connections costs less than an order that every query would update.
    let longest_silent = open
        .iter()
        .filter(|(number, other)| {
            !is_greedy || (other.client == client && other.is_idle(**number, now))
        })
        .min_by_key(|(_, other)| other.last_active.load(Ordering::Relaxed));
    let Some((&number, connection)) = longest_silent else {
        return Admission::Refused;
    };
    // Its task ends later; the place is free at once.
    connection.close.cancel();
    open.remove(&number);
    Admission::Evicted
}

impl Connection {
    /// True if it has asked, or has had the time to.
    fn is_idle(&self, number: u64, now: Instant) -> bool {
        let has_asked = self.last_active.load(Ordering::Relaxed) != number;

        has_asked || now.duration_since(self.opened) >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u16) -> IpAddr {
        let [high, low] = last.to_be_bytes();
        [10, 0, high, low].into()
    }

    fn open(connections: &Connections, last: u16) -> Slot {
        connections.open(address(last)).expect("a place")
    }

    fn closed(slots: &[Slot]) -> Vec<usize> {
        (0..slots.len())
            .filter(|i| slots[*i].close.is_cancelled())
            .collect()
    }

    #[test]
    fn above_the_limit_of_a_client_its_longest_silent_connection_is_closed() {
        let connections = Connections::default();
        let other = open(&connections, 2);
        let slots: Vec<_> = (0..MAX_PER_CLIENT).map(|_| open(&connections, 1)).collect();
        slots[1].touch();
        slots[0].touch();
        let new = open(&connections, 1);
        assert!(new.evicted && !other.close.is_cancelled());
        assert_eq!(closed(&slots), [1], "the first has sent a query since");
        assert_eq!(connections.lock().len(), MAX_PER_CLIENT + 1);
    }

    #[test]
    fn above_the_limit_of_all_the_longest_silent_connection_of_any_client_is_closed() {
        let connections = Connections::default();
        let slots: Vec<_> = (0..MAX_CONNECTIONS)
            .map(|i| open(&connections, i as u16))
            .collect();
        slots[0].touch();
        let newer: Vec<_> = (0..2).map(|_| open(&connections, 1)).collect();
        assert_eq!((closed(&slots), closed(&newer)), (vec![1, 2], vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_closes_none_that_had_no_time_to_ask() {
        let connections = Connections::default();
        let slots: Vec<_> = (0..MAX_PER_CLIENT).map(|_| open(&connections, 1)).collect();
        assert!(connections.open(address(1)).is_none());
        assert_eq!(closed(&slots), [0; 0]);

        slots[7].touch();
        let in_its_place = open(&connections, 1);
        assert!(in_its_place.evicted);
        assert_eq!(closed(&slots), [7], "the only one that has asked");

        tokio::time::advance(PATIENCE).await;
        assert!(open(&connections, 1).evicted);
        assert_eq!(closed(&slots), [0, 7]);
    }

    #[test]
    fn a_closed_connection_makes_room() {
        let connections = Connections::default();
        let mut slots: Vec<_> = (0..MAX_PER_CLIENT).map(|_| open(&connections, 1)).collect();
        slots.pop();
        assert!(!open(&connections, 1).evicted);
        drop(slots);
        assert!(connections.lock().is_empty());
    }
}
