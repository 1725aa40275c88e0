//! `[[dns.forward]]`: who is asked for names outside the consortium.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::super::table::{Item, Key, Schema, Table};
use super::super::zone::{is_below, is_label};
use super::read_socket_address;
use crate::{Forward, Place, ZoneName, limits};

const FORWARD: Schema = Schema {
    name: "[[dns.forward]]",
    keys: &[
        Key(
            "suffix",
            "suffix = \"corp.example\", or no suffix for every other name",
        ),
        Key("servers", "servers = [\"10.0.0.2\"], or \"10.0.0.2:5353\""),
    ],
};

/// Every block: each suffix once, none in the consortium's `domain`, nowhere this server's own `listen`.
pub(super) fn read(
    dns: &Table<'_>,
    domain: Option<&ZoneName>,
    listen: &[SocketAddr],
) -> Vec<Forward> {
    let mut first = BTreeMap::new();
    let mut forwards = Vec::new();
    for table in dns.tables("forward", limits::DNS_FORWARDS, &FORWARD) {
        let suffix = match table.optional("suffix") {
            Some(item) => read_suffix(&item, domain),
            None => Some(String::new()),
        };
        let servers = table
            .required("servers")
            .map(|item| read_servers(&item, listen))
            .unwrap_or_default();
        let Some(suffix) = suffix.filter(|suffix| is_first(&table, suffix, &mut first)) else {
            continue;
        };
        forwards.push(Forward { suffix, servers });
    }
    forwards
}

fn read_suffix(item: &Item<'_>, domain: Option<&ZoneName>) -> Option<String> {
    let text = item.text()?;
    let lower = text.to_ascii_lowercase();
    let suffix = lower.strip_suffix('.').unwrap_or(&lower);
    if suffix.len() > 253 || !suffix.split('.').all(is_label) {
        return item.refuse(format!(
            "{text:?} is no name of labels of 1 to 63 letters, digits, '-' and '_'"
        ));
    }
    match domain.filter(|domain| is_below(suffix, domain.as_str())) {
        Some(domain) => {
            let reason = "the members answer for its names, and nobody else is asked";
            item.refuse(format!(
                "{suffix} is in the consortium's domain {domain}: {reason}; remove this block"
            ))
        }
        None => Some(suffix.to_owned()),
    }
}

/// False, and a fault, if an earlier block has the suffix.
fn is_first(table: &Table<'_>, suffix: &str, first: &mut BTreeMap<String, Place>) -> bool {
    let place = table
        .optional("suffix")
        .map_or_else(|| table.place().clone(), |item| item.place());
    let Some(earlier) = first.get(suffix) else {
        first.insert(suffix.to_owned(), place);
        return true;
    };
    let what = if suffix.is_empty() {
        "every other name"
    } else {
        suffix
    };
    table.fault_at(
        &place,
        format!("{what} is forwarded at {earlier} already; remove one of them"),
    );
    false
}

fn read_servers(item: &Item<'_>, listen: &[SocketAddr]) -> Vec<SocketAddr> {
    if item.is_empty() {
        item.fault("at least one resolver must be there");
    }
    let mut servers = Vec::new();
    for item in &item.one_or_more(limits::DNS_RESOLVERS) {
        let Some(server) = read_socket_address(item) else {
            continue;
        };
        if server.ip().is_unspecified() || server.ip().is_multicast() {
            item.fault(format!("{} is no resolver's address", server.ip()));
        } else if listen.contains(&server) {
            item.fault(format!(
                "{server} is this server itself, which would ask in a loop; remove it"
            ));
        } else if servers.contains(&server) {
            item.fault(format!("{server} is listed twice; remove one of them"));
        } else {
            servers.push(server);
        }
    }
    servers
}
