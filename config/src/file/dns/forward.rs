//! `[[dns.forward]]`: which resolvers are asked for names outside the consortium.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::read_socket_address;
use crate::file::item::Item;
use crate::file::table::Table;
use crate::keys::{dns, forward as keys};
use crate::{DnsName, Forward, Place, ZoneName, limits};

/// Every block: each suffix once, none inside the consortium's `domain`, and no resolver that is
/// one of our `listen` addresses.
pub(super) fn read(
    table: &Table<'_>,
    domain: Option<&ZoneName>,
    listen: &[SocketAddr],
) -> Vec<Forward> {
    let mut first = BTreeMap::new();
    let mut forwards = Vec::new();
    for block in table.tables(&dns::FORWARD, limits::DNS_FORWARDS, &keys::SCHEMA) {
        let suffix = read_suffix(&block, domain);
        let servers = block
            .required(&keys::SERVERS)
            .map(|item| read_servers(&item, listen))
            .unwrap_or_default();

        // Who names a suffix means its resolvers. Any other name could be anybody's, and with a
        // private address it would lead a browser to a host of this site ("DNS rebinding").
        let private_answers = block
            .optional(&keys::PRIVATE_ANSWERS)
            .map_or(suffix != Some(Suffix::EveryOther), |item| {
                item.boolean().unwrap_or(false)
            });

        if let Some(suffix) = suffix
            && is_first(&block, &suffix, &mut first)
        {
            forwards.push(Forward {
                suffix: suffix.into_name(),
                servers,
                private_answers,
            });
        }
    }

    forwards
}

/// The names that a block is for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Suffix {
    /// The block has no suffix: every name that no other block holds.
    EveryOther,
    Name(DnsName),
}

impl Suffix {
    fn into_name(self) -> Option<DnsName> {
        match self {
            Suffix::EveryOther => None,
            Suffix::Name(name) => Some(name),
        }
    }
}

/// `None` only if a fault was reported.
fn read_suffix(block: &Table<'_>, domain: Option<&ZoneName>) -> Option<Suffix> {
    let Some(item) = block.optional(&keys::SUFFIX) else {
        return Some(Suffix::EveryOther);
    };

    let suffix: DnsName = item.parse()?;
    if let Some(domain) = domain
        && suffix.is_within(domain)
    {
        return item.refuse(format!(
            "{suffix} is in the consortium's domain {domain}: only the members answer for its \
             names; remove this block"
        ));
    }

    Some(Suffix::Name(suffix))
}

/// False, and a fault, if an earlier block has the suffix.
fn is_first(block: &Table<'_>, suffix: &Suffix, first: &mut BTreeMap<Suffix, Place>) -> bool {
    // A block without a suffix is placed at its header.
    let place = match block.optional(&keys::SUFFIX) {
        Some(item) => item.place(),
        None => block.place().clone(),
    };
    let Some(earlier) = first.get(suffix) else {
        first.insert(suffix.clone(), place);
        return true;
    };

    let what = match suffix {
        Suffix::EveryOther => "every other name",
        Suffix::Name(name) => name.as_str(),
    };
    block.fault_at(
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
        let address = server.ip();
        if address.is_unspecified() || address.is_multicast() {
            item.fault(format!("{address} is no resolver's address"));
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
