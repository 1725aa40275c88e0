//! `[policy]` and `[[policy.allow]]`: what other organizations may reach here.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::consortium::Consortium;
use super::item::Item;
use super::local_gateway::LocalGateway;
use super::nearest::did_you_mean;
use super::table::Table;
use crate::keys::{allow, gateway, policy};
use crate::{
    Allow, OrgId, Origin, PlacedPrefix, Policy, PortRange, Prefix, Service, Target, limits,
};

const PORTS: RangeInclusive<u32> = 1..=65535;

/// Prefixes of this site that a fault offers.
const MOST_OFFERED: usize = 4;

/// Reads `[policy]`. A rule with faults is left out.
pub(crate) fn read(table: &Table<'_>, local: &LocalGateway, consortium: &Consortium) -> Policy {
    let Some(policy) = table.table(&gateway::POLICY, &policy::SCHEMA) else {
        return Policy::default();
    };
    let prefixes = local
        .site
        .as_ref()
        .and_then(|site| consortium.site_prefixes(&site.value));

    let rules = policy.tables(&policy::ALLOW, limits::RULES, &allow::SCHEMA);
    let rules = rules
        .iter()
        .filter_map(|rule| read_rule(rule, prefixes, consortium));
    Policy {
        allow: Some(rules.collect()),
        ..Policy::default()
    }
}

/// `prefixes` are this site's; `None` if its record has faults.
fn read_rule(
    rule: &Table<'_>,
    prefixes: Option<&[PlacedPrefix]>,
    consortium: &Consortium,
) -> Option<Allow> {
    // Every key is read before the first `?`, so that the faults of all are reported.
    let from = rule
        .required(&allow::FROM)
        .and_then(|item| read_from(&item, consortium));
    let to = rule
        .required(&allow::TO)
        .map(|item| read_to(&item, prefixes));
    let proto = rule
        .required(&allow::PROTO)
        .and_then(|item| read_proto(&item));
    let ports = rule
        .optional(&allow::PORTS)
        .map(|item| read_ports(&item, proto))
        .unwrap_or_default();

    Some(Allow {
        from: vec![from?],
        to: to?.into_iter().map(Target::Prefix).collect(),
        services: vec![proto?.service(ports)],
        place: rule.place().clone(),
    })
}

/// Protocols that a rule can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proto {
    Tcp,
    Udp,
    Icmp,
}

impl Proto {
    fn service(self, ports: Vec<PortRange>) -> Service {
        match self {
            Proto::Tcp => Service::Tcp(ports),
            Proto::Udp => Service::Udp(ports),
            Proto::Icmp => Service::Icmp,
        }
    }
}

fn read_from(item: &Item<'_>, consortium: &Consortium) -> Option<Origin> {
    if item.text()? == "all" {
        return Some(Origin::All);
    }

    let org: OrgId = item.parse()?;
    if consortium
        .organizations()
        .any(|known| known == org.as_str())
    {
        return Some(Origin::Org(org));
    }

    let remedy = did_you_mean(org.as_str(), consortium.organizations(), || {
        "add its record first, or remove the rule".to_owned()
    });
    item.refuse(format!("org {org} is no member; {remedy}"))
}

/// Destinations inside this site's prefixes, in order, none inside another.
fn read_to(item: &Item<'_>, prefixes: Option<&[PlacedPrefix]>) -> Vec<Prefix> {
    let items = item.one_or_more(limits::RULE_ITEMS);
    if items.is_empty() {
        item.fault("no destination");
    }

    let mut to = Vec::new();
    for item in items {
        let Some(destination) = read_destination(&item) else {
            continue;
        };
        match prefixes {
            Some(prefixes) if !is_covered(prefixes, &destination) => {
                let offer = offer(prefixes);
                item.fault(format!("{destination} is not in this site; write {offer}"));
            }
            // Without this site's prefixes, which was reported, nothing can be compared.
            _ => to.push(destination),
        }
    }

    // A wider prefix is sorted before those that it covers.
    to.sort();
    to.dedup_by(|next, kept| kept.covers(next));
    to
}

fn is_covered(prefixes: &[PlacedPrefix], destination: &Prefix) -> bool {
    prefixes
        .iter()
        .any(|placed| placed.prefix.covers(destination))
}

/// The correct form of a destination: `a part of 10.1.0.0/16, fd00:1::/48`.
fn offer(prefixes: &[PlacedPrefix]) -> String {
    if prefixes.is_empty() {
        return "a part of this site, once it has prefixes".to_owned();
    }

    let shown: Vec<String> = prefixes
        .iter()
        .take(MOST_OFFERED)
        .map(|placed| placed.prefix.to_string())
        .collect();
    let more = if prefixes.len() > MOST_OFFERED {
        ", …"
    } else {
        ""
    };
    format!("a part of {}{more}", shown.join(", "))
}

/// A prefix, or one address.
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

    join(items.iter().filter_map(read_port_range).collect())
}

/// Sorts ranges and joins those that overlap or touch.
fn join(mut ranges: Vec<PortRange>) -> Vec<PortRange> {
    ranges.sort_by_key(|range| (range.first, range.last));

    let mut joined: Vec<PortRange> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            // Sorted by their first ports, so that only the last range can be met.
            Some(last) if range.first <= last.last.saturating_add(1) => {
                last.last = last.last.max(range.last);
            }
            _ => joined.push(range),
        }
    }

    joined
}

fn read_port_range(item: &Item<'_>) -> Option<PortRange> {
    if !item.is_text() {
        let port = u16::try_from(item.integer(PORTS)?).ok()?;
        return Some(PortRange {
            first: port,
            last: port,
        });
    }

    // A port alone is a range of one.
    let text = item.text()?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match parse_port(first).zip(parse_port(last)) {
        Some((first, last)) if first > 0 && first <= last => Some(PortRange { first, last }),
        _ => item.refuse(format!(
            "{text:?} is not a port from 1 to 65535, or a range of them"
        )),
    }
}

fn parse_port(text: &str) -> Option<u16> {
    // `u16::from_str` alone would accept a plus sign.
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }

    text.parse().ok()
}
