//! [`Target`]s: hosts of this site, by address, by name, or as an attached node.

use std::net::IpAddr;

use super::node::{self, NODE};
use super::scope::Scope;
use crate::file::item::Item;
use crate::{DnsName, Prefix, Target, limits};

/// The targets of a list: prefixes in order, none inside another, then names in order, then
/// attached nodes. `None` only if faults were reported.
pub(super) fn read(item: &Item<'_>, scope: &Scope<'_>) -> Option<Vec<Target>> {
    let items = item.one_or_more(limits::RULE_ITEMS);
    if items.is_empty() {
        return item.refuse("no destination");
    }

    let mut targets: Vec<Target> = items
        .iter()
        .filter_map(|item| read_one(item, scope))
        .collect();
    // A wider prefix is sorted before those that it covers, and every prefix before every name.
    targets.sort();
    targets.dedup_by(|next, kept| match (kept, next) {
        (Target::Prefix(kept), Target::Prefix(next)) => kept.covers(next),
        (kept, next) => kept == next,
    });
    let prefixes: usize = targets.iter().map(|target| target.prefixes().len()).sum();
    if prefixes > limits::RULE_PREFIXES {
        let most = limits::RULE_PREFIXES;
        return item.refuse(format!(
            "these nodes have {prefixes} prefixes, and a rule may have {most}; write several rules"
        ));
    }
    (!targets.is_empty()).then_some(targets)
}

fn read_one(item: &Item<'_>, scope: &Scope<'_>) -> Option<Target> {
    let text = item.text()?;
    if text == "all" {
        return item.refuse(format!(
            "all is no destination; write {} for the whole of it",
            scope.offer()
        ));
    }

    if let Some((org, name)) = text.split_once(NODE) {
        return node::read(item, org, name, scope);
    }
    if text.contains(['/', ':']) || is_mistyped_address(text) {
        return read_prefix(item, scope);
    }
    read_name(item, scope)
}

/// RFC 1123, section 2.1: the last label of a host's name is never all digits. 10.1.0.999 is a
/// mistyped address.
fn is_mistyped_address(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit())
}

/// A prefix, or one address, inside this site or one that is served via it.
fn read_prefix(item: &Item<'_>, scope: &Scope<'_>) -> Option<Target> {
    let prefix = match item.text()?.parse::<IpAddr>() {
        Ok(address) => Prefix::host(address),
        Err(_) => item.parse()?,
    };
    let target = Target::Prefix(prefix);
    if scope.is_own(&prefix) == Some(false) && !scope.is_passing(&prefix) {
        // What is, was or will be served via this site: neither another organization's record nor
        // the withdrawal of a consent may be kept out by a rule about it.
        if scope.may_pass(&prefix) {
            if scope.consortium.is_listed() {
                item.note(format!(
                    "{target} is in no site that is served here, so that the rule matches nothing \
                     there"
                ));
            }
            return Some(target);
        }
        let offer = scope.offer();
        return item.refuse(format!("{target} is not in this site; write {offer}"));
    }

    Some(target)
}

/// A name of our zone. Which addresses it has is known with the zone's files.
fn read_name(item: &Item<'_>, scope: &Scope<'_>) -> Option<Target> {
    let text = item.text()?;
    let Some(zone) = &scope.zone else {
        // The organization or its domain has faults, which were reported.
        return text.parse::<DnsName>().ok().map(Target::Name);
    };

    let name = match zone.absolute(text) {
        Ok(name) => name,
        Err(_) => {
            return item.refuse(format!(
                "{text:?} is no prefix, no address and no name of our zone"
            ));
        }
    };
    if !zone.holds(&name) {
        return item.refuse(format!(
            "{name} is not in our zone {}; write a name of this organization, or an address",
            zone.apex
        ));
    }

    Some(Target::Name(name))
}
