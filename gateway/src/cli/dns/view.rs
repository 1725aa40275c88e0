//! [`View`]: the zones in a gateway's files, with their sources. Read-only.

use std::fmt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use ringway_config::{ApexMode, Config, Digest, Faults, Member, Place, Prefix, ZoneName};
use ringway_dns::explain::ResponseRecord;
use ringway_dns::{LeftOut, Name, SerialStore, Sources, Zone, ZoneSet, Zones, stated_at};
use ringway_identity::certificate::rfc3339;
use rustls_pki_types::UnixTime;

use crate::cli::{Failure, only_at_gateways};
use crate::names::own_apex;
use crate::names::stored::stored;

/// The zones that answers are made from.
pub(super) struct View {
    /// A description of the source, for people.
    pub(super) about: String,
    /// Our zone first.
    pub(super) zones: Vec<Seen>,
    /// Each organization's zone and prefixes, for reverse names.
    owners: Vec<(ZoneName, Vec<Prefix>)>,
    /// The consortium's domain, with its zone unless its names are forwarded.
    domain: Option<(ZoneName, Option<Zone>)>,
    /// Names outside the consortium are forwarded.
    forwards: bool,
}

/// One zone.
pub(super) struct Seen {
    pub(super) apex: Name,
    pub(super) origin: Origin,
    /// `None` if there is no usable copy.
    pub(super) zone: Option<Zone>,
    /// What is left out of it.
    pub(super) left_out: Vec<LeftOut>,
}

/// The source of a zone.
pub(super) enum Origin {
    /// Files of this host.
    Written(Sources),
    /// The stored copy of a member's zone.
    Copy(SystemTime),
    /// A copy that cannot be used, and the reason.
    Unusable(String),
    /// Nothing was received from this member.
    Never,
}

impl View {
    /// The zones of the gateway whose file is `path`.
    pub(super) fn of_gateway(path: &Path) -> Result<View, Failure> {
        let config = Config::load(path)?;
        only_at_gateways(&config, "ringway dns")?;
        let (own, sources) = Zone::with_sources(&config).map_err(Faults::from)?;

        // Our own fragment, and stored copies of those of our other gateways.
        let whole = stored(&config, &config.own, Some(&own)).union;
        let (whole, left_out) = whole.map_or((own, Vec::new()), |it| (it.zone, it.left_out));
        let serial = config.state_dir.join("serial");
        let own = Seen {
            apex: Name::from(&own_apex(&config)),
            origin: Origin::Written(sources),
            zone: Some(numbered(whole, &serial)?),
            left_out,
        };

        let mut zones = vec![own];
        for member in &config.members {
            zones.push(Seen::copy(&config, member)?);
        }
        Ok(View {
            about: format!(
                "gateway {}, from its files; a running one was not asked",
                config.id
            ),
            zones,
            owners: owners(&config),
            domain: Some((config.own.domain.clone(), domain_zone(&config))),
            forwards: !config.dns.forward.is_empty(),
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
            left_out: Vec::new(),
        };
        Ok(View {
            about: format!("zone file {}", path.display()),
            zones: vec![seen],
            owners: Vec::new(),
            domain: None,
            forwards: false,
        })
    }

    /// The zones in the form for a server.
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
        let domain = self.domain.as_ref().and_then(|(_, zone)| zone.clone());
        zones.set_domain(domain);

        for zone in self.zones.iter().filter_map(|seen| seen.zone.clone()) {
            // Cannot fail: every zone was registered, and none was published before.
            _ = zones.publish(zone, UNIX_EPOCH);
        }
        ZoneSet::clone(&zones.load())
    }

    /// Why a query for `name` is refused.
    pub(super) fn refusal(&self, name: &Name) -> String {
        let Some((domain, _)) = &self.domain else {
            return "it is not in the zone of this file".to_owned();
        };
        let forwarded = if self.forwards {
            "a running gateway asks its resolvers ([[dns.forward]])"
        } else {
            "this gateway asks nobody ([[dns.forward]] is not set)"
        };

        if name.is_within(&Name::from(domain)) {
            return format!(
                "it is below {domain} and belongs to no member, and [dns] apex = \"forward\": \
                 {forwarded}"
            );
        }
        // A reverse name belongs to the owner of its prefix.
        if name.to_string().ends_with(".arpa") {
            return format!("no member's prefix holds the address: {forwarded}");
        }
        format!("it is not below {domain}, and no reverse name of a member: {forwarded}")
    }

    /// The source of the record: a place in a file, or a zone.
    pub(super) fn source(&self, record: &ResponseRecord) -> String {
        let holding = self
            .zones
            .iter()
            .filter(|seen| record.owner.is_within(&seen.apex));
        // The longest apex is the most specific zone.
        let Some(seen) = holding.max_by_key(|seen| seen.apex.as_wire().len()) else {
            return self
                .stated(record)
                .unwrap_or("derived from addresses".into());
        };

        match seen.origin.place(record) {
            Some(place) => place.to_string(),
            None => seen.origin.to_string(),
        }
    }

    /// The place where the name of an address is written.
    fn stated(&self, record: &ResponseRecord) -> Option<String> {
        self.zones.iter().find_map(|seen| {
            let owner = stated_at(&record.owner, &seen.apex)?;
            let Origin::Written(sources) = &seen.origin else {
                return None;
            };
            let place = sources.place(&owner, record.kind, &record.data)?;
            Some(place.to_string())
        })
    }
}

/// `zone` with the serial that `run` would publish; nothing is written.
fn numbered(zone: Zone, path: &Path) -> Result<Zone, Failure> {
    let serials =
        SerialStore::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let serial = serials.next_for(Digest::of(&zone.encode()), SystemTime::now());
    Ok(zone.with_serial(serial))
}

/// The zone of the consortium's domain, as a server has it.
fn domain_zone(config: &Config) -> Option<Zone> {
    match config.dns.apex {
        ApexMode::Closed => Zone::of_domain(config),
        ApexMode::Forward => None,
    }
}

/// Each organization's zone and prefixes, including prefixes in conflict, which a running gateway
/// leaves out.
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
    fn copy(config: &Config, member: &Member) -> Result<Seen, Failure> {
        let apex = config.own.domain.zone_of(&member.org);
        let stored = stored(config, member, None);
        let origin = match (stored.received, stored.faults.is_empty()) {
            (_, false) => Origin::Unusable(stored.faults.join("; ")),
            (Some(received), true) => Origin::Copy(received),
            (None, true) => Origin::Never,
        };

        let serial = config
            .state_dir
            .join("zones")
            .join(format!("{apex}.serial"));
        let (zone, left_out) = match stored.union {
            Some(union) => (Some(numbered(union.zone, &serial)?), union.left_out),
            None => (None, Vec::new()),
        };
        Ok(Seen {
            apex: Name::from(&apex),
            origin,
            zone,
            left_out,
        })
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
