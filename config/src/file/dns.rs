//! `[dns]`: where the server listens, and what the own zone is made of. Whether its records fit together is
//! `ringway-dns`'s to check, which reads the zone files too.

mod forward;
mod record;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::consortium::Consortium;
use super::gateway::{Here, read_path};
use super::table::{Item, Key, Schema, Table};
use super::zone::Zone;
use crate::bogon::is_private;
use crate::{Dns, ZoneFile, limits};

const DNS: Schema = Schema {
    name: "[dns]",
    keys: &[
        Key("listen", "listen = [\"10.1.0.1\"], or \"10.1.0.1:5353\""),
        Key("ttl", "ttl = 5"),
        Key("zone-files", "zone-files = [\"acme.zone\"]"),
        Key("foreign-addresses", "foreign-addresses = false"),
        Key("public-listen", "public-listen = false"),
        Key("hold", "hold = 604800"),
        Key("query-log", "query-log = { sample = 100 }"),
        Key("host", "[[dns.host]] with name and addresses"),
        Key("record", "[[dns.record]] with name, type and data"),
        Key("forward", "[[dns.forward]] with servers"),
    ],
};

const QUERY_LOG: Schema = Schema {
    name: "[dns.query-log]",
    keys: &[Key("sample", "sample = 100, for one question in 100")],
};
const SAMPLES: RangeInclusive<u32> = 1..=1_000_000;

/// A week: nobody should have to wait longer for a change (RFC 8767, section 4).
const LONGEST_TTL: u32 = 604_800;

/// Seconds: a week, a minute, a year.
const DEFAULT_HOLD: u32 = 604_800;
const HOLDS: RangeInclusive<u32> = 60..=31_536_000;

/// Seconds that a change may take to be seen by everybody.
const DEFAULT_TTL: u32 = 5;

/// Reads `[dns]`. `None` only if faults were reported.
pub(crate) fn read(
    gateway: &Table<'_>,
    dir: &Path,
    here: &Here,
    consortium: &Consortium,
) -> Option<Dns> {
    let Some(table) = gateway.table("dns", &DNS) else {
        return Some(Dns {
            listen: Vec::new(),
            ttl: DEFAULT_TTL,
            records: Vec::new(),
            zone_files: Vec::new(),
            foreign_addresses: false,
            public_listen: false,
            hold: Duration::from_secs(DEFAULT_HOLD.into()),
            query_log: None,
            forward: Vec::new(),
        });
    };
    let org = here.org.as_ref().map(|org| &org.value);
    let zone = org
        .zip(consortium.domain())
        .map(|(org, domain)| Zone::new(org, domain));
    let ttl = read_ttl(&table).unwrap_or(DEFAULT_TTL);
    let public = table
        .optional("public-listen")
        .and_then(|item| item.boolean())
        .unwrap_or(false);
    let listen = read_listen(&table, public);
    let hold = table.optional("hold").and_then(|item| item.integer(HOLDS));
    let forward = forward::read(&table, consortium.domain(), &listen);
    Some(Dns {
        listen,
        public_listen: public,
        ttl,
        records: record::read(&table, zone.as_ref(), ttl),
        zone_files: read_zone_files(&table, dir),
        foreign_addresses: table
            .optional("foreign-addresses")
            .and_then(|item| item.boolean())
            .unwrap_or(false),
        query_log: read_query_log(&table),
        hold: Duration::from_secs(hold.unwrap_or(DEFAULT_HOLD).into()),
        forward,
    })
}

fn read_ttl(table: &Table<'_>) -> Option<u32> {
    table.optional("ttl")?.integer(0..=LONGEST_TTL)
}

fn read_query_log(table: &Table<'_>) -> Option<u32> {
    table
        .table("query-log", &QUERY_LOG)?
        .required("sample")?
        .integer(SAMPLES)
}

/// Private addresses, or any with `public`, but no wildcard; port 53 unless it is given.
fn read_listen(table: &Table<'_>, public: bool) -> Vec<SocketAddr> {
    let mut listen = BTreeSet::new();
    for item in table.list("listen", limits::DNS_LISTEN) {
        let Some(socket) = read_socket_address(&item) else {
            continue;
        };
        let address = socket.ip();
        if address.is_unspecified() {
            // An answer must leave from the address that was asked.
            item.fault(format!(
                "{address} is every address at once; write the addresses one by one"
            ));
        } else if !public && !is_private(address) {
            item.fault(format!(
                "{address} is not private; write one that is, or public-listen = true"
            ));
        } else if !listen.insert(socket) {
            item.fault(format!("{socket} is listed twice; remove one of them"));
        }
    }
    listen.into_iter().collect()
}

fn read_socket_address(item: &Item<'_>) -> Option<SocketAddr> {
    let text = item.text()?;
    let address = text
        .parse::<IpAddr>()
        .map(|address| SocketAddr::new(address, 53));
    match address.or_else(|_| text.parse::<SocketAddr>()) {
        Ok(socket) if socket.port() != 0 => Some(socket),
        _ => item.refuse(format!(
            "{text:?} is not an address, or an address and a port"
        )),
    }
}

fn read_zone_files(table: &Table<'_>, dir: &Path) -> Vec<ZoneFile> {
    let items = table.list("zone-files", limits::DNS_ZONE_FILES);
    let file = |item: &Item<'_>| {
        Some(ZoneFile {
            path: read_path(item, dir)?,
            place: item.place(),
        })
    };
    items.iter().filter_map(file).collect()
}
