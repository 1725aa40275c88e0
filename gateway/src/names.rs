//! The private DNS of this gateway: which zones are served, to which clients, and where they are
//! stored. Answers are `ringway-dns`'s; how zones travel between gateways is [`crate::zones`]'.

mod arrivals;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use ringway_config::{Config, Digest, OrgId, Prefix, ZoneName};
use ringway_core::Membership;
use ringway_dns::{
    Acl, Arrivals, Forwarder, QueryLog, Reach, ReplicaStore, SerialStore, Zone, Zones,
};
use ringway_intent::Links;

use crate::attention::Attention;
use crate::state::{REMEDY, chain};
use arrivals::arrivals;

/// Our zone's serial, as something that needs attention.
const SERIAL: &str = "state serial";

/// Everything the server answers from.
pub struct Names {
    /// The published zones.
    pub zones: Arc<Zones>,
    /// Which clients are answered.
    pub acl: Arc<ArcSwap<Acl>>,
    /// Last good copies of the others' zones.
    pub copies: Arc<ReplicaStore>,
    /// Asks resolvers for names outside the consortium.
    pub forwarder: Arc<Forwarder>,
    /// Logs a sample of the questions.
    pub query_log: Arc<QueryLog>,
    /// Numbers our zone.
    pub serials: ZoneSerials,
}

/// Gives our zone its serials, and remembers them. Clones share them: a reload does it off the
/// loop.
#[derive(Clone)]
pub struct ZoneSerials {
    store: Arc<Mutex<SerialStore>>,
    attention: Attention,
}

impl ZoneSerials {
    /// `zone` with the serial that its content has, ready to be published. Changes nothing that is
    /// served. Blocks; a large zone takes some 100 ms.
    pub fn number(&self, zone: Zone) -> Zone {
        let serial = self.serial(Digest::of(&zone.encode()));
        let zone = zone.with_serial(serial);

        // Here, on a thread that may block: the loop publishes the zone.
        zone.derive_pointers();
        zone
    }

    fn serial(&self, content: Digest) -> u32 {
        let now = SystemTime::now();
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);

        match store.serial_for(content, now) {
            Ok(serial) => {
                self.attention.clear(SERIAL);
                serial
            }
            Err(error) => {
                let what = format!("our zone's serial is not stored: {}", chain(&error));
                self.attention.raise(SERIAL, &what, REMEDY);
                store.unstored_serial_for(content, now)
            }
        }
    }
}

/// Removes the stored copies of zones that are no member's any more.
pub struct Removal {
    copies: Arc<ReplicaStore>,
    members: Vec<ZoneName>,
}

impl Removal {
    /// Deletes the files. Blocks.
    pub fn run(self) {
        if let Err(error) = self.copies.retain(&self.members) {
            tracing::warn!(%error, "Old copies of zones could not be removed");
        }
    }
}

impl Names {
    /// Publishes our zone and the last good copies of the other organizations' zones. What cannot
    /// be read or stored is reported to `attention`. Blocks.
    pub fn open(
        config: &Config,
        membership: &Membership,
        own: Zone,
        attention: &Attention,
    ) -> Names {
        let zones = config.state_dir.join("zones");
        let copies = ReplicaStore::open(&zones).unwrap_or_else(|error| {
            let what = format!("the members' zones are not stored: {}", chain(&error));
            attention.raise("state zones", &what, REMEDY);
            ReplicaStore::existing(&zones)
        });

        let serial = config.state_dir.join("serial");
        let serials = SerialStore::open(&serial).unwrap_or_else(|error| {
            let what = format!("our zone's serial cannot be read: {}", chain(&error));
            attention.raise(SERIAL, &what, REMEDY);
            SerialStore::unread(&serial)
        });

        let names = Names {
            zones: Arc::new(Zones::new()),
            // No query is answered until we know by which interfaces clients' packets come.
            acl: Arc::new(ArcSwap::from_pointee(
                Acl::default().arriving(Arrivals::default()),
            )),
            copies: Arc::new(copies),
            forwarder: Arc::default(),
            query_log: Arc::default(),
            serials: ZoneSerials {
                store: Arc::new(Mutex::new(serials)),
                attention: attention.clone(),
            },
        };

        let own = names.serials.number(own);
        names.publish(config, membership, own);
        // Members may have been removed while no daemon was running.
        names.removal(config).run();
        for apex in others(config) {
            names.restore(&apex);
        }
        names
    }

