//! The addresses of the names in a zone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ringway_config::{DnsName, NodeTarget, Policy, Target};
use ringway_dns::rdata::kind;
use ringway_dns::{Name, Zone};

/// Aliases of one name that are followed, as resolvers do.
const MOST_ALIASES: usize = 8;

/// The addresses of every name in `zone` that has any, by its own records or as the alias of
/// another name in the zone.
pub fn addresses(zone: &Zone) -> BTreeMap<DnsName, Vec<IpAddr>> {
    let mut names: BTreeMap<DnsName, Vec<IpAddr>> = BTreeMap::new();
    let mut aliases: BTreeMap<DnsName, DnsName> = BTreeMap::new();

    zone.rrsets(|owner, set| {
        // A wildcard is no name of a host.
        let Some(name) = dns_name(owner) else {
            return;
        };
        for data in set.data() {
            match (set.kind(), data) {
                (kind::A | kind::AAAA, data) => {
                    names.entry(name.clone()).or_default().extend(address(data));
                }
                (kind::CNAME, data) => {
                    let target = Name::from_wire(data).ok();
                    let target = target.and_then(|(target, _)| dns_name(&target));
                    aliases.extend(target.map(|target| (name.clone(), target)));
                }
                _ => {}
            }
        }
    });

    for alias in aliases.keys() {
        if let Some(found) = follow(alias, &aliases, &names) {
            names.insert(alias.clone(), found);
        }
    }
    names
}

/// The names of this site's hosts that rules use, each once.
pub fn in_site(policy: &Policy) -> BTreeSet<&DnsName> {
    let mut names = BTreeSet::new();
    for target in targets(policy) {
        if let Target::Name(name) = target {
            names.insert(name);
        }
    }
    names
}

/// The attached nodes that rules name, each once.
pub fn nodes(policy: &Policy) -> BTreeSet<&NodeTarget> {
    let mut nodes = BTreeSet::new();
    for target in targets(policy) {
        if let Target::Node(node) = target {
            nodes.insert(node);
        }
    }
    nodes
}

/// The hosts of this site in all rules.
fn targets(policy: &Policy) -> impl Iterator<Item = &Target> {
    let allow = policy.allow.iter().flatten().flat_map(|rule| &rule.to);
    let egress = policy.allow_egress.iter().flat_map(|rule| &rule.from);

    allow.chain(egress)
}

fn follow(
    alias: &DnsName,
    aliases: &BTreeMap<DnsName, DnsName>,
    names: &BTreeMap<DnsName, Vec<IpAddr>>,
) -> Option<Vec<IpAddr>> {
    let mut name = alias;
    // Bounded, since aliases may form a loop.
    for _ in 0..MOST_ALIASES {
        name = aliases.get(name)?;
        if let Some(addresses) = names.get(name) {
            return Some(addresses.clone());
        }
    }

    None
}

fn dns_name(name: &Name) -> Option<DnsName> {
    name.to_string().parse().ok()
}

/// The data of an A or an AAAA record.
fn address(data: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(data) {
        return Some(v4.into());
    }
    Some(<[u8; 16]>::try_from(data).ok()?.into())
}
