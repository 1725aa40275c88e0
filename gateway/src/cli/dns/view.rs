//! [`View`]: the zones as the files of a gateway have them, and where each comes from. Changes nothing.

use std::fmt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use ringway_config::{Config, Digest, Faults, Member, Place, Prefix, ZoneName};
use ringway_dns::explain::ResponseRecord;
use ringway_dns::{Name, ReplicaStore, SerialStore, Sources, Zone, ZoneSet, Zones};
use rustls_pki_types::UnixTime;

use crate::cli::Failure;
use crate::identity::certificate::rfc3339;
use crate::names::{others, own_apex};

/// Every zone that answers are made from.
pub(super) struct View {
    /// What was looked at, for people.
    pub(super) about: String,
    /// The own zone first.
    pub(super) zones: Vec<Seen>,
    /// Whose addresses are whose, for reverse names.
    owners: Vec<(ZoneName, Vec<Prefix>)>,
}

/// One zone.
pub(super) struct Seen {
    pub(super) apex: Name,
    pub(super) origin: Origin,
    /// `None` if there is none to answer from.
    pub(super) zone: Option<Zone>,
}

/// Where a zone comes from.
pub(super) enum Origin {
    /// Files of this host.
    Written(Sources),
    /// The last good copy of a member's zone.
    Copy(SystemTime),
    /// A copy that cannot be used, and why.
    Unusable(String),
    /// Nobody sent it yet.
    Never,
}

impl View {
    /// The zones of the gateway of `path`.
    pub(super) fn of_gateway(path: &Path) -> Result<View, Failure> {
        let config = Config::load(path)?;
        let (own, sources) = Zone::with_sources(&config).map_err(Faults::from)?;
        let state = &config.state_dir;
        let serials = SerialStore::open(&state.join("serial"))
            .with_context(|| format!("cannot read {}", state.join("serial").display()))?;
        let serial = serials.next_for(Digest::of(&own.encode()), SystemTime::now());
        let own = Seen {
            apex: Name::from(&own_apex(&config)),
            origin: Origin::Written(sources),
            zone: Some(own.with_serial(serial)),
        };
        let copies = ReplicaStore::existing(&state.join("zones"));
        let copies = others(&config)
            .into_iter()
            .map(|apex| Seen::copy(&copies, &apex));
        let about = format!(
            "gateway {}, from its files; a running one was not asked",
            config.id
        );
        let zones = std::iter::once(own).chain(copies).collect();
        Ok(View {
            about,
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

    /// What a server answers from.
    pub(super) fn set(&self) -> ZoneSet {
        let zones = Zones::new();
        let name = |seen: &Seen| seen.apex.to_string().parse::<ZoneName>().ok();
        let names: Vec<ZoneName> = self.zones.iter().filter_map(name).collect();
        if let Some((own, members)) = names.split_first() {
            zones.set_expected(own, members);
        }
        zones.set_reverse(self.owners.iter().cloned());
        for zone in self.zones.iter().filter_map(|seen| seen.zone.clone()) {
            // All of them are expected since a line ago, and were never published.
            let _ = zones.publish_own(zone, UNIX_EPOCH);
        }
        ZoneSet::clone(&zones.load())
    }

    /// Where the record comes from.
    pub(super) fn source(&self, record: &ResponseRecord) -> String {
        let holding = self
            .zones
            .iter()
            .filter(|seen| record.owner.is_within(&seen.apex));
        let Some(seen) = holding.max_by_key(|seen| seen.apex.as_wire().len()) else {
            return "derived from addresses".into();
        };
        match seen.origin.place(record) {
            Some(place) => place.to_string(),
            None => seen.origin.to_string(),
        }
    }
}

/// Each organization's zone and prefixes. Those in conflict, which a running gateway leaves out, are here too.
fn owners(config: &Config) -> Vec<(ZoneName, Vec<Prefix>)> {
    let owner = |record: &Member| {
        let prefixes = record
            .sites
            .iter()
            .flat_map(|site| &site.prefixes)
            .map(|placed| placed.prefix);
        (config.own.domain.zone_of(&record.org), prefixes.collect())
    };
    config.records().map(owner).collect()
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
