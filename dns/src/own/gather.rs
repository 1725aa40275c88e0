//! Collects the records of this organization's zone: `[[dns.host]]` and `[[dns.record]]` of
//! `gateway.toml`, and zone files.
//!
//! Each record keeps the place where it was written. [`merge`](crate::source::merge) then decides
//! which of them can stand together.

use ringway_config::{Config, DnsData, DnsRecord, Fault, Prefix};

use super::{address_data, parse_name};
use crate::addresses::{Addresses, prefixes_in};
use crate::name::Name;
use crate::rdata::kind;
use crate::reverse::{may_be_named, stated_address, take_in};
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

    take_in(&mut records, apex);
    let pointers = records
        .iter()
        .filter_map(|record| check_pointer(record, apex, config));
    faults.extend(pointers);

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

/// A fault if the record has an address that is in none of this organization's sites, whatever its
/// type: other organizations reach only those through the tunnels, and leave out such records.
fn check_address(record: &Record, config: &Config) -> Option<Fault> {
    let Addresses::Known(addresses) = prefixes_in(record.kind, &record.data) else {
        return Some(Fault {
            place: record.place.clone(),
            message: "the addresses in this record cannot be read, so that other members leave it \
                      out; remove it, or write foreign-addresses = true in [dns], which keeps it \
                      for this site alone"
                .to_owned(),
        });
    };

    let prefixes = own_prefixes(config);
    let foreign = addresses
        .into_iter()
        .find(|range| !is_within(range, &prefixes))?;
    let foreign = if foreign.address() == foreign.last() {
        foreign.address().to_string()
    } else {
        foreign.to_string()
    };

    Some(Fault {
        place: record.place.clone(),
        message: format!(
            "{foreign} is in no site of this organization; write an address in {}, \
             or foreign-addresses = true in [dns] for a name that this site alone is to have: \
             other members leave such addresses out",
            examples(&prefixes)
        ),
    })
}

/// A fault if a record names an address that is not ours, or names another member's host.
fn check_pointer(record: &Record, apex: &Name, config: &Config) -> Option<Fault> {
    let address = stated_address(&record.owner, apex)?;
    if record.kind != kind::PTR {
        return None;
    }

    let prefixes = own_prefixes(config);
    let message = if !prefixes.iter().any(|prefix| prefix.contains(address)) {
        format!(
            "{address} is in no site of this organization, which alone names its addresses; write \
             an address in {}",
            examples(&prefixes)
        )
    } else if !may_be_named(&record.data, apex) {
        format!("{address} would have the name of another member's host; write a name of {apex}")
    } else {
        return None;
    };
    Some(Fault {
        place: record.place.clone(),
        message,
    })
}

fn is_within(range: &Prefix, prefixes: &[Prefix]) -> bool {
    prefixes
        .iter()
        .any(|prefix| prefix.contains(range.address()) && prefix.contains(range.last()))
}

fn own_prefixes(config: &Config) -> Vec<Prefix> {
    let sites = config.own.sites.iter();

    sites
        .flat_map(|site| &site.prefixes)
        .map(|placed| placed.prefix)
        .collect()
}

/// The first few prefixes, for the fault's text.
fn examples(prefixes: &[Prefix]) -> String {
    if prefixes.is_empty() {
        return "a site, once it has prefixes".into();
    }
    let first: Vec<String> = prefixes.iter().take(4).map(Prefix::to_string).collect();
    first.join(", ")
}
