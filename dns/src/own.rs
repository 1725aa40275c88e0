//! The own organization's zone, from the configuration: its records, and the SOA and NS that every
//! zone needs. `check`, `run` and a reload all come through here, so they refuse the same things.

use std::io;
use std::net::IpAddr;
use std::time::SystemTime;

use ringway_config::{Config, Digest, DnsData, DnsRecord, Fault, Place};

use crate::draft::{Draft, ZoneError};
use crate::name::Name;
use crate::rdata::kind;
use crate::replica;
use crate::serial::SerialStore;
use crate::zone::Zone;

/// Seconds after which a standard secondary would ask again, retry, and give up (RFC 1912, section 2.2).
const REFRESH_RETRY_EXPIRE: [u32; 3] = [60, 10, 1_209_600];

/// Why the own zone could not be made.
#[derive(Debug, thiserror::Error)]
pub enum OwnZoneError {
    /// The configuration's records are wrong.
    #[error("{} in the zone's records", .0.len())]
    Faults(Vec<Fault>),
    /// The serial could not be kept.
    #[error("the zone's serial could not be saved")]
    Serial(#[from] io::Error),
}

impl Zone {
    /// The zone that `config` describes, at `serial`; else every fault.
    ///
    /// Beside the records it has a SOA, and an NS that names this gateway, `<gateway>.<apex>`. If no
    /// record says that name's addresses, they are those that the server listens on.
    pub fn from_config(config: &Config, serial: u32) -> Result<Zone, Vec<Fault>> {
        let apex = Name::from(&config.own.domain.zone_of(&config.own.org));
        let mut draft = Draft::new(apex);
        let mut faults = Vec::new();
        for record in &config.dns.records {
            if let Err(error) = add_record(&mut draft, record) {
                faults.push(fault(&record.place, &error));
            }
        }
        let zone = add_own(&mut draft, config, apex, serial).and_then(|()| draft.finish());
        match zone {
            Ok(zone) if faults.is_empty() && zone.records() <= replica::MAX_RECORDS => return Ok(zone),
            Ok(zone) if faults.is_empty() => faults.push(Fault {
                place: whole_file(config),
                message: format!("the zone has {} records; at most {}", zone.records(), replica::MAX_RECORDS),
            }),
            Ok(_) => (),
            Err(error) => faults.push(fault(&whole_file(config), &error)),
        }
        Err(faults)
    }

    /// The zone that `config` describes, at the serial that `serials` gives its content.
    pub fn own(config: &Config, serials: &mut SerialStore, now: SystemTime) -> Result<Zone, OwnZoneError> {
        let zone = Zone::from_config(config, 0).map_err(OwnZoneError::Faults)?;
        let serial = serials.serial_for(Digest::of(&zone.encode()), now)?;
        Ok(zone.with_serial(serial))
    }
}

fn add_record(draft: &mut Draft, record: &DnsRecord) -> Result<(), ZoneError> {
    let owner = name_of(&record.name)?;
    match &record.data {
        DnsData::Address(address) => add_address(draft, &owner, record.ttl, *address),
        DnsData::Cname(target) => draft.add(&owner, kind::CNAME, record.ttl, name_of(target)?.as_wire()),
    }
}

fn name_of(text: &str) -> Result<Name, ZoneError> {
    Name::from_text(text).map_err(|reason| ZoneError::Name { text: text.into(), reason })
}

fn add_address(draft: &mut Draft, owner: &Name, ttl: u32, address: IpAddr) -> Result<(), ZoneError> {
    match address {
        IpAddr::V4(v4) => draft.add(owner, kind::A, ttl, &v4.octets()),
        IpAddr::V6(v6) => draft.add(owner, kind::AAAA, ttl, &v6.octets()),
    }
}

/// The SOA, the NS, and this gateway's addresses unless the records say something about its name.
fn add_own(draft: &mut Draft, config: &Config, apex: Name, serial: u32) -> Result<(), ZoneError> {
    let ttl = config.dns.ttl;
    let gateway = name_of(&format!("{}.{apex}", config.id.name))?;
    let mailbox = name_of(&format!("hostmaster.{apex}"))?;
    let mut soa = [gateway.as_wire(), mailbox.as_wire()].concat();
    let [refresh, retry, expire] = REFRESH_RETRY_EXPIRE;
    for number in [serial, refresh, retry, expire, ttl] {
        soa.extend_from_slice(&number.to_be_bytes());
    }
    draft.add(&apex, kind::SOA, ttl, &soa)?;
    draft.add(&apex, kind::NS, ttl, gateway.as_wire())?;
    if config.dns.records.iter().any(|record| name_of(&record.name) == Ok(gateway)) {
        return Ok(());
    }
    let addresses = config.dns.listen.iter().map(|listen| listen.ip());
    addresses.filter(|address| !address.is_loopback()).try_for_each(|a| add_address(draft, &gateway, ttl, a))
}

fn fault(place: &Place, error: &ZoneError) -> Fault {
    Fault { place: place.clone(), message: error.to_string() }
}

fn whole_file(config: &Config) -> Place {
    Place { file: config.path.clone().into(), line: 0, column: 0 }
}
