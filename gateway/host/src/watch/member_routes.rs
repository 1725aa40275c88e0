//! [`find`]: looks up in the kernel how packets between the site and the members are routed, in
//! both directions. The kernel decides as for a real packet, with all rules, all routes and the
//! reverse-path check. A rule of another program with priority over ours (AWS VPC CNI, mwan3,
//! Cilium) therefore shows in the result, whatever its form.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use ringway_config::{Prefix, Routes as Numbers};
use ringway_intent::{Finding, HostPair, Remedy};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage};

use super::foreign_rules::ForeignRules;
use super::route_lookup;
use crate::netlink::Netlink;
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
    /// The site's interfaces.
    pub(super) site: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    /// From the site into the TUN.
    ToMembers,
    /// From the TUN into the site.
    ToSite,
}

/// The kernel's decision about a packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Decision {
    /// Sent by this interface; the route was found in this table.
    Sent { interface: u32, table: u32 },
    /// Dropped: there is no route, or it is an `unreachable` one.
    Unreachable,
    /// Dropped by the reverse-path check.
    ReversePath,
    /// EINVAL. If another program's rule comes before ours, a `blackhole` route drops the packet,
    /// which has no error code of its own. Otherwise the request is not valid at the moment.
    Invalid,
    /// The interface of the lookup no longer exists, or does not forward.
    Unknown,
}

/// A wrong decision, which several prefixes may have in common.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Misrouted {
    pub(super) is_v4: bool,
    pub(super) direction: Direction,
    /// The site's interface.
    site: String,
    pub(super) decision: Decision,
}

/// A packet whose route is looked up.
#[derive(Debug, Clone, Copy)]
struct Packet<'a> {
    source: IpAddr,
    destination: IpAddr,
    /// The name and index of the interface on which it arrives.
    input: (&'a str, u32),
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
        for direction in [Direction::ToMembers, Direction::ToSite] {
            let packet = packet(lookups, pair, index, direction);
            let decision = look_up(netlink, &packet).await?;

            if !is_right(&decision, direction, pair, lookups, names) {
                let wrong = Misrouted {
                    is_v4: pair.prefix.is_ipv4(),
                    direction,
                    site: pair.interface.clone(),
                    decision,
                };
                misrouted.entry(wrong).or_default().push(pair);
            }
        }
    }
    if misrouted.is_empty() {
        return Ok(Vec::new());
    }

    // The rules only explain wrong decisions, and usually there are none.
    let rules = ForeignRules::read(netlink, &lookups.numbers).await?;
    Ok(misrouted
        .iter()
        .filter(|(wrong, _)| {
            wrong.decision != Decision::Invalid || rules.responsible(wrong).is_some()
        })
        .map(|(wrong, pairs)| finding(lookups, &rules, names, wrong, pairs))
        .collect())
}

fn packet<'a>(
    lookups: &'a Lookups,
    pair: &'a HostPair,
    site: u32,
    direction: Direction,
) -> Packet<'a> {
    match direction {
        Direction::ToMembers => Packet {
            source: pair.host,
            destination: pair.remote,
            input: (&pair.interface, site),
        },
        Direction::ToSite => Packet {
            source: pair.remote,
            destination: pair.host,
            input: (&lookups.tun.0, lookups.tun.1),
        },
    }
}

fn is_right(
    decision: &Decision,
    direction: Direction,
    pair: &HostPair,
    lookups: &Lookups,
    names: &BTreeMap<u32, String>,
) -> bool {
    match (direction, decision) {
        (_, Decision::Unknown) => true,
        (Direction::ToMembers, Decision::Sent { interface, .. }) => *interface == lookups.tun.1,
        // Without a tunnel nothing passes, so a drop is expected, and nothing arrives.
        _ if !pair.is_tunnelled => true,
        (Direction::ToSite, Decision::Sent { interface, .. }) => {
            let name = names.get(interface);
            name.is_some_and(|name| *name == pair.interface || lookups.site.contains(name))
        }
        _ => false,
    }
}

async fn look_up(netlink: &Netlink, packet: &Packet<'_>) -> io::Result<Decision> {
    let (_, index) = packet.input;
    let mut request = route_lookup::request(packet.destination);
    request.header.source_prefix_length = request.header.destination_prefix_length;
    // Requests the table in which the route was found. For IPv6 the answer always contains it, and
    // the kernel refuses the flag.
    if packet.destination.is_ipv4() {
        request.header.flags = RouteFlags::LookupTable;
    }
    request.attributes.extend([
        RouteAttribute::Source(RouteAddress::from(packet.source)),
        RouteAttribute::Iif(index),
    ]);

    match route_lookup::look_up(netlink, request).await {
        Ok(route) => Ok(route.as_ref().map_or(Decision::Unreachable, read)),
        Err(error) => match error.raw_os_error() {
            // ip_route_input: nothing is forwarded from that interface. Forwarding has findings of
            // its own.
            Some(libc::EHOSTUNREACH) if !forwards(packet) => Ok(Decision::Unknown),
            Some(libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EACCES) => {
                Ok(Decision::Unreachable)
            }
            // fib_validate_source: the path back to the source uses another interface.
            Some(libc::EXDEV) => Ok(Decision::ReversePath),
            Some(libc::EINVAL) => Ok(reason_to_drop(netlink, packet).await),
            // The interface no longer exists.
            Some(libc::ENODEV) => Ok(Decision::Unknown),
            _ => Err(error),
        },
    }
}

fn forwards(packet: &Packet<'_>) -> bool {
    let key = format!("net/ipv4/conf/{}/forwarding", packet.input.0);

    packet.source.is_ipv6() || !sysctl::read(&key).is_ok_and(|value| value == "0")
}

