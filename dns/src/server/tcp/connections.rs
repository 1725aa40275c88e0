//! [`Connections`]: who is connected, and who has to leave when there are too many.
//!
//! Nobody is refused for being new: above a cap, the connection that was silent for longest makes room.
//! Above an asker's own cap it is one of that asker's, so nobody's crowd reaches the others before the cap
//! of all is reached; and even then whoever asks outlasts whoever only holds on.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Open connections in all, and from one address. A process may have 1024 descriptors by default.
pub(super) const MAX_CONNECTIONS: usize = 512;
pub(super) const MAX_PER_ASKER: usize = 32;

/// Everybody who is connected.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct Connections(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// By the order in which they came.
    open: Mutex<BTreeMap<u64, Open>>,
    /// Counts connections and questions: who has the lower number was heard earlier. No clock is read.
    turn: AtomicU64,
}

#[derive(Debug)]
struct Open {
    asker: IpAddr,
    heard: Arc<AtomicU64>,
    leave: CancellationToken,
}

/// One open connection; dropping it makes room.
#[derive(Debug)]
pub(super) struct Place {
    connections: Connections,
    number: u64,
    heard: Arc<AtomicU64>,
    pub(super) asker: IpAddr,
    /// Cancelled when it has to go.
    pub(super) leave: CancellationToken,
}

impl Connections {
    /// A place for `asker`; true if another connection has to leave for it.
    pub(super) fn enter(&self, asker: IpAddr) -> (Place, bool) {
        let number = self.next_turn();
        let heard = Arc::new(AtomicU64::new(number));
        let leave = CancellationToken::new();
        let mut open = self.lock();
        let crowded = make_room(&mut open, asker);
        open.insert(
            number,
            Open {
                asker,
                heard: heard.clone(),
                leave: leave.clone(),
            },
        );
        (
            Place {
                connections: self.clone(),
                number,
                heard,
                asker,
                leave,
            },
            crowded,
        )
    }

    fn next_turn(&self) -> u64 {
        self.0.turn.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Open>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// It has asked something: others are silent for longer now.
    pub(super) fn hear(&self) {
        self.heard
            .store(self.connections.next_turn(), Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.number);
    }
}

/// Sends the longest silent connection away if `asker`'s next would exceed a cap. With a few hundred
/// connections a scan is cheaper than an order that every question would have to keep.
fn make_room(open: &mut BTreeMap<u64, Open>, asker: IpAddr) -> bool {
    let mine = open.values().filter(|other| other.asker == asker).count();
    if mine < MAX_PER_ASKER && open.len() < MAX_CONNECTIONS {
        return false;
    }
    let concerned = open
        .iter()
        .filter(|(_, other)| mine < MAX_PER_ASKER || other.asker == asker);
    let silent = concerned.min_by_key(|(_, other)| other.heard.load(Ordering::Relaxed));
    let Some(number) = silent.map(|(number, _)| *number) else {
        return false;
    };
    if let Some(other) = open.remove(&number) {
        other.leave.cancel();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u16) -> IpAddr {
        let [high, low] = last.to_be_bytes();
        [10, 0, high, low].into()
    }

    fn gone(places: &[Place]) -> Vec<usize> {
        (0..places.len())
            .filter(|i| places[*i].leave.is_cancelled())
            .collect()
    }

    #[test]
    fn above_an_askers_cap_its_own_longest_silent_connection_leaves() {
        let connections = Connections::default();
        let (other, _) = connections.enter(address(2));
        let places: Vec<_> = (0..MAX_PER_ASKER)
            .map(|_| connections.enter(address(1)).0)
            .collect();
        places[0].hear();
        let (_new, crowded) = connections.enter(address(1));
        assert!(crowded && !other.leave.is_cancelled());
        assert_eq!(gone(&places), [1], "the first has asked since");
        assert_eq!(connections.lock().len(), MAX_PER_ASKER + 1);
    }

    #[test]
    fn above_the_cap_of_all_the_longest_silent_connection_leaves_whosever_it_is() {
        let connections = Connections::default();
        let places: Vec<_> = (0..MAX_CONNECTIONS)
            .map(|i| connections.enter(address(i as u16)).0)
            .collect();
        places[0].hear();
        let newer: Vec<_> = (0..2).map(|_| connections.enter(address(1)).0).collect();
        assert_eq!((gone(&places), gone(&newer)), (vec![1, 2], vec![]));
    }

    #[test]
    fn a_closed_connection_makes_room() {
        let connections = Connections::default();
        let mut places: Vec<_> = (0..MAX_PER_ASKER)
            .map(|_| connections.enter(address(1)).0)
            .collect();
        places.pop();
        assert!(!connections.enter(address(1)).1);
        drop(places);
        assert!(connections.lock().is_empty());
    }
}
