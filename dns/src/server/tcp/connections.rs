//! [`Connections`]: the open TCP connections, and which of them is closed when there are too many.
//!
//! A new connection is never refused: above a limit, the connection that has been silent for
//! longest is closed for it. Above the limit of one client it is one of that client's connections,
//! so a client with many connections does not displace others before the limit of all clients is
//! reached; and then connections in use outlast idle ones.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Open connections in all. By default a process may have 1024 descriptors.
const MAX_CONNECTIONS: usize = 512;
/// Open connections from one address.
const MAX_PER_CLIENT: usize = 32;

/// All open connections. Clones share them.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct Connections(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// By number, which is the tick at which they were opened.
    open: Mutex<BTreeMap<u64, Connection>>,
    /// A logical clock that advances with every connection and query. No real clock is read.
    tick: AtomicU64,
}

#[derive(Debug)]
struct Connection {
    client: IpAddr,
    last_active: Arc<AtomicU64>,
    close: CancellationToken,
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
    pub(super) fn open(&self, client: IpAddr) -> Slot {
        let number = self.next_tick();
        let last_active = Arc::new(AtomicU64::new(number));
        let close = CancellationToken::new();

        let mut open = self.lock();
        let evicted = make_room(&mut open, client);
        let connection = Connection {
            client,
            last_active: last_active.clone(),
            close: close.clone(),
        };
        open.insert(number, connection);

        Slot {
            connections: self.clone(),
            number,
            last_active,
            close,
            evicted,
        }
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
/// a limit; true if one was closed.
fn make_room(open: &mut BTreeMap<u64, Connection>, client: IpAddr) -> bool {
    let from_client = open.values().filter(|other| other.client == client).count();
    if from_client < MAX_PER_CLIENT && open.len() < MAX_CONNECTIONS {
        return false;
    }

    // A scan of a few hundred connections costs less than an order that every query would update.
    let longest_silent = open
        .iter()
        .filter(|(_, other)| from_client < MAX_PER_CLIENT || other.client == client)
        .min_by_key(|(_, other)| other.last_active.load(Ordering::Relaxed));
    let Some((&number, connection)) = longest_silent else {
        return false;
    };
    // Its task ends later; the place is free at once.
    connection.close.cancel();
    open.remove(&number);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u16) -> IpAddr {
        let [high, low] = last.to_be_bytes();
        [10, 0, high, low].into()
    }

    fn closed(slots: &[Slot]) -> Vec<usize> {
        (0..slots.len())
            .filter(|i| slots[*i].close.is_cancelled())
            .collect()
    }

    #[test]
    fn above_the_limit_of_a_client_its_longest_silent_connection_is_closed() {
        let connections = Connections::default();
        let other = connections.open(address(2));
        let slots: Vec<_> = (0..MAX_PER_CLIENT)
            .map(|_| connections.open(address(1)))
            .collect();
        slots[0].touch();
        let new = connections.open(address(1));
        assert!(new.evicted && !other.close.is_cancelled());
        assert_eq!(closed(&slots), [1], "the first has sent a query since");
        assert_eq!(connections.lock().len(), MAX_PER_CLIENT + 1);
    }

    #[test]
    fn above_the_limit_of_all_the_longest_silent_connection_of_any_client_is_closed() {
        let connections = Connections::default();
        let slots: Vec<_> = (0..MAX_CONNECTIONS)
            .map(|i| connections.open(address(i as u16)))
            .collect();
        slots[0].touch();
        let newer: Vec<_> = (0..2).map(|_| connections.open(address(1))).collect();
        assert_eq!((closed(&slots), closed(&newer)), (vec![1, 2], vec![]));
    }

    #[test]
    fn a_closed_connection_makes_room() {
        let connections = Connections::default();
        let mut slots: Vec<_> = (0..MAX_PER_CLIENT)
            .map(|_| connections.open(address(1)))
            .collect();
        slots.pop();
        assert!(!connections.open(address(1)).evicted);
        drop(slots);
        assert!(connections.lock().is_empty());
    }
}
