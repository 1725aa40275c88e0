//! The address ranges of an attached node: its own, and what it takes of its gateways' offers.

use std::net::IpAddr;

use crate::file::item::Item;
use crate::file::remedy;
use crate::file::report::Report;
use crate::file::table::Table;
use crate::ha::can_be_a_host;
use crate::keys::node as node_keys;
use crate::{Member, PlacedPrefix, Prefix, SiteId, defaults, limits};

pub(super) fn read_addresses(table: &Table<'_>) -> Vec<IpAddr> {
    let items = table.list(&node_keys::ADDRESSES, limits::NODE_PREFIXES);

    items.iter().filter_map(read_address).collect()
}

fn read_address(item: &Item<'_>) -> Option<IpAddr> {
    let text = item.text()?;
    let Ok(address) = text.parse::<IpAddr>() else {
        return item.refuse(match text.parse::<Prefix>() {
            Ok(prefix) if !prefix.is_host() => {
                format!("{text:?} is a prefix; write it in prefixes")
            }
            _ if text.contains('/') => remedy::no_address(text, "is a prefix"),
            _ => remedy::no_address(text, "is no IP address"),
        });
    };
    if !can_be_a_host(address) {
        return item.refuse(format!(
            "{address} cannot be the address of a host among others; write one of the data centre's"
        ));
    }

    Some(address)
}

/// The node's prefixes: its addresses, and the networks behind it.
pub(super) fn read_prefixes(table: &Table<'_>, addresses: &[IpAddr]) -> Vec<PlacedPrefix> {
    let written = [node_keys::ADDRESSES, node_keys::PREFIXES].map(|key| table.optional(&key));
    let place = written[0].map_or_else(|| table.place().clone(), |item| item.place());
    let mut prefixes: Vec<PlacedPrefix> = Vec::new();

    for item in table.list(&node_keys::PREFIXES, limits::NODE_PREFIXES) {
        prefixes.extend(read_prefix(&item));
    }
    for address in addresses.iter().copied().map(Prefix::host) {
        if !prefixes.iter().any(|known| known.prefix.covers(&address)) {
            prefixes.push(PlacedPrefix {
                prefix: address,
                place: place.clone(),
            });
        }
    }

    // What has faults of its own is not missing.
    let has_faults = written.iter().flatten().any(|item| item.raw() != "[]");
    if prefixes.is_empty() && !has_faults {
        table.fault(format!(
            "a node has addresses or prefixes, as in its [[node]] on the gateways; {}",
            remedy::of_form(node_keys::ADDRESSES.form)
        ));
    }
    prefixes
}

fn read_prefix(item: &Item<'_>) -> Option<PlacedPrefix> {
    let text = item.text()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return item.refuse(format!(
            "{text:?} is an address; write it in addresses, or \"{}\" here if another interface \
             has it",
            Prefix::host(address)
        ));
    }
    let prefix: Prefix = item.parse()?;
    if prefix.len() == 0 {
        return item.refuse(format!("{prefix} leaves no range for anybody else"));
    }
    if !can_be_a_host(prefix.address()) {
        return item.refuse(format!("{prefix} is no network of hosts"));
    }

    Some(PlacedPrefix {
        prefix,
        place: item.place(),
    })
}

/// Notes what the gateways of `site` cannot take from the node: no member sends anything there.
pub(super) fn note_outside(own: &[PlacedPrefix], site: &SiteId, member: &Member, report: &Report) {
    let served = member.sites.iter().filter(|known| {
        let via = known.via.as_ref();
        known.name == *site || via.is_some_and(|via| via.org.is_none() && via.site == *site)
    });
    let served: Vec<Prefix> = served
        .flat_map(|site| site.prefixes.iter().map(|placed| placed.prefix))
        .collect();

    for placed in own {
        if !served.iter().any(|whole| whole.covers(&placed.prefix)) {
            let known: Vec<String> = served.iter().map(Prefix::to_string).collect();
            report.note(
                &placed.place,
                format!(
                    "{} lies in no prefix that the gateways of {site} serve by {} ({}), and they \
                     refuse it; write the addresses that the node has in its [[node]] there, or \
                     take the newest record",
                    placed.prefix,
                    member.place,
                    known.join(", ")
                ),
            );
        }
    }
}

/// What is taken of the gateways' offers.
pub(super) fn read_accept(table: &Table<'_>) -> Vec<Prefix> {
    let Some(item) = table.optional(&node_keys::ACCEPT) else {
        return defaults::accept();
    };

    let mut accept = Vec::new();
    for item in item.list(limits::PREFIXES) {
        match item.parse::<Prefix>() {
            Some(prefix) if prefix.len() == 0 => {
                item.fault(format!(
                    "{prefix} is the default route, which no gateway may give"
                ));
            }
            Some(prefix) => accept.push(prefix),
            None => {}
        }
    }
    accept
}
