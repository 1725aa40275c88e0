//! `[[dns.ptr]]`: the names of an address, in place of those that the zone's addresses yield.
//!
//! The reverse zones are made of the organization's zone. There, the record stands below the
//! zone's apex: `11.0.1.10.in-addr.arpa.acme.consortium.example`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::read_ttl;
use super::record::{read_any_address, read_name};
use crate::file::item::Item;
use crate::file::table::Table;
use crate::file::zone::Zone;
use crate::keys::{dns, ptr as keys};
use crate::{DnsData, DnsName, DnsRecord, limits, reverse_name};

/// The records of all blocks. `zone` is `None` if it is not known, which was reported.
pub(super) fn read(table: &Table<'_>, zone: Option<&Zone>, ttl: u32) -> Vec<DnsRecord> {
    let mut records = Vec::new();
    let mut first = BTreeMap::new();

    for block in table.tables(&dns::PTR, limits::DNS_RECORDS, &keys::SCHEMA) {
        let address = block.required(&keys::ADDRESS);
        let address = address.and_then(|item| Some((item, read_any_address(&item)?)));
        let ttl = read_ttl(&block, &keys::TTL).unwrap_or(ttl);
        let names = read_names(&block, zone);
        let (Some((item, address)), Some(zone)) = (address, zone) else {
            continue;
        };

        if let Some(earlier) = first.get(&address) {
            item.fault(format!(
                "{address} has names at {earlier} already; write them into one block"
            ));
            continue;
        }
        first.insert(address, item.place());

        let Some(owner) = owner(address, zone) else {
            item.fault("the names of the consortium are too long for names of addresses");
            continue;
        };
        records.extend(names.into_iter().map(|(item, name)| DnsRecord {
            name: owner.clone(),
            ttl,
            // With the final dot: otherwise the zone's name would be added.
            data: DnsData::Text {
                kind: "PTR".into(),
                data: format!("{name}."),
            },
            place: item.place(),
        }));
    }
    records
}

fn read_names<'a>(block: &Table<'a>, zone: Option<&Zone>) -> Vec<(Item<'a>, DnsName)> {
    let Some(item) = block.required(&keys::NAMES) else {
        return Vec::new();
    };

    let items = item.one_or_more(limits::DNS_RECORDS);
    if items.is_empty() {
        item.fault("an address has at least one name; remove the block if it needs none");
    }
    items
        .into_iter()
        .filter_map(|item| Some((item, read_name(&item, zone?)?)))
        .collect()
}

fn owner(address: IpAddr, zone: &Zone) -> Option<DnsName> {
    format!("{}.{}", reverse_name(address), zone.apex)
        .parse()
        .ok()
}
