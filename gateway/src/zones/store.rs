//! [`Store`]: writes copies of fragments to disk for the next start. If the disk is full, a copy
//! waits until it can be written, is replaced by a later version, or is dropped.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringway_config::GatewayId;
use ringway_dns::{FragmentStore, Stored, Zone};

use super::organization::Held;

/// The consequence, in the finding, when a copy cannot be stored.
pub const LOSS: &str = "names of members are not stored, so that a restart forgets them";

/// Writes the waiting copies. Clones share them.
#[derive(Debug, Clone)]
pub struct Store {
    copies: Arc<FragmentStore>,
    waiting: Arc<Waiting>,
}

/// At most one version of each gateway's fragment.
#[derive(Debug, Default)]
struct Waiting {
    fragments: Mutex<BTreeMap<GatewayId, Arc<Held>>>,
    /// Locked while copies are written, so that each path has one writer at a time.
    writing: Mutex<()>,
}

impl Store {
    pub(super) fn new(copies: Arc<FragmentStore>) -> Store {
        Store {
            copies,
            waiting: Arc::default(),
        }
    }

    /// Queues this version, in place of an earlier one.
    pub(super) fn put(&self, gateway: GatewayId, held: &Held) {
        self.waiting().insert(gateway, Arc::new(held.clone()));
    }

    /// Drops the waiting copies for which `is_held` is false.
    pub(super) fn retain(&self, is_held: impl Fn(&GatewayId) -> bool) {
        self.waiting().retain(|gateway, _| is_held(gateway));
    }

    /// True if a copy for `gateway` waits.
    #[cfg(test)]
    pub(super) fn has_waiting(&self, gateway: &GatewayId) -> bool {
        self.waiting().contains_key(gateway)
    }

    /// Writes the waiting copies. Retry after an error: the fragments are served all the same.
    /// Blocks.
    pub fn run(&self) -> io::Result<()> {
        let writing = self.waiting.writing.lock();
        let _writing = writing.unwrap_or_else(PoisonError::into_inner);
        let waiting = self.waiting().clone();

        let mut result = Ok(());
        for (gateway, held) in waiting {
            match self.write(&gateway, &held) {
                Ok(()) => {}
                // The others would fail as well.
                Err(error) if is_full(&error) => return Err(error),
                Err(error) => result = Err(error),
            }
        }
        result
    }

    fn write(&self, gateway: &GatewayId, held: &Arc<Held>) -> io::Result<()> {
        let stored = Stored {
            zone: Zone::clone(&held.zone),
            received: held.received,
            keys: held.keys.clone(),
        };
        self.copies.save(gateway, &stored)?;

        let mut waiting = self.waiting();
        match waiting.get(gateway) {
            Some(latest) if Arc::ptr_eq(latest, held) => _ = waiting.remove(gateway),
            // A later version was queued meanwhile; it is written by its own run.
            Some(_) => {}
            // It was dropped while it was written.
            None => self.copies.remove(gateway)?,
        }
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<GatewayId, Arc<Held>>> {
        let fragments = self.waiting.fragments.lock();
        fragments.unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem
    )
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use ringway_config::Digest;
    use ringway_dns::Name;

    use super::*;

    fn held() -> Held {
        let apex = Name::from_text("org1.example.test").unwrap();
        let text = "$TTL 5\n@ SOA gw h 0 60 10 600 5\n@ NS gw\n";
        Held {
            zone: Arc::new(Zone::from_text(text, Some(&apex)).unwrap()),
            digest: Digest::of(b"version"),
            size: 0,
            received: SystemTime::now(),
            keys: Vec::new(),
            is_expired: false,
            services: None,
        }
    }

    #[test]
    fn what_changes_while_a_copy_is_written_counts_in_the_end() {
        let dir = std::env::temp_dir().join(format!("ringway-store-{}", std::process::id()));
        let copies = FragmentStore::open(&dir).unwrap();
        let store = Store::new(Arc::new(copies.clone()));
        let gateway: GatewayId = "gw.org1".parse().unwrap();
        let apex = "org1.example.test".parse().unwrap();
        let put = || {
            store.put(gateway.clone(), &held());
            store.waiting()[&gateway].clone()
        };

        // A later version is written by its own run.
        let first = put();
        let second = put();
        store.write(&gateway, &first).unwrap();
        assert!(Arc::ptr_eq(&store.waiting()[&gateway], &second));

        // A version that is dropped meanwhile leaves no copy.
        store.retain(|_| false);
        store.write(&gateway, &second).unwrap();
        let stored = copies.load(&gateway, &apex).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(stored.is_none());
    }
}
