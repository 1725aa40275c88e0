//! `[[dns.host]]`: a host's addresses and services.
//!
//! A host is short for records of its name: an A or AAAA for each address, and for each service
//! `name:port/proto` an SRV at `_name._proto.<host>` (RFC 2782) that points back at the host. With
//! `check`, its addresses are answered while they accept connections.

use std::str::FromStr;

use super::check::Probe;
use super::read_ttl;
use super::record::{read_any_address, read_owner};
use crate::file::item::Item;
use crate::file::table::Table;
use crate::file::zone::Zone;
use crate::keys::{dns, host as keys};
use crate::{DnsData, DnsName, DnsRecord, HealthCheck, limits};

/// The records of all blocks, and the checks of their addresses. `zone` is `None` if it is not
/// known, which was reported.
pub(super) fn read(
    table: &Table<'_>,
    zone: Option<&Zone>,
    ttl: u32,
) -> (Vec<DnsRecord>, Vec<HealthCheck>) {
    let mut records = Vec::new();
    let mut checks = Vec::new();
    let mut checked = 0;

    for block in table.tables(&dns::HOST, limits::DNS_RECORDS, &keys::SCHEMA) {
        let of_host = read_host(&block, zone, ttl);
        let check = read_check(&block, &of_host);
        records.extend(of_host);

        let Some((item, check)) = check else { continue };
        checked += check.addresses.len();
        // As many as the daemon's queue of probes has places for.
        if checked > limits::CHECKED_ADDRESSES {
            item.fault(format_args!(
                "more than {} addresses would be checked; check fewer hosts",
                limits::CHECKED_ADDRESSES
            ));
            break;
        }
        checks.push(check);
    }
    (records, checks)
}

/// The check of a host that has these records.
fn read_check<'a>(block: &Table<'a>, records: &[DnsRecord]) -> Option<(Item<'a>, HealthCheck)> {
    let item = block.optional(&keys::CHECK)?;
    let probe: Probe = item.parse()?;
    let addresses = records.iter().filter_map(|record| match record.data {
        DnsData::Address(address) => Some(address),
        _ => None,
    });

    let check = HealthCheck {
        name: records.first()?.name.clone(),
        addresses: addresses.collect(),
        port: probe.port,
    };
    Some((item, check))
}

fn read_host(block: &Table<'_>, zone: Option<&Zone>, ttl: u32) -> Vec<DnsRecord> {
    let name = block
        .required(&keys::NAME)
        .and_then(|item| read_owner(&item, zone?));
    let ttl = read_ttl(block, &keys::TTL).unwrap_or(ttl);
    // Read before the name is checked, so that the faults of all keys are reported.
    let addresses = read_addresses(block);
    let services = read_services(block);
    let Some(name) = name else {
        return Vec::new();
    };

    let mut records = Vec::new();
    for (item, data) in addresses {
        records.push(DnsRecord {
            name: name.clone(),
            ttl,
            data,
            place: item.place(),
        });
    }
    for (item, service) in services {
        // RFC 2782: the service and the protocol are labels below the host's name.
        let Ok(owner) = format!("_{}._{}.{name}", service.name, service.proto).parse() else {
            item.fault("the service's name below the host's is too long; shorten one of them");
            continue;
        };
        records.push(DnsRecord {
            name: owner,
            ttl,
            data: service.data(&name),
            place: item.place(),
        });
    }

    records
}

fn read_addresses<'a>(block: &Table<'a>) -> Vec<(Item<'a>, DnsData)> {
    let Some(item) = block.required(&keys::ADDRESSES) else {
        return Vec::new();
    };

    let items = item.one_or_more(limits::DNS_RECORDS);
    if items.is_empty() {
        item.fault("a host has at least one address");
    }

    items
        .into_iter()
        .filter_map(|item| Some((item, DnsData::Address(read_any_address(&item)?))))
        .collect()
}

fn read_services<'a>(block: &Table<'a>) -> Vec<(Item<'a>, Service)> {
    block
        .list(&keys::SERVICES, limits::DNS_RECORDS)
        .into_iter()
        .filter_map(|item| Some((item, item.parse()?)))
        .collect()
}

/// `name:port/proto`.
struct Service {
    name: String,
    port: u16,
    proto: &'static str,
}

/// Why a text is not a service.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no service: name, port, and tcp or udp")]
struct ServiceError(String);

impl Service {
    /// SRV with priority 0, weight 0 and the port.
    fn data(&self, host: &DnsName) -> DnsData {
        DnsData::Text {
            kind: "SRV".into(),
            data: format!("0 0 {} {host}.", self.port),
        }
    }

    fn parse(text: &str) -> Option<Service> {
        let (name, rest) = text.split_once(':')?;
        let (port, proto) = rest.split_once('/')?;
        // Port 0 is reserved: no service can be reached at it.
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let proto = match proto {
            "tcp" => "tcp",
            "udp" => "udp",
            _ => return None,
        };
        if !is_service_name(name) {
            return None;
        }

        Some(Service {
            name: name.to_owned(),
            port,
            proto,
        })
    }
}

impl FromStr for Service {
    type Err = ServiceError;

    fn from_str(text: &str) -> Result<Service, ServiceError> {
        Service::parse(text).ok_or_else(|| ServiceError(text.into()))
    }
}

/// RFC 6335, section 5.1: at most 15 letters, digits and inner single hyphens, with a letter among
/// them. Only lowercase here.
fn is_service_name(name: &str) -> bool {
    let has_letter = name.bytes().any(|b| b.is_ascii_lowercase());
    let has_stray_hyphen = name.starts_with('-') || name.ends_with('-') || name.contains("--");

    name.len() <= 15
        && has_letter
        && !has_stray_hyphen
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
