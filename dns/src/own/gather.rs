//! Collects the records of this organization's zone: `[[dns.host]]` and `[[dns.record]]` of
//! `gateway.toml`, and zone files.
//!
//! Each record keeps the place where it was written. [`merge`](crate::source::merge) then decides
//! which of them can stand together.

use std::net::IpAddr;

use ringway_config::{Config, DnsData, DnsRecord, Fault, Prefix};

use super::{address_data, parse_name};
use crate::name::Name;
use crate::rdata::kind;
use crate::source::Record;
use crate::zonefile::{Files, read_data, read_file};

/// Every readable record, and a fault for each of the others.
pub(super) fn gather(config: &Config, apex: &Name) -> (Vec<Record>, Vec<Fault>) {
    let mut records = Vec::new();
    let mut faults = Vec::new();
    for record in &config.dns.records {
        match read(record, apex) {
            Ok(record) => records.push(record),
            Err(message) => faults.push(Fault {
                place: record.place.clone(),
                message,
            }),
        }
    }

    // Shared by all files, because it limits their size and depth together.
    let mut files = Files::default();
    for file in &config.dns.zone_files {
        let (more_records, more_faults) =
            read_file(&file.path, Some(apex), Some(config.dns.ttl), &mut files);
        records.extend(more_records);
        faults.extend(more_faults);
    }

    if !config.dns.foreign_addresses {
        let foreign = records
            .iter()
            .filter_map(|record| check_address(record, config));
        faults.extend(foreign);
    }
    (records, faults)
}

fn read(record: &DnsRecord, apex: &Name) -> Result<Record, String> {
    let owner = name(record.name.as_str())?;
    let (kind, data) = match &record.data {
        DnsData::Address(address) => address_data(*address),
        DnsData::Cname(target) => (kind::CNAME, name(target.as_str())?.as_wire().to_vec()),
        DnsData::Text { kind, data } => read_data(kind, data, apex)?,
    };

    Ok(Record {
        owner,
        kind,
        ttl: record.ttl,
        data,
        place: record.place.clone(),
    })
}

fn name(text: &str) -> Result<Name, String> {
    parse_name(text).map_err(|error| error.to_string())
}

/// A fault if the record's address is in none of this organization's sites: other organizations
/// reach only those through the tunnels.
fn check_address(record: &Record, config: &Config) -> Option<Fault> {
    let address = match record.kind {
        kind::A => IpAddr::from(*record.data.first_chunk::<4>()?),
        kind::AAAA => IpAddr::from(*record.data.first_chunk::<16>()?),
        _ => return None,
    };
    let sites = config.own.sites.iter();
    let prefixes: Vec<Prefix> = sites
        .flat_map(|site| &site.prefixes)
        .map(|placed| placed.prefix)
        .collect();

    if prefixes.iter().any(|prefix| prefix.contains(address)) {
        return None;
    }

    Some(Fault {
        place: record.place.clone(),
        message: format!(
            "{address} is in no site of this organization; write an address in {}, \
             or foreign-addresses = true in [dns]",
            examples(&prefixes)
        ),
    })
}

/// The first few prefixes, for the fault's text.
fn examples(prefixes: &[Prefix]) -> String {
    if prefixes.is_empty() {
        return "a site, once it has prefixes".into();
    }
    let first: Vec<String> = prefixes.iter().take(4).map(Prefix::to_string).collect();
    first.join(", ")
}
