//! The private DNS of this gateway: which zones are served, to which clients, and where they are
//! stored. Answers are `ringway-dns`'s; how zones travel between gateways is [`crate::zones`]'.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use ringway_config::{Config, Digest, Fault, Faults, OrgId, Place, Prefix, ZoneName};
use ringway_core::Membership;
use ringway_dns::{
    Acl, Forwarder, OwnZoneError, QueryLog, Reach, ReplicaStore, SerialStore, Zone, Zones,
};

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
pub struct ZoneSerials(Arc<Mutex<SerialStore>>);

impl ZoneSerials {
    /// `zone` with the serial that its content has, ready to be published. Changes nothing that is
    /// served. `config` is where the zone comes from. Blocks; a large zone takes some 100 ms.
    pub fn number(&self, zone: Zone, config: &Config) -> Result<Zone, Faults> {
        let digest = Digest::of(&zone.encode());
        let mut serials = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let serial = serials
            .serial_for(digest, SystemTime::now())
            .map_err(|error| {
                let message = OwnZoneError::from(error).to_string();
                Faults::from(vec![Fault {
                    place: Place::whole(&config.state_dir),
                    message,
                }])
            })?;

        let zone = zone.with_serial(serial);
        // Here, on a thread that may block: the loop publishes the zone.
        zone.derive_pointers();
        Ok(zone)
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
    /// Publishes our zone and the last good copies of the other organizations' zones. Blocks.
    pub fn open(config: &Config, membership: &Membership, own: Zone) -> anyhow::Result<Names> {
        let dir = &config.state_dir;
        let copies = ReplicaStore::open(&dir.join("zones")).with_context(|| cannot_use(dir))?;
        let serials = SerialStore::open(&dir.join("serial")).with_context(|| cannot_use(dir))?;

        let names = Names {
            zones: Arc::new(Zones::new()),
            acl: Arc::default(),
            copies: Arc::new(copies),
            forwarder: Arc::default(),
            query_log: Arc::default(),
            serials: ZoneSerials(Arc::new(Mutex::new(serials))),
        };

        let own = names
            .serials
            .number(own, config)
            .map_err(|faults| anyhow::anyhow!("{faults}"))?;
        names.publish(config, membership, own);
        // Members may have been removed while no daemon was running.
        names.removal(config).run();
        for apex in others(config) {
            names.restore(&apex);
        }
        Ok(names)
    }

    /// Serves `own` and the members' zones, to clients in this site and in the members' sites.
    pub fn publish(&self, config: &Config, membership: &Membership, own: Zone) {
        self.zones.set_expected(&own_apex(config), &others(config));
        self.zones.set_reverse(owners(config, membership));
        // Fails only for a zone that is not expected, and `set_expected` has just named this one.
        let _ = self.zones.publish_own(own, SystemTime::now());

        // Prefixes in conflict are left out: their addresses could be another organization's.
        let acl = Acl::new(membership.authorized.values().flatten().copied())
            .with_site(membership.local_prefixes().iter().copied());
        self.acl.store(Arc::new(acl));
        self.forwarder.set(&config.own.domain, &config.dns.forward);
        self.query_log.set(config.dns.query_log);
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

fn cannot_use(dir: &Path) -> String {
    format!("cannot use {}", dir.display())
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
