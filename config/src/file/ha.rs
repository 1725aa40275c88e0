//! `[ha]`: the virtual addresses of the site's gateways, and the commands of a takeover.

use std::net::IpAddr;

use super::consortium::Consortium;
use super::item::Item;
use super::local_gateway::LocalGateway;
use super::table::Table;
use crate::keys::{Key, gateway, ha as keys};
use crate::{Ha, Hook, PlacedPrefix, TunName, VirtualAddress, limits};

/// 0 and 255 are left for what may have to be said of gateways some time, as in VRRP (RFC 9568,
/// section 5.2.4).
const PREFERENCES: std::ops::RangeInclusive<u32> = 1..=254;

/// Prefixes of this site that a fault offers.
const MOST_OFFERED: usize = 4;

/// Reads `[ha]`. A value with faults is reported; the default that replaces it is never used.
pub(crate) fn read(table: &Table<'_>, local: &LocalGateway, consortium: &Consortium) -> Ha {
    let mut ha = Ha::default();
    let Some(table) = table.table(&gateway::HA, &keys::SCHEMA) else {
        return ha;
    };

    let site = local.site.as_ref();
    let own = site.and_then(|site| consortium.site_prefixes(&site.value));
    ha.addresses = read_addresses(&table, own);
    if let Some(item) = table.optional(&keys::INTERFACE) {
        // The rule is the same for every interface.
        let name: Option<TunName> = item.parse();
        ha.interface = name.map(|name| name.to_string()).unwrap_or_default();
    } else if table.optional(&keys::ADDRESSES).is_some() {
        _ = table.required(&keys::INTERFACE);
    }
    if let Some(item) = table.optional(&keys::PREFERENCE) {
        let preference = item.integer(PREFERENCES).map(u8::try_from);
        ha.preference = preference.and_then(Result::ok).unwrap_or(ha.preference);
    }
    ha.on_active = read_hook(&table, &keys::ON_ACTIVE);
    ha.on_standby = read_hook(&table, &keys::ON_STANDBY);

    ha
}

/// `own` are this site's prefixes; `None` if our record has faults.
fn read_addresses(table: &Table<'_>, own: Option<&[PlacedPrefix]>) -> Vec<VirtualAddress> {
    let mut addresses: Vec<VirtualAddress> = Vec::new();
    for item in table.list(&keys::ADDRESSES, limits::HA_ADDRESSES) {
        let Some(read) = item.parse::<VirtualAddress>() else {
            continue;
        };

        let address = read.address;
        if addresses.iter().any(|known| known.address == address) {
            item.fault(format!("{address} is listed twice; remove one of them"));
        } else if let Some(own) = own
            && !is_inside(address, own)
        {
            item.fault(format!(
                "{address} is no address of this site; write one in {}",
                offer(own)
            ));
        } else {
            addresses.push(read);
        }
    }

    addresses.sort();
    addresses
}

fn is_inside(address: IpAddr, own: &[PlacedPrefix]) -> bool {
    own.iter().any(|placed| placed.prefix.contains(address))
}

fn offer(own: &[PlacedPrefix]) -> String {
    let mut shown: Vec<String> = own
        .iter()
        .take(MOST_OFFERED)
        .map(|placed| placed.prefix.to_string())
        .collect();
    if own.len() > MOST_OFFERED {
        shown.push("…".to_owned());
    }

    shown.join(", ")
}

/// A program and its arguments. A single text would need a shell to take it apart.
fn read_hook(table: &Table<'_>, key: &Key) -> Option<Hook> {
    let item = table.optional(key)?;
    let words: Vec<String> = item
        .list(limits::COMMAND_WORDS)
        .iter()
        .filter_map(read_word)
        .collect();
    if item.is_empty() {
        return item.refuse("no program");
    }

    let (program, arguments) = words.split_first()?;
    if !program.starts_with('/') {
        return item.refuse(format!("{program:?} is not the absolute path of a program"));
    }
    Some(Hook {
        program: program.clone(),
        arguments: arguments.to_vec(),
    })
}

fn read_word(item: &Item<'_>) -> Option<String> {
    match item.text()? {
        // execve(2) would take it for the end.
        word if word.contains('\0') => item.refuse("a zero character"),
        word if word.len() > limits::COMMAND_WORD => item.refuse(format!(
            "{} bytes; a word of a command has at most {}",
            word.len(),
            limits::COMMAND_WORD
        )),
        word => Some(word.to_owned()),
    }
}
