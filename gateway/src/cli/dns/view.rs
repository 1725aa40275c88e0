//! [`View`]: the zones in a gateway's files, and where each comes from. Changes nothing.

use std::fmt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use ringway_config::{Config, Digest, Faults, Place, Prefix, ZoneName};
use ringway_dns::explain::ResponseRecord;
use ringway_dns::{Name, ReplicaStore, SerialStore, Sources, Zone, ZoneSet, Zones};
use ringway_identity::certificate::rfc3339;
use rustls_pki_types::UnixTime;

use crate::cli::Failure;
use crate::names::{others, own_apex};

/// The zones that answers come from.
pub(super) struct View {
    /// A description of the source, for people.
    pub(super) about: String,
    /// Our zone first.
    pub(super) zones: Vec<Seen>,
    /// Each organization's zone and prefixes, for reverse names.
    owners: Vec<(ZoneName, Vec<Prefix>)>,
}

/// One zone.
pub(super) struct Seen {
    pub(super) apex: Name,
    pub(super) origin: Origin,
    /// `None` if there is no usable copy.
    pub(super) zone: Option<Zone>,
}

/// Where a zone comes from.
pub(super) enum Origin {
    /// Files of this host.
    Written(Sources),
    /// The last good copy of a member's zone.
    Copy(SystemTime),
    /// A copy that cannot be used, and the reason.
    Unusable(String),
    /// The zone of a member from which none was received.
    Never,
}

impl View {
    /// The zones of the gateway whose file is `path`.
    pub(super) fn of_gateway(path: &Path) -> Result<View, Failure> {
        let config = Config::load(path)?;
        let (own, sources) = Zone::with_sources(&config).map_err(Faults::from)?;

        // The serial that `run` would publish the zone with; nothing is written.
        let path = config.state_dir.join("serial");
        let serials =
            SerialStore::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let serial = serials.next_for(Digest::of(&own.encode()), SystemTime::now());
        let own = Seen {
            apex: Name::from(&own_apex(&config)),
            origin: Origin::Written(sources),
            zone: Some(own.with_serial(serial)),
        };

        // `existing` creates no directory: this verb may run as another user than the daemon.
        let store = ReplicaStore::existing(&config.state_dir.join("zones"));
        let mut zones = vec![own];
        for apex in others(&config) {
            zones.push(Seen::copy(&store, &apex));
        }
        Ok(View {
            about: format!(
                "gateway {}, from its files; a running one was not asked",
                config.id
            ),
            zones,
            owners: owners(&config),
        })
    }

    /// The zone of a zone file.
    pub(super) fn of_file(path: &Path, apex: Option<&ZoneName>) -> Result<View, Failure> {
        let origin = apex.map(Name::from);
        let (zone, sources) = Zone::from_file(path, origin.as_ref()).map_err(Faults::from)?;
        let seen = Seen {
            apex: *zone.apex(),
            origin: Origin::Written(sources),
            zone: Some(zone),
        };
        Ok(View {
            about: format!("zone file {}", path.display()),
            zones: vec![seen],
            owners: Vec::new(),
        })
    }

    /// The zones as a server has them.
    pub(super) fn set(&self) -> ZoneSet {
        let zones = Zones::new();
        let names: Vec<ZoneName> = self
            .zones
            .iter()
            .filter_map(|seen| seen.apex.to_string().parse().ok())
            .collect();
        if let Some((own, members)) = names.split_first() {
            zones.set_expected(own, members);
        }
        zones.set_reverse(self.owners.iter().cloned());

        for zone in self.zones.iter().filter_map(|seen| seen.zone.clone()) {
            // Cannot be refused: every zone was set as expected, and none was published before.
            _ = zones.publish_own(zone, UNIX_EPOCH);
        }
        ZoneSet::clone(&zones.load())
    }

    /// The place or the zone that the record comes from.
    pub(super) fn source(&self, record: &ResponseRecord) -> String {
        let holding = self
            .zones
            .iter()
            .filter(|seen| record.owner.is_within(&seen.apex));
        // The longest apex is the deepest zone.
        let Some(seen) = holding.max_by_key(|seen| seen.apex.as_wire().len()) else {
            return "derived from addresses".into();
        };

        match seen.origin.place(record) {
            Some(place) => place.to_string(),
            None => seen.origin.to_string(),
        }
    }
}

/// Each organization's zone and prefixes. Prefixes in conflict are included, which a running
/// gateway leaves out.
fn owners(config: &Config) -> Vec<(ZoneName, Vec<Prefix>)> {
    let mut owners = Vec::new();
    for record in config.records() {
        let placed = record.sites.iter().flat_map(|site| &site.prefixes);
        let prefixes = placed.map(|placed| placed.prefix).collect();
        owners.push((config.own.domain.zone_of(&record.org), prefixes));
    }
    owners
}

impl Seen {
    fn copy(copies: &ReplicaStore, apex: &ZoneName) -> Seen {
        let (zone, origin) = match copies.load(apex) {
            Ok(Some(stored)) => (Some(stored.zone), Origin::Copy(stored.received)),
            Ok(None) => (None, Origin::Never),
            Err(error) => (None, Origin::Unusable(format!("{error}: {}", error.reason))),
        };
        Seen {
            apex: apex.into(),
            origin,
            zone,
        }
    }
}

impl Origin {
    fn place(&self, record: &ResponseRecord) -> Option<&Place> {
        match self {
            Origin::Written(sources) => sources.place(&record.owner, record.kind, &record.data),
            _ => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Written(_) => f.write_str("made by ringway"),
            Origin::Copy(received) => {
                let since = received.duration_since(UNIX_EPOCH).unwrap_or_default();
                write!(
                    f,
                    "copy received {}",
                    rfc3339(UnixTime::since_unix_epoch(since))
                )
            }
            Origin::Unusable(reason) => f.write_str(reason),
            Origin::Never => f.write_str("never received"),
        }
    }
}
