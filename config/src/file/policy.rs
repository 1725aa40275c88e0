//! `[policy]` and `[[policy.allow]]`: what other organizations may reach here.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::consortium::Consortium;
use super::gateway::Here;
use super::nearest::did_you_mean;
use super::table::{Item, Key, Schema, Table};
use crate::{Allow, OrgId, PlacedPrefix, PortRange, Prefix, Proto, limits};

const POLICY: Schema = Schema {
    name: "[policy]",
    keys: &[Key("allow", "[[policy.allow]] with from, to and proto")],
};

const ALLOW: Schema = Schema {
    name: "[[policy.allow]]",
    keys: &[
        Key("from", "from = \"all\", or one organization"),
        Key("to", "to = \"10.1.0.0/24\", an address, or a list of them"),
        Key("proto", "proto = \"tcp\", \"udp\" or \"icmp\""),
        Key("ports", "ports = 7050, \"7050-7054\", or a list of them"),
    ],
};

/// Reads `[policy]`; `None` if there is none. A rule with faults is left out.
pub(crate) fn read(
    gateway: &Table<'_>,
    here: &Here,
    consortium: &Consortium,
) -> Option<Vec<Allow>> {
    let policy = gateway.table("policy", &POLICY)?;
    let own = here
        .site
        .as_ref()
        .and_then(|site| consortium.site_prefixes(&site.value));
    let rules = policy.tables("allow", limits::RULES, &ALLOW);
    Some(
        rules
            .iter()
            .filter_map(|rule| read_rule(rule, own, consortium))
            .collect(),
    )
}

fn read_rule(
    rule: &Table<'_>,
    own: Option<&[PlacedPrefix]>,
    consortium: &Consortium,
) -> Option<Allow> {
    let from = rule
        .required("from")
        .and_then(|item| read_from(&item, consortium));
    let to = rule.required("to").map(|item| read_to(&item, own));
    let proto = rule.required("proto").and_then(|item| read_proto(&item));
    let ports = rule
        .optional("ports")
        .map(|item| read_ports(&item, proto))
        .unwrap_or_default();
    Some(Allow {
        from: from?,
        to: to?,
        proto: proto?,
        ports,
        place: rule.place().clone(),
    })
}

/// `Some(None)` for all.
fn read_from(item: &Item<'_>, consortium: &Consortium) -> Option<Option<OrgId>> {
    if item.text()? == "all" {
        return Some(None);
    }
    let org: OrgId = item.parse()?;
    if consortium
        .organizations()
        .any(|known| known == org.as_str())
    {
        return Some(Some(org));
    }
    let otherwise = || "add its record first, or remove the rule".to_owned();
    let remedy = did_you_mean(org.as_str(), consortium.organizations(), otherwise);
    item.refuse(format!("org {org} is no member; {remedy}"))
}

/// Destinations inside the own site, in order; none lies in another.
fn read_to(item: &Item<'_>, own: Option<&[PlacedPrefix]>) -> Vec<Prefix> {
    let mut to = Vec::new();
    let items = item.one_or_more(limits::RULE_ITEMS);
    if items.is_empty() {
        item.fault("no destination");
    }
    for item in items {
        let Some(prefix) = read_destination(&item) else {
            continue;
        };
        match own {
            Some(own) if !own.iter().any(|own| own.prefix.covers(&prefix)) => {
                item.fault(format!(
                    "{prefix} is not in this site; write a part of {}",
                    ranges(own)
                ));
            }
            _ => to.push(prefix),
        }
    }
    to.sort();
    to.dedup_by(|next, kept| kept.covers(next));
    to
}

/// A few of the ranges that would be right.
fn ranges<'a>(prefixes: impl IntoIterator<Item = &'a PlacedPrefix>) -> String {
    let mut prefixes = prefixes.into_iter().map(|own| own.prefix.to_string());
    let shown: Vec<String> = prefixes.by_ref().take(4).collect();
    let more = if prefixes.next().is_some() {
        ", …"
    } else {
        ""
    };
    match shown.is_empty() {
        true => "a site, once it has prefixes".to_owned(),
        false => format!("{}{more}", shown.join(", ")),
    }
}

fn read_destination(item: &Item<'_>) -> Option<Prefix> {
    match item.text()?.parse::<IpAddr>() {
        Ok(address) => Some(Prefix::host(address)),
        Err(_) => item.parse(),
    }
}

fn read_proto(item: &Item<'_>) -> Option<Proto> {
    match item.text()? {
        "tcp" => Some(Proto::Tcp),
        "udp" => Some(Proto::Udp),
        "icmp" => Some(Proto::Icmp),
        other => item.refuse(format!("{other:?} is no protocol that a rule can name")),
    }
}

/// Port ranges in order, disjoint.
fn read_ports(item: &Item<'_>, proto: Option<Proto>) -> Vec<PortRange> {
    if proto == Some(Proto::Icmp) {
        item.fault("icmp has no ports; remove the ports, or write proto = \"tcp\"");
    }
    let items = item.one_or_more(limits::RULE_ITEMS);
    if items.is_empty() {
        item.fault("no port; remove ports to allow every one");
    }
    let mut ports: Vec<PortRange> = items.iter().filter_map(read_port_range).collect();
    ports.sort_by_key(|range| (range.first, range.last));
    ports.dedup_by(|next, kept| {
        let joins = next.first <= kept.last.saturating_add(1);
        kept.last = if joins {
            kept.last.max(next.last)
        } else {
            kept.last
        };
        joins
    });
    ports
}

fn read_port_range(item: &Item<'_>) -> Option<PortRange> {
    const PORTS: RangeInclusive<u32> = 1..=65535;
    if !item.is_text() {
        let port = u16::try_from(item.integer(PORTS)?).ok()?;
        return Some(PortRange {
            first: port,
            last: port,
        });
    }
    let text = item.text()?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse::<u16>().ok())?
    };
    match port(first).zip(port(last)) {
        Some((first, last)) if first > 0 && first <= last => Some(PortRange { first, last }),
        _ => item.refuse(format!(
            "{text:?} is not a port from 1 to 65535, or a range of them"
        )),
    }
}
