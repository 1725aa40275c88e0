//! This organization's zone: the records of its configuration and zone files, with the SOA and NS
//! that every zone needs.
//!
//! `ringway check`, the start and a reload all build the zone here, so they refuse the same things.

mod gather;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::time::SystemTime;

use ringway_config::{Config, Digest, Fault, Place};

use self::gather::gather;
use crate::draft::{Draft, ZoneError};
use crate::lint::refuse_delegations;
use crate::name::Name;
use crate::rdata::kind;
use crate::replica;
use crate::serial::SerialStore;
use crate::source::{Record, Sources, merge};
use crate::zone::Zone;

/// REFRESH, RETRY and EXPIRE of the SOA, in seconds (RFC 1912, section 2.2). Ringway transfers
/// zones over its control streams and does not use them; an ordinary secondary would.
const REFRESH_RETRY_EXPIRE: [u32; 3] = [60, 10, 1_209_600];

/// Why this organization's zone could not be built.
#[derive(Debug, thiserror::Error)]
pub enum OwnZoneError {
    /// The records in the configuration or a zone file are wrong.
    #[error("the zone's records have {} faults", .0.len())]
    Faults(Vec<Fault>),
    /// The file with the serial could not be replaced.
    #[error("the zone's serial could not be saved")]
    Serial(#[from] io::Error),
}

impl Zone {
    /// The zone that `config` describes, with this serial; otherwise every fault.
    ///
    /// As [`Zone::with_sources`], which says what the zone has beside the configured records.
    pub fn from_config(config: &Config, serial: u32) -> Result<Zone, Vec<Fault>> {
        let (zone, _) = Zone::with_sources(config)?;
        Ok(zone.with_serial(serial))
    }

    /// The zone that `config` and its zone files describe, with serial 0, and where each record was
    /// written; otherwise every fault.
    ///
    /// Beside these records the zone has:
    ///
    /// * an NS record for this gateway, `<gateway>.<apex>`;
    /// * an SOA record, unless a zone file has one, of which all but the serial is kept;
    /// * the gateway's address records, unless the configuration has some: the addresses that the
    ///   server listens on.
    pub fn with_sources(config: &Config) -> Result<(Zone, Sources), Vec<Fault>> {
        let apex = Name::from(&config.own.domain.zone_of(&config.own.org));
        let (records, mut faults) = gather(config, &apex);

        let mut draft = Draft::new(apex);
        // Without these the zone is incomplete anyhow, and further faults would be misleading.
        if let Err(error) = add_infrastructure(&mut draft, config, apex, &records) {
            faults.push(whole_file(config, &error));
            return Err(faults);
        }
        faults.extend(refuse_delegations(&records, &apex));
        faults.extend(merge(&mut draft, &records));
        // A zone that members would refuse to copy is not served here either.
        if let Err(error) = replica::check_counts(draft.records(), draft.names()) {
            faults.push(whole_file(config, &error));
        }

        let zone = match draft.finish() {
            Ok(zone) => zone,
            Err(error) => {
                faults.push(whole_file(config, &error));
                return Err(faults);
            }
        };
        if faults.is_empty() {
            Ok((zone.with_serial(0), Sources::of(records)))
        } else {
            Err(faults)
        }
    }

    /// The zone that `config` describes, with the serial that `serials` assigns to its content.
    /// Blocks on the disk.
    pub fn own(
        config: &Config,
        serials: &mut SerialStore,
        now: SystemTime,
    ) -> Result<Zone, OwnZoneError> {
        // The digest is that of the zone at serial 0, so it depends on the content alone.
        let zone = Zone::from_config(config, 0).map_err(OwnZoneError::Faults)?;
        let serial = serials.serial_for(Digest::of(&zone.encode()), now)?;
        Ok(zone.with_serial(serial))
    }
}

impl Zone {
    /// The zone of the consortium's domain, as this gateway serves it: an SOA and an NS record that
    /// name this gateway. The organizations' zones below it are zones of their own.
    pub fn of_domain(config: &Config) -> Option<Zone> {
        let apex = Name::from(&config.own.domain);
        let gateway = parse_name(&format!("{}.{apex}", config.id)).ok()?;
        let ttl = config.dns.ttl;

        let mut draft = Draft::new(apex);
        draft
            .add(&apex, kind::SOA, ttl, &soa(&gateway, &apex, ttl).ok()?)
            .ok()?;
        draft.add(&apex, kind::NS, ttl, gateway.as_wire()).ok()?;
        // It never changes.
        Some(draft.finish().ok()?.with_serial(1))
    }
}

/// A fault that has no line of its own.
fn whole_file(config: &Config, error: &dyn Display) -> Fault {
    Fault {
        place: Place::whole(&config.path),
        message: error.to_string(),
    }
}

fn parse_name(text: &str) -> Result<Name, ZoneError> {
    Name::from_text(text).map_err(|reason| ZoneError::Name {
        text: text.into(),
        reason,
    })
}

/// Type and data of the record that has this address.
pub(crate) fn address_data(address: IpAddr) -> (u16, Vec<u8>) {
    match address {
        IpAddr::V4(v4) => (kind::A, v4.octets().to_vec()),
        IpAddr::V6(v6) => (kind::AAAA, v6.octets().to_vec()),
    }
}

/// Adds the NS, and the SOA and the gateway's addresses unless `records` have them.
fn add_infrastructure(
    draft: &mut Draft,
    config: &Config,
    apex: Name,
    records: &[Record],
) -> Result<(), ZoneError> {
    let ttl = config.dns.ttl;
    let gateway = parse_name(&format!("{}.{apex}", config.id.name))?;
    draft.add(&apex, kind::NS, ttl, gateway.as_wire())?;

    let has_soa = records
        .iter()
        .any(|record| record.kind == kind::SOA && record.owner == apex);
    if !has_soa {
        draft.add(&apex, kind::SOA, ttl, &soa(&gateway, &apex, ttl)?)?;
    }

    // What the files say of the gateway's name stands in place of its addresses.
    if records.iter().any(|record| record.owner == gateway) {
        return Ok(());
    }
    for listen in &config.dns.listen {
        // Other hosts cannot reach us at a loopback address.
        if !listen.ip().is_loopback() {
            let (kind, data) = address_data(listen.ip());
            draft.add(&gateway, kind, ttl, &data)?;
        }
    }
    Ok(())
}

/// SOA data with serial 0 (RFC 1035, section 3.3.13). `server` becomes MNAME, `ttl` MINIMUM.
pub(crate) fn soa(server: &Name, apex: &Name, ttl: u32) -> Result<Vec<u8>, ZoneError> {
    let mailbox = parse_name(&format!("hostmaster.{apex}"))?;
    let mut soa = [server.as_wire(), mailbox.as_wire()].concat();

    let [refresh, retry, expire] = REFRESH_RETRY_EXPIRE;
    for number in [0, refresh, retry, expire, ttl] {
        soa.extend_from_slice(&number.to_be_bytes());
    }
    Ok(soa)
}
