//! The rule that leads packets to our table, unless they carry the tunnel's mark: one per family.
//!
//! A rule is ours if it leads to our table and bears our protocol number.

use std::io;

use ringway_config::Routes as Numbers;
use rtnetlink::IpVersion;
use rtnetlink::packet_route::route::RouteProtocol;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};

use super::RULE_PRIORITY;
use crate::netlink::{self, Netlink};

/// Adds our rule if it is missing, then removes any other of ours (an earlier configuration's mark).
pub(super) async fn ensure(
    netlink: &Netlink,
    numbers: &Numbers,
    family: &IpVersion,
) -> io::Result<()> {
    let (good, stale): (Vec<_>, Vec<_>) = ours(netlink, numbers, family)
        .await?
        .into_iter()
        .partition(|rule| is_current(rule, numbers));
    if good.is_empty() {
        add(netlink, numbers, family).await?;
    }
    remove(netlink, stale.into_iter().chain(good.into_iter().skip(1))).await
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
    rules.retain(|rule| {
        let has = |attribute| rule.attributes.contains(&attribute);
        let leads_to_table = has(RuleAttribute::Table(numbers.table))
            || u32::from(rule.header.table) == numbers.table;
        leads_to_table
            && has(RuleAttribute::Protocol(RouteProtocol::from(
                numbers.protocol,
            )))
    });
    Ok(rules)
}

fn is_current(rule: &RuleMessage, numbers: &Numbers) -> bool {
    let has = |attribute| rule.attributes.contains(&attribute);
    rule.header.action == RuleAction::ToTable
        && rule.header.flags.contains(RuleFlags::Invert)
        && has(RuleAttribute::Priority(RULE_PRIORITY))
        && has(RuleAttribute::FwMark(numbers.mark))
        && has(RuleAttribute::FwMask(u32::MAX))
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
    let finish = |message: &mut RuleMessage| {
        // `table_id` leaves the header at `main` when the table needs an attribute.
        message.header.table = u8::try_from(numbers.table).unwrap_or_default();
        message.header.flags = RuleFlags::Invert;
        message.attributes.extend([
            RuleAttribute::FwMask(u32::MAX),
            RuleAttribute::Protocol(RouteProtocol::from(numbers.protocol)),
        ]);
    };
    match family {
        IpVersion::V4 => {
            let mut request = request.v4();
            finish(request.message_mut());
            netlink::answer(request.execute()).await
        }
        IpVersion::V6 => {
            let mut request = request.v6();
            finish(request.message_mut());
            netlink::answer(request.execute()).await
        }
    }
}

async fn remove(netlink: &Netlink, rules: impl IntoIterator<Item = RuleMessage>) -> io::Result<()> {
    for rule in rules {
        netlink::answer(netlink.handle().rule().del(rule).execute()).await?;
    }
    Ok(())
}
