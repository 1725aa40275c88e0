//! `[dns]` and `[[dns.record]]`: where the server listens and what the own zone says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::consortium::Consortium;
use super::gateway::Here;
use super::table::{Item, Key, Schema, Table};
use super::zone::Zone;
use crate::bogon::is_private;
use crate::{Dns, DnsData, DnsRecord, PlacedPrefix, limits};

const DNS: Schema = Schema {
    name: "[dns]",
    keys: &[
        Key("listen", "listen = [\"10.1.0.1\"], or \"10.1.0.1:5353\""),
        Key("ttl", "ttl = 5"),
        Key("record", "[[dns.record]] with name, type and data"),
    ],
};

const RECORD: Schema = Schema {
    name: "[[dns.record]]",
    keys: &[
        Key("name", "name = \"peer0\", or \"@\" for the zone itself"),
        Key("type", "type = \"A\", \"AAAA\" or \"CNAME\""),
        Key("data", "data = \"10.1.0.11\", a list of addresses, or a name for CNAME"),
        Key("ttl", "ttl = 5"),
    ],
};

/// A week: nobody should have to wait longer for a change (RFC 8767, section 4).
const LONGEST_TTL: u32 = 604_800;

/// Reads `[dns]`. `None` only if faults were reported.
pub(crate) fn read(gateway: &Table<'_>, here: &Here, consortium: &Consortium) -> Option<Dns> {
    let Some(table) = gateway.table("dns", &DNS) else {
        return Some(Dns { listen: Vec::new(), ttl: 5, records: Vec::new() });
    };
    let own = here.site.as_ref().and_then(|site| consortium.site_prefixes(&site.value));
    let listen = read_listen(&table, own);
    let ttl = read_ttl(&table).unwrap_or(5);
    let org = here.org.as_ref().map(|org| &org.value);
    let zone = org.zip(consortium.domain()).map(|(org, domain)| Zone::new(org, domain));
    let mut records = Vec::new();
    for table in table.tables("record", limits::DNS_RECORDS, &RECORD) {
        records.extend(read_record(&table, zone.as_ref(), ttl, consortium));
    }
    check_together(&records, &table);
    Some(Dns { listen, ttl, records })
}

fn read_ttl(table: &Table<'_>) -> Option<u32> {
    table.optional("ttl")?.integer(0..=LONGEST_TTL)
}

/// Addresses in the own site's prefixes, or private ones; port 53 unless it is given.
fn read_listen(table: &Table<'_>, own: Option<&[PlacedPrefix]>) -> Vec<SocketAddr> {
    let mut listen = BTreeSet::new();
    for item in table.list("listen", limits::DNS_LISTEN) {
        let Some(socket) = read_socket_address(&item) else { continue };
        let address = socket.ip();
        if !is_private(address) && !own.is_some_and(|own| holds(own, address)) {
            let ranges = own.filter(|own| !own.is_empty()).map_or_else(|| "the own site".into(), ranges);
            item.fault(format!("{address} is not private; write an address in {ranges}"));
        } else if !listen.insert(socket) {
            item.fault(format!("{socket} is listed twice; remove one of them"));
        }
    }
    listen.into_iter().collect()
}

fn read_socket_address(item: &Item<'_>) -> Option<SocketAddr> {
    let text = item.text()?;
    let address = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    match address.or_else(|_| text.parse::<SocketAddr>()) {
        Ok(socket) if socket.port() != 0 => Some(socket),
        _ => item.refuse(format!("{text:?} is not an address, or an address and a port")),
    }
}

