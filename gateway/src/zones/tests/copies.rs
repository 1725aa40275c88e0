//! Copies that the disk refuses.

use std::fs;

use ringway_config::{Config, rule};

use super::*;

/// A gateway's replication whose copies cannot be written: a file lies in the way.
struct Refused {
    store: Store,
    copies: FragmentStore,
    scratch: Scratch,
}

impl Refused {
    fn new() -> Refused {
        let scratch = Scratch::new();
        fs::create_dir_all(&scratch.0).unwrap();
        fs::write(scratch.0.join("zones"), b"").unwrap();

        let copies = FragmentStore::existing(&scratch.0.join("zones"));
        Refused {
            store: Store::new(Arc::new(copies.clone())),
            copies,
            scratch,
        }
    }

    fn put(&self, gateway: &str, records: &str) {
        let zone = fragment(gateway, records);
        let bytes = zone.encode();
        let held = Held {
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
            zone: Arc::new(zone),
            received: SystemTime::now(),
            keys: Vec::new(),
            is_expired: false,
            services: None,
        };
        self.store.put(id(gateway), &held);
    }

    fn make_room(&self) {
        fs::remove_file(self.scratch.0.join("zones")).unwrap();
    }

    fn stored(&self, gateway: &str) -> Option<usize> {
        let id = id(gateway);
        let stored = self.copies.load(&id, &apex(id.org.as_str())).unwrap();
        stored.map(|stored| stored.zone.records())
    }
}

#[test]
fn copies_that_the_disk_refused_are_written_when_it_has_room() {
    let refused = Refused::new();
    refused.put("gw.org1", "host A 10.0.0.1");
    refused.put("gw.org2", "host A 10.0.0.1");
    refused.store.run().unwrap_err();
    refused.put("gw.org1", "host A 10.0.0.1\nmore A 10.0.0.2");
    refused.store.run().unwrap_err();

    refused.make_room();
    refused.store.run().unwrap();
    let both = [refused.stored("gw.org1"), refused.stored("gw.org2")];
    assert_eq!(both, [Some(4), Some(3)], "the latest of each");

    // Nothing waits any more: what is deleted now stays deleted.
    refused.copies.remove(&id("gw.org1")).unwrap();
    refused.store.run().unwrap();
    assert_eq!(refused.stored("gw.org1"), None);
}

#[test]
fn what_is_no_longer_held_is_not_written_when_the_disk_has_room() {
    let refused = Refused::new();
    refused.put("gw.org1", "host A 10.0.0.1");
    refused.put("gw.org2", "host A 10.0.0.1");
    refused.store.run().unwrap_err();

    refused.store.retain(|gateway| *gateway != id("gw.org1"));
    refused.make_room();
    refused.store.run().unwrap();
    assert_eq!(refused.stored("gw.org1"), None);
    assert_eq!(refused.stored("gw.org2"), Some(3));
}

#[test]
fn a_copy_that_waits_for_the_disk_is_dropped_with_what_it_is_a_copy_of() {
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples");
    let config = Config::load(&std::path::Path::new(files).join("gateway.toml")).unwrap();
    let rulings = rule(&config, &[], &BTreeSet::new());
    let membership = ringway_shell::membership(&config, &rulings);
    let scratch = Scratch::new();
    let now = Moment::now();
    let own = fragment("gw.acme", "host A 10.1.0.1");
    let mut replicator = Replicator::start("gw.acme", &scratch.0, &Consortium::new(), own, now);
    let fragment = replicator.own.zone();
    _ = replicator.adopt(&config, &membership, Some(&fragment), now);

    let held = Held {
        zone: fragment.clone(),
        digest: Digest::of(b"version"),
        size: 0,
        received: std::time::SystemTime::now(),
        keys: Vec::new(),
        is_expired: false,
        services: None,
    };
    let beta = replicator.orgs.get_mut(&"beta".parse().unwrap()).unwrap();
    beta.held.insert("gw".parse().unwrap(), held.clone());
    // A copy of a fragment that is held; one of a member that has none; one of a former member.
    let (kept, lost, former) = (id("gw.beta"), id("office.acme"), id("gw.gamma"));
    for gateway in [&kept, &lost, &former] {
        replicator.store.put(gateway.clone(), &held);
    }

    _ = replicator.adopt(&config, &membership, Some(&fragment), now);
    let waits = [&kept, &lost, &former].map(|gateway| replicator.store.has_waiting(gateway));
    assert_eq!(waits, [true, false, false]);
}
