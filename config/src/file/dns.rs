//! `[dns]`: the addresses of the server, and the records of our zone. Whether the records fit
//! together is checked in `ringway-dns`, which also reads the zone files.

mod check;
mod forward;
mod host;
mod kubernetes;
mod ptr;
mod record;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::consortium::Consortium;
use super::gateway::read_path;
use super::item::Item;
use super::local_gateway::LocalGateway;
use super::remedy;
use super::table::Table;
use super::zone::Zone;
use crate::bogon::is_private;
use crate::keys::{Key, dns as keys, gateway, query_log, rate_limit};
use crate::{ApexMode, Dns, RateLimit, ZoneFile, defaults, limits};

/// One question in so many is logged.
const SAMPLES: RangeInclusive<u32> = 1..=1_000_000;

/// Responses per second; 0 is no limit.
const RATES: RangeInclusive<u32> = 0..=1_000_000;

/// Seconds, at most a week: resolvers cap longer TTLs there (RFC 8767, section 4).
const TTLS: RangeInclusive<u32> = 0..=604_800;

/// Seconds: from a minute to a year.
const HOLDS: RangeInclusive<u32> = 60..=31_536_000;

/// Reads `[dns]`. `None` only if faults were reported.
pub(crate) fn read(
    table: &Table<'_>,
    dir: &Path,
    local: &LocalGateway,
    consortium: &Consortium,
) -> Option<Dns> {
    let Some(item) = table.optional(&gateway::DNS) else {
        return Some(Dns::default());
    };
    let table = item.table(&keys::SCHEMA)?;

    // Without an organization and a domain, names cannot be completed; the records are still read,
    // for their other faults.
    let zone = match (&local.org, consortium.domain()) {
        (Some(org), Some(domain)) => Some(Zone::new(&org.value, domain)),
        _ => None,
    };
    let ttl = read_ttl(&table, &keys::TTL).unwrap_or(defaults::DNS_TTL);
    let public_listen = read_flag(&table, &keys::PUBLIC_LISTEN);
    let listen = read_listen(&table, public_listen);
    let forward = forward::read(&table, consortium.domain(), &listen);
    let (mut records, checks) = host::read(&table, zone.as_ref(), ttl);
    records.extend(record::read(&table, zone.as_ref(), ttl));
    records.extend(ptr::read(&table, zone.as_ref(), ttl));

    Some(Dns {
        listen,
        public_listen,
        ttl,
        records,
        checks,
        zone_files: read_zone_files(&table, dir),
        foreign_addresses: read_flag(&table, &keys::FOREIGN_ADDRESSES),
        query_log: read_query_log(&table),
        rate_limit: read_rate_limit(&table),
        hold: read_hold(&table).unwrap_or(defaults::DNS_HOLD),
        apex: read_apex(&table),
        forward,
        kubernetes: kubernetes::read(&table, dir),
    })
}

/// False if the key is absent.
fn read_flag(table: &Table<'_>, key: &Key) -> bool {
    table
        .optional(key)
        .and_then(|item| item.boolean())
        .unwrap_or(false)
}

/// `None` if the key is absent.
fn read_ttl(table: &Table<'_>, key: &Key) -> Option<u32> {
    table.optional(key)?.integer(TTLS)
}

fn read_hold(table: &Table<'_>) -> Option<Duration> {
    let seconds = table.optional(&keys::HOLD)?.integer(HOLDS)?;
    Some(Duration::from_secs(seconds.into()))
}

fn read_apex(table: &Table<'_>) -> ApexMode {
    let modes = [("closed", ApexMode::Closed), ("forward", ApexMode::Forward)];
    let item = table.optional(&keys::APEX);

    item.and_then(|item| item.word(&modes))
        .unwrap_or(ApexMode::Closed)
}

fn read_query_log(table: &Table<'_>) -> Option<u32> {
    table
        .table(&keys::QUERY_LOG, &query_log::SCHEMA)?
        .required(&query_log::SAMPLE)?
        .integer(SAMPLES)
}

/// What a table leaves out is the default.
fn read_rate_limit(table: &Table<'_>) -> RateLimit {
    let Some(table) = table.table(&keys::RATE_LIMIT, &rate_limit::SCHEMA) else {
        return defaults::DNS_RATE;
    };

    RateLimit {
        site: read_rate(&table, &rate_limit::SITE).unwrap_or(defaults::DNS_RATE.site),
        members: read_rate(&table, &rate_limit::MEMBERS).unwrap_or(defaults::DNS_RATE.members),
    }
}

fn read_rate(table: &Table<'_>, key: &Key) -> Option<u32> {
    table.optional(key)?.integer(RATES)
}

/// Private addresses, or any if `public_listen` is set, but no wildcard.
fn read_listen(table: &Table<'_>, public_listen: bool) -> Vec<SocketAddr> {
    let mut listen = BTreeSet::new();
    for item in table.list(&keys::LISTEN, limits::DNS_LISTEN) {
        let Some(socket) = read_socket_address(&item) else {
            continue;
        };
        let address = socket.ip();
        if address.is_unspecified() {
            // A response must leave from the address that the question was sent to.
            item.fault(format!(
                "{address} is every address at once; write the addresses one by one"
            ));
        // A zone lists an organization's hosts: strangers may ask for them only if that is meant.
        } else if !public_listen && !is_private(address) {
            item.fault(format!(
                "{address} is not private; write one that is, or public-listen = true"
            ));
        } else if !listen.insert(socket) {
            item.fault(format!("{socket} is listed twice; remove one of them"));
        }
    }

    listen.into_iter().collect()
}

/// An address and a port; the port may be left out.
fn read_socket_address(item: &Item<'_>) -> Option<SocketAddr> {
    let text = item.text()?;
    let socket = match text.parse::<IpAddr>() {
        Ok(address) => Some(SocketAddr::new(address, defaults::DNS_PORT)),
        Err(_) => text.parse().ok(),
    };

    match socket {
        Some(socket) if socket.port() != 0 => Some(socket),
        _ => item.refuse(remedy::no_address(
            text,
            "is not an address, or an address and a port",
        )),
    }
}

fn read_zone_files(table: &Table<'_>, dir: &Path) -> Vec<ZoneFile> {
    let mut files = Vec::new();
    for item in table.list(&keys::ZONE_FILES, limits::DNS_ZONE_FILES) {
        if let Some(path) = read_path(&item, dir) {
            files.push(ZoneFile {
                path,
                place: item.place(),
            });
        }
    }

    files
}
