//! The own zone's records from every source: `[[dns.host]]` and `[[dns.record]]` of `gateway.toml`, and
//! zone files. Each keeps its place; how they go together is [`merge`](crate::source::merge)'s.

use std::net::IpAddr;

use ringway_config::{Config, DnsData, DnsRecord, Fault};

use super::{address_data, name_of};
use crate::name::Name;
use crate::rdata::kind;
use crate::source::Record;
use crate::zonefile::{Files, read_data, read_file};

/// Every record that can be read, and every fault of the others.
pub(super) fn gather(config: &Config, apex: &Name) -> (Vec<Record>, Vec<Fault>) {
    let (mut records, mut faults) = (Vec::new(), Vec::new());
    for record in &config.dns.records {
        match read(record, apex) {
            Ok(record) => records.push(record),
            Err(message) => faults.push(Fault {
                place: record.place.clone(),
                message,
            }),
        }
    }
    let mut files = Files::default();
    for file in &config.dns.zone_files {
        let (more, wrong) = read_file(&file.path, Some(apex), Some(config.dns.ttl), &mut files);
        records.extend(more);
        faults.extend(wrong);
    }
    if !config.dns.foreign_addresses {
        faults.extend(records.iter().filter_map(|record| foreign(record, config)));
    }
    (records, faults)
}

fn read(record: &DnsRecord, apex: &Name) -> Result<Record, String> {
    let name = |text: &str| name_of(text).map_err(|error| error.to_string());
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

/// That a record has an address of none of the own sites: others reach only those through the tunnels.
fn foreign(record: &Record, config: &Config) -> Option<Fault> {
    let address = match record.kind {
        kind::A => IpAddr::from(*record.data.first_chunk::<4>()?),
        kind::AAAA => IpAddr::from(*record.data.first_chunk::<16>()?),
        _ => return None,
    };
    let own = || {
        config
            .own
            .sites
            .iter()
            .flat_map(|site| &site.prefixes)
            .map(|own| own.prefix)
    };
    if own().any(|prefix| prefix.contains(address)) {
        return None;
    }
    let some: Vec<String> = own().take(4).map(|prefix| prefix.to_string()).collect();
    let ranges = if some.is_empty() {
        "a site, once it has prefixes".to_owned()
    } else {
        some.join(", ")
    };
    let message = format!(
        "{address} is in no site of the own record; write an address in {ranges}, \
         or foreign-addresses = true in [dns]"
    );
    Some(Fault {
        place: record.place.clone(),
        message,
    })
}
