//! The own organization's zone, from the configuration and its zone files: their records, and the SOA and
//! NS that every zone needs. `check`, `run` and a reload all come through here, so they refuse the same
//! things.

mod gather;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::time::SystemTime;

use gather::gather;
use ringway_config::{Config, Digest, Fault, Place};

use crate::draft::{Draft, ZoneError};
use crate::name::Name;
use crate::rdata::kind;
use crate::replica;
use crate::serial::SerialStore;
use crate::source::{Record, Sources, merge};
use crate::zone::Zone;

/// Seconds after which a standard secondary would ask again, retry, and give up (RFC 1912, section 2.2).
const REFRESH_RETRY_EXPIRE: [u32; 3] = [60, 10, 1_209_600];

/// Why the own zone could not be made.
#[derive(Debug, thiserror::Error)]
pub enum OwnZoneError {
    /// The configuration's records are wrong.
    #[error("the zone's records have {} faults", .0.len())]
    Faults(Vec<Fault>),
    /// The serial could not be kept.
    #[error("the zone's serial could not be saved")]
    Serial(#[from] io::Error),
}

impl Zone {
    /// The zone that `config` describes, at `serial`; else every fault. See [`Zone::with_sources`].
    pub fn from_config(config: &Config, serial: u32) -> Result<Zone, Vec<Fault>> {
        let (zone, _) = Zone::with_sources(config)?;
        Ok(zone.with_serial(serial))
    }

    /// The zone that `config` and its zone files describe, at serial 0, and where each record was written;
    /// else every fault.
    ///
    /// Beside the records it has an NS that names this gateway, `<gateway>.<apex>`, and a SOA unless a
    /// zone file has one; of that, all but the serial stays. If no record says the gateway's addresses, they
    /// are those that the server listens on.
    pub fn with_sources(config: &Config) -> Result<(Zone, Sources), Vec<Fault>> {
        let apex = Name::from(&config.own.domain.zone_of(&config.own.org));
        let whole_file = |error: &dyn Display| Fault {
            place: Place::whole(&config.path),
            message: error.to_string(),
        };
        let (records, mut faults) = gather(config, &apex);
        let mut draft = Draft::new(apex);
        if let Err(error) = add_frame(&mut draft, config, apex, &records) {
            faults.push(whole_file(&error));
            return Err(faults);
        }
        faults.extend(merge(&mut draft, &records));
        if let Err(error) = replica::check_counts(draft.records(), draft.names()) {
            faults.push(whole_file(&error));
        }
        match draft.finish() {
            Ok(zone) if faults.is_empty() => {
                return Ok((zone.with_serial(0), Sources::of(records)));
            }
            Ok(_) => (),
            Err(error) => faults.push(whole_file(&error)),
        }
        Err(faults)
    }

    /// The zone that `config` describes, at the serial that `serials` gives its content.
    pub fn own(
        config: &Config,
        serials: &mut SerialStore,
        now: SystemTime,
    ) -> Result<Zone, OwnZoneError> {
        let zone = Zone::from_config(config, 0).map_err(OwnZoneError::Faults)?;
        let serial = serials.serial_for(Digest::of(&zone.encode()), now)?;
        Ok(zone.with_serial(serial))
    }
}

fn name_of(text: &str) -> Result<Name, ZoneError> {
    Name::from_text(text).map_err(|reason| ZoneError::Name {
        text: text.into(),
        reason,
    })
}

/// The record type that tells an address, and its data.
fn address_data(address: IpAddr) -> (u16, Vec<u8>) {
    match address {
        IpAddr::V4(v4) => (kind::A, v4.octets().to_vec()),
        IpAddr::V6(v6) => (kind::AAAA, v6.octets().to_vec()),
    }
}

/// The SOA and this gateway's addresses, unless `records` say something about them, and the NS.
fn add_frame(
    draft: &mut Draft,
    config: &Config,
    apex: Name,
    records: &[Record],
) -> Result<(), ZoneError> {
    let ttl = config.dns.ttl;
    let gateway = name_of(&format!("{}.{apex}", config.id.name))?;
    draft.add(&apex, kind::NS, ttl, gateway.as_wire())?;
    if !records
        .iter()
        .any(|record| record.kind == kind::SOA && record.owner == apex)
    {
        draft.add(&apex, kind::SOA, ttl, &soa(&gateway, &apex, ttl)?)?;
    }
    if records.iter().any(|record| record.owner == gateway) {
        return Ok(());
    }
    let addresses = config.dns.listen.iter().map(|listen| listen.ip());
    addresses
        .filter(|address| !address.is_loopback())
        .try_for_each(|address| {
            let (kind, data) = address_data(address);
            draft.add(&gateway, kind, ttl, &data)
        })
}

/// SOA data at serial 0, for a zone that `server` is the first of.
pub(crate) fn soa(server: &Name, apex: &Name, ttl: u32) -> Result<Vec<u8>, ZoneError> {
    let mailbox = name_of(&format!("hostmaster.{apex}"))?;
    let mut soa = [server.as_wire(), mailbox.as_wire()].concat();
    let [refresh, retry, expire] = REFRESH_RETRY_EXPIRE;
    for number in [0, refresh, retry, expire, ttl] {
        soa.extend_from_slice(&number.to_be_bytes());
    }
    Ok(soa)
}
