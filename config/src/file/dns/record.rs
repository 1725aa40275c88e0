//! `[[dns.record]]`: records of any type in our zone.

use std::net::IpAddr;

use super::read_ttl;
use crate::file::item::Item;
use crate::file::remedy;
use crate::file::table::Table;
use crate::file::zone::Zone;
use crate::keys::{dns, record as keys};
use crate::{DnsData, DnsName, DnsRecord, limits};

/// The records of all blocks. `zone` is `None` if it is not known, which was reported.
pub(super) fn read(table: &Table<'_>, zone: Option<&Zone>, ttl: u32) -> Vec<DnsRecord> {
    table
        .tables(&dns::RECORD, limits::DNS_RECORDS, &keys::SCHEMA)
        .iter()
        .flat_map(|block| read_block(block, zone, ttl))
        .collect()
}

/// One record for each element of `data`.
fn read_block(block: &Table<'_>, zone: Option<&Zone>, ttl: u32) -> Vec<DnsRecord> {
    let name = block
        .required(&keys::NAME)
        .and_then(|item| read_owner(&item, zone?));
    let kind = block
        .required(&keys::TYPE)
        .and_then(|item| read_type(&item));
    // Read before the others are checked, so that the faults of all keys are reported.
    let ttl = read_ttl(block, &keys::TTL).unwrap_or(ttl);
    let data = block.required(&keys::DATA);
    let (Some(data), Some(kind)) = (data, kind) else {
        return Vec::new();
    };

    // A name has at most one CNAME (RFC 2181, section 10.1), so a list of them is a fault.
    let items = if kind == Type::Cname {
        vec![data]
    } else {
        data.one_or_more(limits::DNS_RECORDS)
    };

    let mut records = Vec::new();
    for item in items {
        let data = read_data(&item, kind, zone, name.as_ref());
        if let (Some(name), Some(data)) = (&name, data) {
            records.push(DnsRecord {
                name: name.clone(),
                ttl,
                data,
                place: item.place(),
            });
        }
    }

    records
}

/// How the data of a record is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type<'a> {
    A,
    Aaaa,
    Cname,
    /// Read by `ringway-dns`.
    Other(&'a str),
}

fn read_type<'a>(item: &Item<'a>) -> Option<Type<'a>> {
    match item.text()? {
        "A" => Some(Type::A),
        "AAAA" => Some(Type::Aaaa),
        "CNAME" => Some(Type::Cname),
        "SOA" => item.refuse("the SOA record is kept by ringway; remove this one"),
        other if is_type(other) => Some(Type::Other(other)),
        other => item.refuse(format!("{other:?} is no type")),
    }
}

fn is_type(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-')
}

/// `None` if a fault was reported, or if the zone is not known.
fn read_data(
    item: &Item<'_>,
    kind: Type<'_>,
    zone: Option<&Zone>,
    owner: Option<&DnsName>,
) -> Option<DnsData> {
    match kind {
        Type::A => read_ipv4(item).map(DnsData::Address),
        Type::Aaaa => read_ipv6(item).map(DnsData::Address),
        Type::Cname => read_target(item, zone?, owner).map(DnsData::Cname),
        Type::Other(kind) => Some(DnsData::Text {
            kind: kind.into(),
            data: item.text()?.into(),
        }),
    }
}

/// A name in our zone.
pub(super) fn read_owner(item: &Item<'_>, zone: &Zone) -> Option<DnsName> {
    let name = read_name(item, zone)?;
    if !zone.holds(&name) && name.as_str().ends_with(".arpa") {
        return item.refuse(format!(
            "{name} is the name of an address; write [[dns.ptr]] with address and names"
        ));
    }
    if !zone.holds(&name) {
        return item.refuse(format!(
            "{name} is outside this organization's zone; write a name below {}",
            zone.apex
        ));
    }

    Some(name)
}

fn read_target(item: &Item<'_>, zone: &Zone, owner: Option<&DnsName>) -> Option<DnsName> {
    let target = read_name(item, zone)?;
    if owner == Some(&target) {
        return item.refuse(format!(
            "{target} is a CNAME of itself; write the name that has the addresses"
        ));
    }

    Some(target)
}

pub(super) fn read_name(item: &Item<'_>, zone: &Zone) -> Option<DnsName> {
    match zone.absolute(item.text()?) {
        Ok(name) => Some(name),
        Err(error) => item.refuse(error),
    }
}

/// An address of either family.
pub(super) fn read_any_address(item: &Item<'_>) -> Option<IpAddr> {
    let text = item.text()?;
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => item.refuse(remedy::no_address(text, "is not an address")),
    }
}

fn read_ipv4(item: &Item<'_>) -> Option<IpAddr> {
    let address = read_any_address(item)?;
    if address.is_ipv6() {
        return item.refuse(format!("{address} is IPv6; write type = \"AAAA\""));
    }

    Some(address)
}

fn read_ipv6(item: &Item<'_>) -> Option<IpAddr> {
    let address = read_any_address(item)?;
    if address.is_ipv4() {
        return item.refuse(format!("{address} is IPv4; write type = \"A\""));
    }

    Some(address)
}
