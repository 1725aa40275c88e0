//! [`find`]: looks up in the kernel how packets from the site to the members are routed. The kernel
//! decides as for a real packet, with all rules, all routes and the reverse-path check. A rule of
//! another program with priority over ours (AWS VPC CNI, mwan3, Cilium) therefore shows in the
//! result, whatever its form.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use ringway_config::{Prefix, Routes as Numbers};
use ringway_intent::{Finding, HostPair, Remedy};
use rtnetlink::IpVersion;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};

use super::route_lookup;
use crate::netlink::{self, Netlink};
use crate::routes::RULE_PRIORITY;
use crate::sysctl;

/// The route lookups to make.
#[derive(Debug, Clone)]
pub(super) struct Lookups {
    /// The TUN device's name and interface index.
    pub(super) tun: (String, u32),
    /// Our routing table, protocol and mark.
    pub(super) numbers: Numbers,
    /// One for each interface of the site and prefix of a member.
    pub(super) pairs: Vec<HostPair>,
}

/// The kernel's decision about a packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Decision {
    /// Sent by this interface; the route was found in this table.
    Sent { interface: u32, table: u32 },
    /// Dropped: there is no route, or it is an `unreachable` one.
    Unreachable,
    /// Dropped: the source fails the reverse-path check, or the interface does not forward.
    Refused(String),
    /// EINVAL. If another program's rule comes before ours, a `blackhole` route drops the packet,
    /// which has no error code of its own. Otherwise the request is not valid at the moment.
    Invalid,
    /// The interface of the lookup no longer exists.
    Unknown,
}

/// A wrong decision, which several prefixes may have in common.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Misrouted {
    is_v4: bool,
    /// The site's interface from which the packets come.
    from: String,
    decision: Decision,
}

/// Every wrong decision, as a finding; `names` are the host's interfaces.
pub(super) async fn find(
    netlink: &Netlink,
    names: &BTreeMap<u32, String>,
    lookups: &Lookups,
) -> io::Result<Vec<Finding>> {
    let mut misrouted: BTreeMap<Misrouted, Vec<&HostPair>> = BTreeMap::new();

    for pair in &lookups.pairs {
        let Some(index) = index_of(names, &pair.interface) else {
            continue;
        };
        let decision = look_up(netlink, pair, index).await?;

        if !is_right(&decision, pair, lookups) {
            let wrong = Misrouted {
                is_v4: pair.prefix.is_ipv4(),
                from: pair.interface.clone(),
                decision,
            };
            misrouted.entry(wrong).or_default().push(pair);
        }
    }
    if misrouted.is_empty() {
        return Ok(Vec::new());
    }

    // The rules only explain wrong decisions, and usually there are none.
    let rules = Rules::read(netlink).await?;
    Ok(misrouted
        .iter()
        .filter(|(wrong, _)| {
            wrong.decision != Decision::Invalid || rules.responsible(wrong).is_some()
        })
        .map(|(wrong, pairs)| finding(lookups, &rules, names, wrong, pairs))
        .collect())
}

fn is_right(decision: &Decision, pair: &HostPair, lookups: &Lookups) -> bool {
    match decision {
        Decision::Sent { interface, .. } => *interface == lookups.tun.1,
        // Without a tunnel nothing passes, so a drop is expected.
        Decision::Unreachable | Decision::Refused(_) | Decision::Invalid => !pair.is_tunnelled,
        Decision::Unknown => true,
    }
}

async fn look_up(netlink: &Netlink, pair: &HostPair, index: u32) -> io::Result<Decision> {
    let mut request = route_lookup::request(pair.remote);
    request.header.source_prefix_length = request.header.destination_prefix_length;
    // Requests the table in which the route was found. For IPv6 the answer always contains it, and
    // the kernel refuses the flag.
    if pair.remote.is_ipv4() {
        request.header.flags = RouteFlags::LookupTable;
    }
    request.attributes.extend([
        RouteAttribute::Source(RouteAddress::from(pair.host)),
        RouteAttribute::Iif(index),
    ]);

    match route_lookup::look_up(netlink, request).await {
        Ok(route) => Ok(route.as_ref().map_or(Decision::Unreachable, read)),
        Err(error) => match error.raw_os_error() {
            Some(libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EACCES) => {
                Ok(Decision::Unreachable)
            }
            // fib_validate_source: the path back to the source uses another interface.
            Some(libc::EXDEV) => Ok(dropped_by_reverse_path()),
            // Since Linux 6.13, the kernel returns EINVAL for every reason to drop.
            Some(libc::EINVAL) if checks_reverse_path(pair) => Ok(dropped_by_reverse_path()),
            Some(libc::EINVAL) => Ok(Decision::Invalid),
            // The interface no longer exists.
            Some(libc::ENODEV) => Ok(Decision::Unknown),
            _ => Err(error),
        },
    }
}

fn dropped_by_reverse_path() -> Decision {
    Decision::Refused("the reverse-path check drops them".to_owned())
}

/// True if the kernel checks that the path back to a source uses the interface on which the packet
/// arrived (ip-sysctl, `rp_filter`: the larger of two settings applies; 1 is strict).
fn checks_reverse_path(pair: &HostPair) -> bool {
    let settings = ["all", &pair.interface].map(|interface| {
        let key = format!("net/ipv4/conf/{interface}/rp_filter");
        sysctl::read(&key).unwrap_or_default()
    });

    pair.host.is_ipv4() && settings.iter().max().is_some_and(|value| value == "1")
}