    /// Serves `own` and the members' zones, to clients in this site and in the members' sites.
    pub fn publish(&self, config: &Config, membership: &Membership, own: Zone) {
        self.zones.set_expected(&own_apex(config), &others(config));
        self.zones.set_reverse(owners(config, membership));
        // Fails only for a zone that is not expected, and `set_expected` has just named this one.
        let _ = self.zones.publish_own(own, SystemTime::now());

        // Prefixes in conflict are left out: their addresses could be another organization's.
        let arrivals = self.acl.load().arrivals().cloned().unwrap_or_default();
        let acl = Acl::new(membership.authorized.values().flatten().copied())
            .with_site(membership.local_prefixes().iter().copied())
            .arriving(arrivals);
        self.acl.store(Arc::new(acl));
        self.forwarder.set(&config.own.domain, &config.dns.forward);
        self.query_log.set(config.dns.query_log);
    }

    /// Clients are answered whose packets come by the interfaces of `links` that lead to them.
    pub fn set_arrivals(&self, config: &Config, links: &Links) {
        let arrivals = arrivals(config, links);
        let acl = self.acl.load();

        // Most changes of the host do not concern these interfaces.
        if acl.arrivals() != Some(&arrivals) {
            let acl = Acl::clone(&acl).arriving(arrivals);
            self.acl.store(Arc::new(acl));
        }
    }

    /// The removal of copies that `config` has no use for.
    pub fn removal(&self, config: &Config) -> Removal {
        Removal {
            copies: self.copies.clone(),
            members: others(config),
        }
    }

    /// Names with several addresses are answered with those that can be reached: all but the
    /// `unreachable` ones.
    pub fn set_reach(&self, own: Vec<Prefix>, unreachable: BTreeSet<Prefix>) {
        let reach = Reach::new(own, unreachable);

        self.zones.set_reach(Arc::new(reach));
    }

    fn restore(&self, apex: &ZoneName) {
        match self.copies.load(apex) {
            Ok(Some(stored)) => {
                let serial = stored.zone.serial();

                if self
                    .zones
                    .publish_replica(stored.zone, stored.received)
                    .is_ok()
                {
                    tracing::info!(zone = %apex, serial, "Zone restored from its last good copy");
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(zone = %apex, %error, reason = %error.reason, "Copy not used")
            }
        }
    }
}

/// The name of our zone.
pub fn own_apex(config: &Config) -> ZoneName {
    config.own.domain.zone_of(&config.own.org)
}

/// The names of the other members' zones.
pub fn others(config: &Config) -> Vec<ZoneName> {
    config
        .members
        .iter()
        .map(|member| config.own.domain.zone_of(&member.org))
        .collect()
}

/// Each organization's zone, and its prefixes that are not in conflict: names of addresses in them
/// are answered from that zone.
fn owners(config: &Config, membership: &Membership) -> Vec<(ZoneName, Vec<Prefix>)> {
    config
        .records()
        .map(|record| {
            let zone = config.own.domain.zone_of(&record.org);
            (zone, prefixes_of(membership, &record.org))
        })
        .collect()
}

fn prefixes_of(membership: &Membership, org: &OrgId) -> Vec<Prefix> {
    membership
        .authorized
        .iter()
        .filter(|((owner, _), _)| owner == org)
        .flat_map(|(_, prefixes)| prefixes.iter().copied())
        .collect()
}
