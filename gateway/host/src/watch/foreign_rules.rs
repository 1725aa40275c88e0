//! [`ForeignRules`]: the routing rules of other programs with priority over ours, in the kernel's
//! order.

use std::io;

use ringway_config::Routes as Numbers;
use rtnetlink::IpVersion;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};

use super::member_routes::{Decision, Direction, Misrouted};
use crate::netlink::{self, Netlink};
use crate::routes::{BY_HOST_PRIORITY, RULE_PRIORITY, is_our_rule};

/// The table of this host's own addresses, to which the kernel's first rule leads.
const TABLE_LOCAL: u32 = 255;

/// See the head of this file.
pub(super) struct ForeignRules(Vec<ForeignRule>);

struct ForeignRule {
    is_v4: bool,
    priority: u32,
    /// It comes before the rule for the members. Otherwise it only comes before the rules for our
    /// own prefixes.
    precedes_members: bool,
    message: RuleMessage,
}

impl ForeignRules {
    pub(super) async fn read(netlink: &Netlink, numbers: &Numbers) -> io::Result<ForeignRules> {
        let mut foreign = Vec::new();

        for (is_v4, family) in [(true, IpVersion::V4), (false, IpVersion::V6)] {
            // A kernel without IPv6 has no such rules.
            let found = netlink::dump(netlink.handle().rule().get(family).execute()).await;
            let mut precedes_members = true;
            for message in found.unwrap_or_default() {
                let priority = priority_of(&message);
                // Of rules with the same priority, the first in the dump applies.
                let is_ours = is_our_rule(&message, numbers);
                precedes_members &= !is_ours && priority <= RULE_PRIORITY;

                let is_before = priority < BY_HOST_PRIORITY;
                if !is_ours && is_before && table_of(&message) != TABLE_LOCAL {
                    foreign.push(ForeignRule {
                        is_v4,
                        priority,
                        precedes_members,
                        message,
                    });
                }
            }
        }
        Ok(ForeignRules(foreign))
    }

    /// The priority of the first rule that may have caused the decision.
    pub(super) fn responsible(&self, wrong: &Misrouted) -> Option<u32> {
        let mut found = self.candidates(wrong).find(|rule| match &wrong.decision {
            Decision::Sent { table, .. } => table_of(&rule.message) == *table,
            // A rule of type `unreachable` or `prohibit` needs no table.
            Decision::Unreachable | Decision::Invalid => {
                rule.message.header.action != RuleAction::ToTable
            }
            Decision::ReversePath | Decision::Unknown => false,
        });
        // Otherwise the route is in another program's table: ours has no `blackhole` routes.
        if found.is_none() && wrong.decision == Decision::Invalid {
            found = self.candidates(wrong).next();
        }

        found.map(|rule| rule.priority)
    }

    fn candidates(&self, wrong: &Misrouted) -> impl Iterator<Item = &ForeignRule> {
        let (is_v4, direction) = (wrong.is_v4, wrong.direction);

        self.0.iter().filter(move |rule| {
            rule.is_v4 == is_v4 && (rule.precedes_members || direction == Direction::ToSite)
        })
    }
}

fn priority_of(rule: &RuleMessage) -> u32 {
    let priority = find_attribute(rule, |attribute| match attribute {
        RuleAttribute::Priority(priority) => Some(*priority),
        _ => None,
    });

    // The kernel leaves out the priority 0.
    priority.unwrap_or_default()
}

fn table_of(rule: &RuleMessage) -> u32 {
    let table = find_attribute(rule, |attribute| match attribute {
        RuleAttribute::Table(table) => Some(*table),
        _ => None,
    });

    table.unwrap_or(rule.header.table.into())
}

fn find_attribute<T>(
    rule: &RuleMessage,
    wanted: impl Fn(&RuleAttribute) -> Option<T>,
) -> Option<T> {
    rule.attributes.iter().find_map(wanted)
}
