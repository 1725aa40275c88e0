//! The rule that sends packets to our table unless they carry the tunnel's mark; one per family.
//!
//! A rule is ours if it leads to our table and carries our protocol number.
//!
//! Also two rules for each of our own prefixes, directly before the main table's:
//!
//! ```text
//!   priority 32764  to 10.1.0.0/16  ──►  main table, but for its default routes
//!   priority 32765  to 10.1.0.0/16  ──►  unreachable
//! ```
//! Routes could not do that: in our table they would come before the host's routes to the site, and
//! in the main table before the shorter ones among these.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use ringway_config::{Prefix, Routes as Numbers};
use rtnetlink::IpVersion;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::RouteProtocol;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};

use super::{LONGEST_DEFAULT_V4, LONGEST_DEFAULT_V6, RULE_PRIORITY};
use crate::netlink::{self, Netlink};

/// Priorities of the rules for our own prefixes: after all other rules, directly before the main
/// table's.
pub(crate) const BY_HOST_PRIORITY: u32 = 32_764;
const UNREACHABLE_PRIORITY: u32 = 32_765;
const MAIN_TABLE: u32 = 254;

/// Adds our rule if it is missing, then removes other rules of ours (with an earlier
/// configuration's mark). True if it changed anything.
pub(super) async fn ensure(
    netlink: &Netlink,
    numbers: &Numbers,
    family: &IpVersion,
) -> io::Result<bool> {
    let rules = ours(netlink, numbers, family).await?;
    let (mut current, mut superfluous): (Vec<_>, Vec<_>) = rules
        .into_iter()
        .partition(|rule| is_current(rule, numbers));

    let is_missing = current.is_empty();

    // Add first: packets must not miss the table in between.
    if is_missing {
        add(netlink, numbers, family).await?;
    } else {
        superfluous.extend(current.drain(1..));
    }

    let is_changed = is_missing || !superfluous.is_empty();
    remove(netlink, superfluous).await?;
    Ok(is_changed)
}

/// Removes every rule of ours. Returns their number.
pub(super) async fn purge(
    netlink: &Netlink,
    numbers: &Numbers,
    family: &IpVersion,
) -> io::Result<usize> {
    let rules = ours(netlink, numbers, family).await?;
    let count = rules.len();
    remove(netlink, rules).await?;
    Ok(count)
}

async fn ours(
    netlink: &Netlink,
    numbers: &Numbers,
    family: &IpVersion,
) -> io::Result<Vec<RuleMessage>> {
    let mut rules = netlink::dump(netlink.handle().rule().get(family.clone()).execute()).await?;
    rules.retain(|rule| is_ours(rule, numbers));
    Ok(rules)
}

/// Makes the rules for our own prefixes those of `own`. Of the others, only rules for prefixes in
/// `known` are removed, because another daemon on this host may serve the same site with the same
/// protocol number. Returns the number of changes.
pub(super) async fn ensure_own(
    netlink: &Netlink,
    numbers: &Numbers,
    family: &IpVersion,
    own: &BTreeSet<Prefix>,
    known: &BTreeSet<Prefix>,
) -> io::Result<usize> {
    let mut changes = 0;
    let rules = netlink::dump(netlink.handle().rule().get(family.clone()).execute()).await?;

    for prefix in own.iter().filter(|prefix| is_of(family, prefix)) {
        // The rule to the main table first: a prefix must not be unreachable in between.
        for wanted in own_rules(prefix, numbers) {
            if !rules.iter().any(|rule| is_same(rule, &wanted)) {
                let mut request = netlink.handle().rule().add();
                *request.message_mut() = wanted;
                let added = netlink::answer(request.execute()).await;
                ignore(added, libc::EEXIST)?;
                changes += 1;
            }
        }
    }

    let former = known.difference(own);
    for prefix in former.filter(|prefix| is_of(family, prefix)) {
        // The `unreachable` rule first: alone, it would cut this host off from the site.
        for superfluous in own_rules(prefix, numbers).into_iter().rev() {
            let found: Vec<_> = rules
                .iter()
                .filter(|rule| is_same(rule, &superfluous))
                .cloned()
                .collect();
            changes += found.len();
            remove(netlink, found).await?;
        }
    }
    Ok(changes)
}