fn read(route: &RouteMessage) -> Decision {
    if route_lookup::is_drop(route) {
        return Decision::Unreachable;
    }

    let mut interface = 0;
    let mut table = route.header.table.into();
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => interface = *index,
            RouteAttribute::Table(number) => table = *number,
            _ => {}
        }
    }
    Decision::Sent { interface, table }
}

/// Rules of other programs with priority over ours, in the kernel's order.
struct Rules(Vec<Rule>);

struct Rule {
    is_v4: bool,
    priority: u32,
    message: RuleMessage,
}

impl Rules {
    async fn read(netlink: &Netlink) -> io::Result<Rules> {
        let mut rules = Vec::new();

        for (is_v4, family) in [(true, IpVersion::V4), (false, IpVersion::V6)] {
            // A kernel without IPv6 has no such rules.
            let found = netlink::dump(netlink.handle().rule().get(family).execute()).await;
            for message in found.unwrap_or_default() {
                let priority = find_attribute(&message, |attribute| match attribute {
                    RuleAttribute::Priority(priority) => Some(*priority),
                    _ => None,
                });
                let priority = priority.unwrap_or_default();
                // Priority 0, `from all lookup local`, is the kernel's own rule.
                if (1..RULE_PRIORITY).contains(&priority) {
                    rules.push(Rule {
                        is_v4,
                        priority,
                        message,
                    });
                }
            }
        }
        Ok(Rules(rules))
    }

    fn of_family(&self, is_v4: bool) -> impl Iterator<Item = &Rule> {
        self.0.iter().filter(move |rule| rule.is_v4 == is_v4)
    }

    /// The priority of the first rule that may have caused the decision.
    fn responsible(&self, wrong: &Misrouted) -> Option<u32> {
        let mut found = self
            .of_family(wrong.is_v4)
            .find(|rule| match &wrong.decision {
                Decision::Sent { table, .. } => table_of(&rule.message) == *table,
                // A rule of type `unreachable` or `prohibit` needs no table.
                Decision::Unreachable | Decision::Invalid => {
                    rule.message.header.action != RuleAction::ToTable
                }
                Decision::Refused(_) | Decision::Unknown => false,
            });
        // Otherwise the route is in another program's table: ours has no `blackhole` routes.
        if found.is_none() && wrong.decision == Decision::Invalid {
            found = self.of_family(wrong.is_v4).next();
        }

        found.map(|rule| rule.priority)
    }
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

fn index_of(names: &BTreeMap<u32, String>, interface: &str) -> Option<u32> {
    names
        .iter()
        .find(|(_, name)| *name == interface)
        .map(|(index, _)| *index)
}

fn finding(
    lookups: &Lookups,
    rules: &Rules,
    names: &BTreeMap<u32, String>,
    wrong: &Misrouted,
    pairs: &[&HostPair],
) -> Finding {
    let prefixes: BTreeSet<Prefix> = pairs.iter().map(|pair| pair.prefix).collect();
    let first = prefixes.first().map(Prefix::to_string).unwrap_or_default();
    let more = match prefixes.len() {
        0 | 1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let from = &wrong.from;
    let family = if wrong.is_v4 { "IPv4" } else { "IPv6" };

    let responsible = rules.responsible(wrong);
    let cause = match responsible {
        Some(priority) => {
            format!("; ip rule {priority} of another program comes before {RULE_PRIORITY}")
        }
        None => String::new(),
    };
    let effect = effect(&wrong.decision, &lookups.tun.0, names);
    Finding {
        name: format!("route {family} from {from}"),
        what: format!("packets from {from} to {first}{more} {effect}{cause}"),
        remedy: Remedy::command(remedy(lookups.numbers, wrong, responsible, pairs[0])),
    }
}

fn effect(decision: &Decision, tun: &str, names: &BTreeMap<u32, String>) -> String {
    match decision {
        Decision::Sent { interface, table } => {
            let name = names
                .get(interface)
                .map_or("another interface", |name| name);
            format!("leave by {name} (table {table}) instead of {tun}")
        }
        Decision::Unreachable | Decision::Invalid => format!("go nowhere instead of by {tun}"),
        Decision::Refused(reason) => format!("do not reach {tun}: {reason}"),
        Decision::Unknown => format!("may not reach {tun}"),
    }
}

/// `responsible` is the priority of the other program's rule.
fn remedy(
    numbers: Numbers,
    wrong: &Misrouted,
    responsible: Option<u32>,
    pair: &HostPair,
) -> String {
    let flag = if wrong.is_v4 { "" } else { "-6 " };
    let from = &wrong.from;

    match (responsible, &wrong.decision) {
        // Directly before the other program's rule. Like ours, it exempts the tunnel's own packets.
        (Some(priority), _) => format!(
            "ip {flag}rule add not fwmark {:#x} lookup {} priority {}",
            numbers.mark,
            numbers.table,
            priority - 1
        ),
        // ip-sysctl, rp_filter: 2 is the loose check, which accepts any path back to the source.
        (None, Decision::Refused(_)) => format!("sysctl -w net.ipv4.conf.{from}.rp_filter=2"),
        (None, _) => format!(
            "ip {flag}route get {} from {} iif {from}   # shows the route that is in the way",
            pair.remote, pair.host
        ),
    }
}