/// The reason for EINVAL, which the kernel returns for every reason to drop since Linux 6.13. It
/// follows from the routes to both ends.
async fn reason_to_drop(netlink: &Netlink, packet: &Packet<'_>) -> Decision {
    if checks_reverse_path(packet) {
        let back = route_lookup::look_up(netlink, route_lookup::request(packet.source)).await;
        let interface = match back.ok().flatten().as_ref().map(read) {
            Some(Decision::Sent { interface, .. }) => Some(interface),
            _ => None,
        };
        if interface != Some(packet.input.1) {
            return Decision::ReversePath;
        }
    }

    let request = route_lookup::request(packet.destination);
    match route_lookup::look_up(netlink, request).await {
        Ok(Some(route)) if route_lookup::is_drop(&route) => Decision::Unreachable,
        // A `blackhole` for packets from anywhere.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Decision::Unreachable,
        _ => Decision::Invalid,
    }
}

/// True if the kernel checks that the path back to a source uses the interface on which the packet
/// arrived (ip-sysctl, `rp_filter`: the larger of two settings applies; 1 is strict).
fn checks_reverse_path(packet: &Packet<'_>) -> bool {
    let settings = ["all", packet.input.0].map(|interface| {
        let key = format!("net/ipv4/conf/{interface}/rp_filter");
        sysctl::read(&key).unwrap_or_default()
    });

    packet.source.is_ipv4() && settings.iter().max().is_some_and(|value| value == "1")
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

fn index_of(names: &BTreeMap<u32, String>, interface: &str) -> Option<u32> {
    names
        .iter()
        .find(|(_, name)| *name == interface)
        .map(|(index, _)| *index)
}

fn finding(
    lookups: &Lookups,
    rules: &ForeignRules,
    names: &BTreeMap<u32, String>,
    wrong: &Misrouted,
    pairs: &[&HostPair],
) -> Finding {
    let (tun, _) = &lookups.tun;
    let site = &wrong.site;
    let prefixes = prefixes_of(pairs);
    let (input, output, packets) = match wrong.direction {
        Direction::ToMembers => (site, tun, format!("packets from {site} to {prefixes}")),
        Direction::ToSite => (tun, site, format!("packets from {prefixes} to the site")),
    };
    let family = if wrong.is_v4 { "IPv4" } else { "IPv6" };

    let responsible = rules.responsible(wrong);
    let cause = match responsible {
        Some(priority) => {
            format!("; ip rule {priority} of another program comes before {RULE_PRIORITY}")
        }
        None => String::new(),
    };
    let effect = effect(&wrong.decision, output, names);
    Finding {
        name: format!("route {family} from {input}"),
        what: format!("{packets} {effect}{cause}"),
        remedy: Remedy::command(remedy(lookups.numbers, wrong, responsible, input, pairs[0])),
    }
}

/// The first of the members' prefixes, and the number of the others.
fn prefixes_of(pairs: &[&HostPair]) -> String {
    let prefixes: BTreeSet<Prefix> = pairs.iter().map(|pair| pair.prefix).collect();
    let first = prefixes.first().map(Prefix::to_string).unwrap_or_default();

    match prefixes.len() {
        0 | 1 => first,
        count => format!("{first} and {} more", count - 1),
    }
}

fn effect(decision: &Decision, output: &str, names: &BTreeMap<u32, String>) -> String {
    match decision {
        Decision::Sent { interface, table } => {
            let name = names
                .get(interface)
                .map_or("another interface", |name| name);
            format!("leave by {name} (table {table}) instead of {output}")
        }
        Decision::Unreachable | Decision::Invalid => format!("go nowhere instead of by {output}"),
        Decision::ReversePath => {
            format!("do not reach {output}: the reverse-path check drops them")
        }
        Decision::Unknown => format!("may not reach {output}"),
    }
}

/// `responsible` is the priority of the other program's rule; packets arrive on `input`.
fn remedy(
    numbers: Numbers,
    wrong: &Misrouted,
    responsible: Option<u32>,
    input: &str,
    pair: &HostPair,
) -> String {
    let flag = if wrong.is_v4 { "" } else { "-6 " };
    if let Some(priority) = responsible {
        return match priority.checked_sub(1) {
            Some(before) => rule_before(numbers, wrong.direction, flag, input, before),
            // No rule can come before it.
            None => format!(
                "ip {flag}rule list priority 0   # then move that rule behind {RULE_PRIORITY}"
            ),
        };
    }

    let (source, destination) = match wrong.direction {
        Direction::ToMembers => (pair.host, pair.remote),
        Direction::ToSite => (pair.remote, pair.host),
    };
    match wrong.decision {
        // ip-sysctl, rp_filter: 2 is the loose check, which accepts any path back to the source.
        Decision::ReversePath => format!("sysctl -w net.ipv4.conf.{input}.rp_filter=2"),
        _ => format!(
            "ip {flag}route get {destination} from {source} iif {input}   # shows the route that \
             is in the way"
        ),
    }
}

/// The command that adds a rule directly before the other program's.
fn rule_before(
    numbers: Numbers,
    direction: Direction,
    flag: &str,
    input: &str,
    priority: u32,
) -> String {
    match direction {
        // Like ours, it exempts the tunnel's own packets.
        Direction::ToMembers => format!(
            "ip {flag}rule add not fwmark {:#x} lookup {} priority {priority}",
            numbers.mark, numbers.table
        ),
        // A default route does not lead into the site.
        Direction::ToSite => format!(
            "ip {flag}rule add iif {input} lookup main suppress_prefixlength 0 priority {priority}"
        ),
    }
}
