//! The differences between two configurations, by which a reload reports its changes.

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::{Allow, AllowEgress, Changes, Config, DnsData, DnsRecord, Member, Policy, Root};

/// Lines of one kind that are written out.
const MOST: usize = 16;

/// One line for each thing that `after` says otherwise than `before`.
pub fn differences(before: &Config, after: &Config) -> Vec<String> {
    let mut lines = members(before, after);
    lines.extend(names(before, after));
    lines.extend(nodes(before, after));
    lines.extend(rules(&before.policy, &after.policy));

    // Their contents would be many lines; the operator has the file.
    let old = &before.dns;
    let new = &after.dns;
    let [old_node, new_node] = [before, after].map(|config| config.attach.as_ref());
    let settings = [
        (
            "accept",
            old_node.map(|node| &node.accept) == new_node.map(|node| &node.accept),
        ),
        (
            "dns.resolver",
            old_node.map(|node| &node.resolver) == new_node.map(|node| &node.resolver),
        ),
        ("reserved", before.reserved == after.reserved),
        ("[[announce]]", announced(before) == announced(after)),
        (
            "[nodes]",
            before.nodes.reach_each_other == after.nodes.reach_each_other,
        ),
        ("[tunnel]", before.tunnel == after.tunnel),
        ("[ha]", before.ha == after.ha),
        ("dns.ttl", old.ttl == new.ttl),
        ("dns.hold", old.hold == new.hold),
        ("dns.apex", old.apex == new.apex),
        ("dns.query-log", old.query_log == new.query_log),
        ("dns.rate-limit", old.rate_limit == new.rate_limit),
        ("[[dns.forward]]", old.forward == new.forward),
        ("[dns.kubernetes]", old.kubernetes == new.kubernetes),
        (
            "dns.foreign-addresses",
            old.foreign_addresses == new.foreign_addresses,
        ),
        ("dns.zone-files", files(before) == files(after)),
        ("check of [[dns.host]]", old.checks == new.checks),
        ("[crl]", before.crl == after.crl),
    ];
    for (name, _) in settings.iter().filter(|(_, is_same)| !is_same) {
        lines.push(format!("{name} has changed"));
    }
    lines
}

/// What is announced under a condition, wherever it is written.
fn announced(config: &Config) -> BTreeSet<String> {
    config.announce.iter().map(ToString::to_string).collect()
}

fn members(before: &Config, after: &Config) -> Vec<String> {
    let mut lines = Vec::new();

    for old in before
        .records()
        .filter(|old| after.record(&old.org).is_none())
    {
        lines.push(format!("{} is no member any more", old.org));
    }
    for new in after.records() {
        match before.record(&new.org) {
            None => lines.push(format!("{} is a member now", new.org)),
            Some(old) => lines.extend(record(old, new)),
        }
    }
    lines
}

fn record(before: &Member, after: &Member) -> Vec<String> {
    let org = &after.org;
    // Not their digests alone: what a refused reload leaves of a record has that of the record.
    if before == after {
        return Vec::new();
    }

    let Changes { added, removed } = Changes::between(before, after, &name_of);
    let lines = signed(&removed, &added, &format!("{org}: "));
    if lines.is_empty() {
        vec![format!(
            "the record of {org} has changed, but says the same"
        )]
    } else {
        lines
    }
}

fn name_of(root: &Root) -> String {
    // Names in certificates are their issuers' choice; digests are not.
    format!("CA certificate {}", root.fingerprint())
}

fn nodes(before: &Config, after: &Config) -> Vec<String> {
    let [old, new] = [before, after].map(|config| {
        let nodes = config.nodes.list.iter().map(|node| {
            let prefixes: Vec<_> = node.prefixes.iter().map(|placed| placed.prefix).collect();
            let key = node.wireguard.map(|key| format!(" (WireGuard key {key})"));
            let key = key.unwrap_or_default();
            format!("{} {}{key}", node.name, list(&prefixes))
        });
        nodes.collect::<BTreeSet<String>>()
    });
    let removed = old.difference(&new).cloned().collect();
    let added = new.difference(&old).cloned().collect();

    signed(&removed, &added, "node ")
}

fn names(before: &Config, after: &Config) -> Vec<String> {
    let [old, new] = [before, after].map(|config| {
        let records = config.dns.records.iter();
        records.map(record_text).collect::<BTreeSet<String>>()
    });
    let removed = old.difference(&new).cloned().collect();
    let added = new.difference(&old).cloned().collect();

    signed(&removed, &added, "name ")
}

fn record_text(record: &DnsRecord) -> String {
    let name = &record.name;
    let ttl = record.ttl;

    match &record.data {
        DnsData::Address(address) => format!("{name} {address} (TTL {ttl})"),
        DnsData::Cname(target) => format!("{name} CNAME {target} (TTL {ttl})"),
        DnsData::Text { kind, data } => format!("{name} {kind} {data} (TTL {ttl})"),
    }
}

fn files(config: &Config) -> Vec<&std::path::PathBuf> {
    config
        .dns
        .zone_files
        .iter()
        .map(|file| &file.path)
        .collect()
}

fn rules(before: &Policy, after: &Policy) -> Vec<String> {
    let [old, new] = [before, after].map(|policy| {
        let arriving = policy.allow.iter().flatten().map(arriving);
        arriving
            .chain(policy.allow_egress.iter().map(leaving))
            .collect::<BTreeSet<String>>()
    });
    let removed = old.difference(&new).cloned().collect();
    let added = new.difference(&old).cloned().collect();
    let mut lines = signed(&removed, &added, "rule ");

    if before.services != after.services {
        lines.push("[policy.services] has changed".to_owned());
    }
    let settings = [
        ("policy.egress", before.egress == after.egress),
        ("policy.denied", before.denied == after.denied),
        ("policy.flows", before.flows == after.flows),
        ("policy.grace", before.grace == after.grace),
        ("policy.grace-ports", before.grace_port == after.grace_port),
    ];
    for (name, _) in settings.iter().filter(|(_, is_same)| !is_same) {
        lines.push(format!("{name} has changed"));
    }
    lines
}

fn arriving(rule: &Allow) -> String {
    let Allow {
        from, to, services, ..
    } = rule;
    text(from, to, services)
}

fn leaving(rule: &AllowEgress) -> String {
    let AllowEgress {
        from, to, services, ..
    } = rule;
    format!("(egress) {}", text(from, to, services))
}

fn text<From: Display, To: Display, By: Display>(from: &[From], to: &[To], by: &[By]) -> String {
    format!("from {} to {} by {}", list(from), list(to), list(by))
}

fn list<T: Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

/// The first of each, with a sign.
fn signed(removed: &BTreeSet<String>, added: &BTreeSet<String>, before: &str) -> Vec<String> {
    let removed = removed.iter().map(|item| format!("- {before}{item}"));
    let added = added.iter().map(|item| format!("+ {before}{item}"));
    let mut lines: Vec<String> = removed.chain(added).collect();

    // A new organization may bring hundreds of prefixes.
    let more = lines.len().saturating_sub(MOST);
    lines.truncate(MOST);
    if more > 0 {
        lines.push(format!("and {more} more such changes"));
    }
    lines
}
