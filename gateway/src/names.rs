//! The private DNS of this gateway: which zones are served, to whom, and where they are remembered.
//! Answers are [`ringway_dns`]'s; how zones travel between gateways is [`crate::zones`]'.

mod hold_down;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use ringway_config::{Config, Fault, Faults, OrgId, Place, Prefix, ZoneName};
use ringway_core::{Fib, Membership};
use ringway_dns::{
    Acl, Forwarder, OwnZoneError, QueryLog, Reach, ReplicaStore, SerialStore, Zone, Zones,
};

use hold_down::HoldDown;

/// Everything the server answers from.
pub struct Names {
    /// The published zones.
    pub zones: Arc<Zones>,
    /// Who is answered.
    pub acl: Arc<ArcSwap<Acl>>,
    /// Last good copies of the others' zones.
    pub copies: Arc<ReplicaStore>,
    /// Asks others for names outside the consortium.
    pub forwarder: Arc<Forwarder>,
    /// Logs a sample of the questions.
    pub query_log: Arc<QueryLog>,
    /// Makes the own zone.
    pub own: OwnZone,
    hold_down: HoldDown,
}

/// Makes the own zone from a configuration, and remembers its serials. Clones share them: a reload makes its zone
/// apart from the loop.
#[derive(Clone)]
pub struct OwnZone(Arc<Mutex<SerialStore>>);

impl OwnZone {
    /// The own zone that `config` describes, with its serial, all ready to be published; changes nothing that is
    /// served. A large zone takes some 100 ms.
    pub fn build(&self, config: &Config) -> Result<Zone, Faults> {
        let mut serials = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let zone = Zone::own(config, &mut serials, SystemTime::now());
        zone.inspect(Zone::derive_pointers)
            .map_err(|error| match error {
                OwnZoneError::Faults(faults) => faults.into(),
                error @ OwnZoneError::Serial(_) => Faults::from(vec![Fault {
                    place: Place::whole(&config.state_dir),
                    message: error.to_string(),
                }]),
            })
    }
}

impl Names {
    /// Publishes the own zone and the last good copies of the others'.
    pub fn open(config: &Config, membership: &Membership) -> anyhow::Result<Names> {
        let copies = ReplicaStore::open(&config.state_dir.join("zones"))
            .with_context(|| format!("cannot use {}", config.state_dir.display()))?;
        let serials = SerialStore::open(&config.state_dir.join("serial"))
            .with_context(|| format!("cannot use {}", config.state_dir.display()))?;
        let zones = Arc::new(Zones::new());
        let own = OwnZone(Arc::new(Mutex::new(serials)));
        let (acl, forwarder, query_log) = (Arc::default(), Arc::default(), Arc::default());
        let names = Names {
            zones,
            acl,
            copies: Arc::new(copies),
            forwarder,
            query_log,
            own,
            hold_down: HoldDown::default(),
        };
        let own = names
            .own
            .build(config)
            .map_err(|faults| anyhow::anyhow!("{faults}"))?;
        names.publish(config, membership, own);
        for apex in others(config) {
            names.restore(&apex);
        }
        Ok(names)
    }

    /// Serves `own` and the members' zones, to this site and the members' sites.
    pub fn publish(&self, config: &Config, membership: &Membership, own: Zone) {
        let others = others(config);
        self.zones.set_expected(&own_apex(config), &others);
        self.zones.set_reverse(owners(config, membership));
        // It fails for a zone that nobody expects; this one is expected since a line ago.
        let _ = self.zones.publish_own(own, SystemTime::now());
        let acl = Acl::new(membership.authorized.values().flatten().copied());
        self.acl.store(Arc::new(
            acl.with_site(membership.local_prefixes().iter().copied()),
        ));
        self.forwarder.set(&config.own.domain, &config.dns.forward);
        self.query_log.set(config.dns.query_log);
        if let Err(error) = self.copies.retain(&others) {
            tracing::warn!(%error, "Old copies of zones could not be removed");
        }
    }

    /// Names with several addresses are answered with those that can be reached: behind a route that stays, or
    /// here.
    pub fn reach(&mut self, membership: &Membership, fib: &Fib, now: Instant) {
        let is_own = |prefix: &Prefix| membership.local_prefixes().contains(prefix);
        let remote: BTreeSet<Prefix> = membership
            .authorized
            .values()
            .flatten()
            .copied()
            .filter(|prefix| !is_own(prefix))
            .collect();
        let routed = remote
            .iter()
            .copied()
            .filter(|prefix| fib.routes.contains_key(prefix))
            .collect();
        self.hold_down.retain(|prefix| remote.contains(prefix));
        let unreachable = &remote - &self.hold_down.update(routed, now);
        let reach = Reach::new(membership.local_prefixes().iter().copied(), unreachable);
        self.zones.set_reach(Arc::new(reach));
    }

    /// True if [`Names::reach`] would say something else than the last time although no route has changed.
    pub fn is_reach_due(&self, now: Instant) -> bool {
        self.hold_down.is_due(now)
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

/// The own zone's name.
pub fn own_apex(config: &Config) -> ZoneName {
    config.own.domain.zone_of(&config.own.org)
}

/// Whose addresses are whose: each organization's zone, and its prefixes that are not in conflict.
fn owners(config: &Config, membership: &Membership) -> Vec<(ZoneName, Vec<Prefix>)> {
    let prefixes = |org: &OrgId| {
        let sites = membership
            .authorized
            .iter()
            .filter(|((owner, _), _)| owner == org);
        sites
            .flat_map(|(_, prefixes)| prefixes.iter().copied())
            .collect()
    };
    config
        .records()
        .map(|record| {
            (
                config.own.domain.zone_of(&record.org),
                prefixes(&record.org),
            )
        })
        .collect()
}

/// The other members' zones' names.
pub fn others(config: &Config) -> Vec<ZoneName> {
    config
        .members
        .iter()
        .map(|member| config.own.domain.zone_of(&member.org))
        .collect()
}