/// One record for each address.
fn read_record(table: &Table<'_>, zone: Option<&Zone>, ttl: u32, consortium: &Consortium) -> Vec<DnsRecord> {
    let name = table.required("name").and_then(|item| read_owner(&item, zone?));
    let kind = table.required("type").and_then(|item| read_type(&item));
    let ttl = read_ttl(table).unwrap_or(ttl);
    let Some((data, kind)) = table.required("data").zip(kind) else { return Vec::new() };
    let items = if kind == Type::Cname { vec![data] } else { data.one_or_more(limits::DNS_RECORDS) };
    let records = items.iter().filter_map(|item| {
        let data = match kind {
            Type::Cname => DnsData::Cname(read_target(item, zone?, name.as_deref())?),
            _ => DnsData::Address(read_address(item, kind, consortium)?),
        };
        Some(DnsRecord { name: name.clone()?, ttl, data, place: item.place() })
    });
    records.collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    A,
    Aaaa,
    Cname,
}

fn read_type(item: &Item<'_>) -> Option<Type> {
    match item.text()? {
        "A" => Some(Type::A),
        "AAAA" => Some(Type::Aaaa),
        "CNAME" => Some(Type::Cname),
        other => item.refuse(format!("{other:?} is no type that can be served")),
    }
}

fn read_owner(item: &Item<'_>, zone: &Zone) -> Option<String> {
    let name = zone.absolute(item.text()?).map_or_else(|error| item.refuse(error), Some)?;
    match zone.holds(&name) {
        true => Some(name),
        false => item.refuse(format!("{name} is outside the own zone; write a name below {}", zone.apex)),
    }
}

fn read_target(item: &Item<'_>, zone: &Zone, owner: Option<&str>) -> Option<String> {
    let target = zone.absolute(item.text()?).map_or_else(|error| item.refuse(error), Some)?;
    match owner == Some(&target) {
        true => item.refuse(format!("{target} is a CNAME of itself; write the name that has the addresses")),
        false => Some(target),
    }
}

/// An address of the type's family in one of the organization's sites.
fn read_address(item: &Item<'_>, kind: Type, consortium: &Consortium) -> Option<IpAddr> {
    let text = item.text()?;
    let Ok(address) = text.parse() else {
        return item.refuse(format!("{text:?} is not an address"));
    };
    match (kind, address) {
        (Type::A, IpAddr::V6(_)) => return item.refuse(format!("{address} is IPv6; write type = \"AAAA\"")),
        (Type::Aaaa, IpAddr::V4(_)) => return item.refuse(format!("{address} is IPv4; write type = \"A\"")),
        _ => {}
    }
    let Some(sites) = consortium.own_sites() else { return Some(address) };
    if sites.iter().any(|site| holds(&site.prefixes, address)) {
        return Some(address);
    }
    let own = sites.iter().flat_map(|site| &site.prefixes);
    item.refuse(format!("{address} is in no site of the own record; write an address in {}", ranges(own)))
}

/// A CNAME is alone at its name (RFC 1034, section 3.6.2), and nothing is said twice.
fn check_together(records: &[DnsRecord], table: &Table<'_>) {
    let mut first: BTreeMap<&str, &DnsRecord> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for record in records {
        let DnsRecord { name, data, place, .. } = record;
        let known = *first.entry(name).or_insert(record);
        let is_cname = |record: &DnsRecord| matches!(record.data, DnsData::Cname(_));
        if known != record && (is_cname(known) || is_cname(record)) {
            let other = &known.place;
            table.fault_at(
                place,
                format!("{name} has another record at {other}; a CNAME must be its only one"),
            );
        } else if !seen.insert((name, data)) {
            table.fault_at(place, format!("{name} has this address already; remove one of them"));
        }
    }
}

fn holds(prefixes: &[PlacedPrefix], address: IpAddr) -> bool {
    prefixes.iter().any(|own| own.prefix.contains(address))
}

/// A few of the ranges that would be right.
pub(crate) fn ranges<'a>(prefixes: impl IntoIterator<Item = &'a PlacedPrefix>) -> String {
    let mut prefixes = prefixes.into_iter().map(|own| own.prefix.to_string());
    let shown: Vec<String> = prefixes.by_ref().take(4).collect();
    let more = if prefixes.next().is_some() { ", …" } else { "" };
    match shown.is_empty() {
        true => "a site, once it has prefixes".to_owned(),
        false => format!("{}{more}", shown.join(", ")),
    }
}
