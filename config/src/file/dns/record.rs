//! `[[dns.host]]` and `[[dns.record]]`: what `gateway.toml` itself says about names of the own zone.
//!
//! A host is short for records of its name: an A or AAAA for each address, and for each service
//! `name:port/proto` an SRV at `_name._proto.<host>` (RFC 2782) that points back at the host.

use std::net::IpAddr;

use super::super::table::{Item, Key, Schema, Table};
use super::super::zone::Zone;
use super::read_ttl;
use crate::{DnsData, DnsRecord, limits};

const HOST: Schema = Schema {
    name: "[[dns.host]]",
    keys: &[
        Key("name", "name = \"peer0\", or \"@\" for the zone itself"),
        Key("addresses", "addresses = [\"10.1.0.11\", \"fd00:1::11\"]"),
        Key("services", "services = [\"peer:7051/tcp\"]"),
        Key("ttl", "ttl = 5"),
    ],
};

const RECORD: Schema = Schema {
    name: "[[dns.record]]",
    keys: &[
        Key("name", "name = \"peer0\", or \"@\" for the zone itself"),
        Key(
            "type",
            "type = \"A\", \"AAAA\", \"CNAME\", or another type such as \"TXT\"",
        ),
        Key("data", "data = \"10.1.0.11\", a list, or a name for CNAME"),
        Key("ttl", "ttl = 5"),
    ],
};

/// The records of all blocks of both kinds. `zone` is `None` if it is not known, which was reported.
pub(super) fn read(dns: &Table<'_>, zone: Option<&Zone>, ttl: u32) -> Vec<DnsRecord> {
    let hosts = dns.tables("host", limits::DNS_RECORDS, &HOST);
    let records = dns.tables("record", limits::DNS_RECORDS, &RECORD);
    let of_hosts = hosts.iter().flat_map(|table| read_host(table, zone, ttl));
    of_hosts
        .chain(
            records
                .iter()
                .flat_map(|table| read_record(table, zone, ttl)),
        )
        .collect()
}

fn read_host(table: &Table<'_>, zone: Option<&Zone>, ttl: u32) -> Vec<DnsRecord> {
    let name = table
        .required("name")
        .and_then(|item| read_owner(&item, zone?));
    let ttl = read_ttl(table).unwrap_or(ttl);
    let addresses = table
        .required("addresses")
        .map(|item| item.one_or_more(limits::DNS_RECORDS));
    let addresses = addresses.unwrap_or_default();
    if let ([], Some(item)) = (&*addresses, table.optional("addresses")) {
        item.fault("a host has at least one address");
    }
    let addresses = addresses.iter().filter_map(|item| {
        let data = DnsData::Address(read_address(item, Type::Host)?);
        Some(DnsRecord {
            name: name.clone()?,
            ttl,
            data,
            place: item.place(),
        })
    });
    let services = table.list("services", limits::DNS_RECORDS);
    let services = services.iter().filter_map(|item| {
        let service = item.parse::<Service>()?;
        let host = name.as_deref()?;
        let Service { name, port, proto } = service;
        let data = DnsData::Text {
            kind: "SRV".into(),
            data: format!("0 0 {port} {host}."),
        };
        Some(DnsRecord {
            name: format!("_{name}._{proto}.{host}"),
            ttl,
            data,
            place: item.place(),
        })
    });
    addresses.chain(services).collect()
}

/// `name:port/proto`.
struct Service {
    name: String,
    port: u16,
    proto: &'static str,
}

impl std::str::FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Service, String> {
        let parts = || {
            let (name, rest) = text.split_once(':')?;
            let (port, proto) = rest.split_once('/')?;
            let proto = ["tcp", "udp"].into_iter().find(|known| *known == proto)?;
            let port = port.parse().ok().filter(|port| *port != 0)?;
            is_service(name).then(|| Service {
                name: name.to_owned(),
                port,
                proto,
            })
        };
        parts().ok_or_else(|| format!("{text:?} is no service: name, port, and tcp or udp"))
    }
}

/// RFC 6335, section 5.1; lowercase.
fn is_service(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let letter = name.bytes().any(|b| b.is_ascii_lowercase());
    let hyphens = name.starts_with('-') || name.ends_with('-') || name.contains("--");
    name.len() <= 15 && letter && !hyphens && name.bytes().all(allowed)
}

/// One record for each element of `data`.
fn read_record(table: &Table<'_>, zone: Option<&Zone>, ttl: u32) -> Vec<DnsRecord> {
    let name = table
        .required("name")
        .and_then(|item| read_owner(&item, zone?));
    let kind = table.required("type").and_then(|item| read_type(&item));
    let ttl = read_ttl(table).unwrap_or(ttl);
    let Some((data, kind)) = table.required("data").zip(kind) else {
        return Vec::new();
    };
    let items = if kind == Type::Cname {
        vec![data]
    } else {
        data.one_or_more(limits::DNS_RECORDS)
    };
    let records = items.iter().filter_map(|item| {
        let data = match kind {
            Type::Cname => DnsData::Cname(read_target(item, zone?, name.as_deref())?),
            Type::Other(kind) => DnsData::Text {
                kind: kind.into(),
                data: item.text()?.into(),
            },
            _ => DnsData::Address(read_address(item, kind)?),
        };
        Some(DnsRecord {
            name: name.clone()?,
            ttl,
            data,
            place: item.place(),
        })
    });
    records.collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type<'a> {
    A,
    Aaaa,
    /// A or AAAA, as it comes.
    Host,
    Cname,
    Other(&'a str),
}

fn read_type<'a>(item: &Item<'a>) -> Option<Type<'a>> {
    match item.text()? {
        "A" => Some(Type::A),
        "AAAA" => Some(Type::Aaaa),
        "CNAME" => Some(Type::Cname),
        "SOA" => item.refuse("the SOA record is kept by ringway; remove this one"),
        other
            if other
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-') =>
        {
            Some(Type::Other(other))
        }
        other => item.refuse(format!("{other:?} is no type")),
    }
}

fn read_owner(item: &Item<'_>, zone: &Zone) -> Option<String> {
    let name = zone
        .absolute(item.text()?)
        .map_or_else(|error| item.refuse(error), Some)?;
    match zone.holds(&name) {
        true => Some(name),
        false => item.refuse(format!(
            "{name} is outside the own zone; write a name below {}",
            zone.apex
        )),
    }
}

fn read_target(item: &Item<'_>, zone: &Zone, owner: Option<&str>) -> Option<String> {
    let target = zone
        .absolute(item.text()?)
        .map_or_else(|error| item.refuse(error), Some)?;
    match owner == Some(&target) {
        true => item.refuse(format!(
            "{target} is a CNAME of itself; write the name that has the addresses"
        )),
        false => Some(target),
    }
}

fn read_address(item: &Item<'_>, kind: Type<'_>) -> Option<IpAddr> {
    let text = item.text()?;
    let Ok(address) = text.parse() else {
        return item.refuse(format!("{text:?} is not an address"));
    };
    match (kind, address) {
        (Type::A, IpAddr::V6(_)) => {
            item.refuse(format!("{address} is IPv6; write type = \"AAAA\""))
        }
        (Type::Aaaa, IpAddr::V4(_)) => {
            item.refuse(format!("{address} is IPv4; write type = \"A\""))
        }
        _ => Some(address),
    }
}