/// The two rules for our own prefix `prefix`, in the order of adding.
fn own_rules(prefix: &Prefix, numbers: &Numbers) -> [RuleMessage; 2] {
    let mut by_host = own_rule(prefix, numbers, BY_HOST_PRIORITY);
    let longest_default = if prefix.is_ipv4() {
        LONGEST_DEFAULT_V4
    } else {
        LONGEST_DEFAULT_V6
    };
    by_host.header.action = RuleAction::ToTable;
    by_host.header.table = MAIN_TABLE as u8;
    by_host.attributes.extend([
        RuleAttribute::Table(MAIN_TABLE),
        RuleAttribute::SuppressPrefixLen(longest_default),
    ]);

    let mut unreachable = own_rule(prefix, numbers, UNREACHABLE_PRIORITY);
    unreachable.header.action = RuleAction::Unreachable;
    [by_host, unreachable]
}

fn own_rule(prefix: &Prefix, numbers: &Numbers, priority: u32) -> RuleMessage {
    let mut message = RuleMessage::default();

    message.header.family = match prefix.address() {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    message.header.dst_len = prefix.len();
    message.attributes.extend([
        RuleAttribute::Destination(prefix.address()),
        RuleAttribute::Priority(priority),
        RuleAttribute::Protocol(RouteProtocol::from(numbers.protocol)),
    ]);
    message
}

fn is_of(family: &IpVersion, prefix: &Prefix) -> bool {
    prefix.is_ipv4() == matches!(family, IpVersion::V4)
}

/// True if `rule` has all attributes of `wanted`; the kernel adds others.
fn is_same(rule: &RuleMessage, wanted: &RuleMessage) -> bool {
    rule.header.action == wanted.header.action
        && rule.header.dst_len == wanted.header.dst_len
        && rule.header.src_len == 0
        && !rule.header.flags.contains(RuleFlags::Invert)
        && wanted
            .attributes
            .iter()
            .all(|attribute| rule.attributes.contains(attribute))
}

fn ignore(result: io::Result<()>, errno: i32) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(errno) => Ok(()),
        other => other,
    }
}

/// True if `rule` leads to our table and has our protocol number.
pub(crate) fn is_ours(rule: &RuleMessage, numbers: &Numbers) -> bool {
    let table = RuleAttribute::Table(numbers.table);
    let protocol = RuleAttribute::Protocol(RouteProtocol::from(numbers.protocol));

    // The kernel may give a table up to 255 in the header only.
    let leads_to_table =
        rule.attributes.contains(&table) || u32::from(rule.header.table) == numbers.table;

    leads_to_table && rule.attributes.contains(&protocol)
}

fn is_current(rule: &RuleMessage, numbers: &Numbers) -> bool {
    let attributes = [
        RuleAttribute::Priority(RULE_PRIORITY),
        RuleAttribute::FwMark(numbers.mark),
        RuleAttribute::FwMask(u32::MAX),
    ];

    rule.header.action == RuleAction::ToTable
        && rule.header.flags.contains(RuleFlags::Invert)
        && attributes
            .iter()
            .all(|attribute| rule.attributes.contains(attribute))
}

async fn add(netlink: &Netlink, numbers: &Numbers, family: &IpVersion) -> io::Result<()> {
    let request = netlink
        .handle()
        .rule()
        .add()
        .action(RuleAction::ToTable)
        .table_id(numbers.table)
        .priority(RULE_PRIORITY)
        .fw_mark(numbers.mark);

    match family {
        IpVersion::V4 => {
            let mut request = request.v4();
            complete(request.message_mut(), numbers);
            netlink::answer(request.execute()).await
        }
        IpVersion::V6 => {
            let mut request = request.v6();
            complete(request.message_mut(), numbers);
            netlink::answer(request.execute()).await
        }
    }
}

/// Sets fields that the library's request does not cover.
fn complete(message: &mut RuleMessage, numbers: &Numbers) {
    // `table_id` leaves the header at `main` when the table needs an attribute.
    message.header.table = u8::try_from(numbers.table).unwrap_or_default();

    // `not fwmark`: packets that carry the mark skip the table.
    message.header.flags = RuleFlags::Invert;
    message.attributes.extend([
        RuleAttribute::FwMask(u32::MAX),
        RuleAttribute::Protocol(RouteProtocol::from(numbers.protocol)),
    ]);
}

async fn remove(netlink: &Netlink, rules: Vec<RuleMessage>) -> io::Result<()> {
    for rule in rules {
        let removed = netlink::answer(netlink.handle().rule().del(rule).execute()).await;
        ignore(removed, libc::ENOENT)?;
    }
    Ok(())
}
