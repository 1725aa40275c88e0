//! The rule that leads packets to our table unless they carry the tunnel's mark; one per family.
//!
//! A rule is ours if it leads to our table and carries our protocol number.

use std::io;

use ringway_config::Routes as Numbers;
use rtnetlink::IpVersion;
use rtnetlink::packet_route::route::RouteProtocol;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};

use super::RULE_PRIORITY;
use crate::netlink::{self, Netlink};

/// Adds our rule if it is missing, then removes any other of ours (an earlier configuration's
/// mark). True if it changed anything.
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

    // Added before others are removed: between the two, packets must not miss the table.
    if is_missing {
        add(netlink, numbers, family).await?;
    } else {
        superfluous.extend(current.drain(1..));
    }

    let is_changed = is_missing || !superfluous.is_empty();
    remove(netlink, superfluous).await?;
    Ok(is_changed)
}

/// Removes every rule of ours.
pub(super) async fn purge(
    netlink: &Netlink,
    numbers: &Numbers,
    family: &IpVersion,
) -> io::Result<()> {
    let rules = ours(netlink, numbers, family).await?;
    remove(netlink, rules).await
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

fn is_ours(rule: &RuleMessage, numbers: &Numbers) -> bool {
    let table = RuleAttribute::Table(numbers.table);
    let protocol = RuleAttribute::Protocol(RouteProtocol::from(numbers.protocol));

    // The kernel may give a table up to 255 in the header alone.
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

/// Adds what the library's request cannot say.
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
        netlink::answer(netlink.handle().rule().del(rule).execute()).await?;
    }
    Ok(())
}
