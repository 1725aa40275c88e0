//! Asks the kernel how it would route packets to the members. It decides as for a real packet, with
//! all rules, routes and the reverse-path check. So a rule of another program before ours (AWS VPC
//! CNI, mwan3, Cilium) shows in the answer, whatever its form.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use ringway_config::{Prefix, Routes as Numbers};
use ringway_intent::{Finding, Remedy, Way};
use rtnetlink::IpVersion;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};

use super::lookup;
use crate::netlink::{self, Netlink};
use crate::routes::RULE_PRIORITY;
use crate::sysctl;

/// The route lookups to make.
#[derive(Debug, Clone)]
pub(super) struct Questions {
    /// The TUN device's name and interface index.
    pub(super) tun: (String, u32),
    /// Our routing table, protocol and mark.
    pub(super) numbers: Numbers,
    /// One for each interface of the site and prefix of a member.
    pub(super) ways: Vec<Way>,
}

/// The kernel's decision about a packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    /// Sent by this interface; the route was found in this table.
    Leaves { interface: u32, table: u32 },
    /// Dropped: there is no route, or it is an `unreachable` one.
    Unreachable,
    /// Dropped: the source fails the reverse-path check, or the interface does not forward.
    Refused(String),
    /// Dropped by a `blackhole` route if another program's rule comes before ours: this has no
    /// error of its own. Otherwise the question is not valid at the moment.
    Invalid,
    /// The kernel could not be asked.
    Unknown,
}

/// Prefixes with the same wrong answer.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wrong {
    is_v4: bool,
    enters: String,
    answer: Answer,
}

/// Finds every wrong answer; `names` are the host's interfaces.
pub(super) async fn ask(
    netlink: &Netlink,
    names: &BTreeMap<u32, String>,
    questions: &Questions,
) -> io::Result<Vec<Finding>> {
    let mut wrong: BTreeMap<Wrong, Vec<&Way>> = BTreeMap::new();

    for way in &questions.ways {
        let Some(index) = index_of(names, &way.interface) else {
            continue;
        };
        let answer = route(netlink, way, index).await?;

        let is_right = match answer {
            Answer::Leaves { interface, .. } => interface == questions.tun.1,
            // Without a tunnel nothing can pass, so these answers are as expected.
            Answer::Unreachable | Answer::Refused(_) | Answer::Invalid => !way.is_tunnelled,
            Answer::Unknown => true,
        };
        if !is_right {
            let wrong_answer = Wrong {
                is_v4: way.prefix.is_ipv4(),
                enters: way.interface.clone(),
                answer,
            };
            wrong.entry(wrong_answer).or_default().push(way);
        }
    }
    if wrong.is_empty() {
        return Ok(Vec::new());
    }

    // The rules only explain wrong answers, and usually there are none.
    let rules = Rules::read(netlink).await?;
    Ok(wrong
        .iter()
        .filter(|(wrong, _)| wrong.answer != Answer::Invalid || rules.responsible(wrong).is_some())
        .map(|(wrong, asked)| finding(questions, &rules, names, wrong, asked))
        .collect())
}

async fn route(netlink: &Netlink, way: &Way, index: u32) -> io::Result<Answer> {
    let mut question = lookup::question(way.remote);
    question.header.source_prefix_length = question.header.destination_prefix_length;
    // Requests the table in which the route was found. For IPv6 the answer always has it, and the
    // kernel refuses the flag.
    if way.remote.is_ipv4() {
        question.header.flags = RouteFlags::LookupTable;
    }
    question.attributes.extend([
        RouteAttribute::Source(RouteAddress::from(way.host)),
        RouteAttribute::Iif(index),
    ]);

    match lookup::ask(netlink, question).await {
        Ok(route) => Ok(route.as_ref().map_or(Answer::Unreachable, read)),
        Err(error) => match error.raw_os_error() {
            Some(libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EACCES) => Ok(Answer::Unreachable),
            // fib_validate_source: the path back to the source uses another interface.
            Some(libc::EXDEV) => Ok(dropped_by_reverse_path()),
            // Since Linux 6.13, one error stands for every reason to drop.
            Some(libc::EINVAL) if checks_reverse_path(way) => Ok(dropped_by_reverse_path()),
            Some(libc::EINVAL) => Ok(Answer::Invalid),
            // The interface no longer exists.
            Some(libc::ENODEV) => Ok(Answer::Unknown),
            _ => Err(error),
        },
    }
}

fn dropped_by_reverse_path() -> Answer {
    Answer::Refused("the reverse-path check drops them".to_owned())
}

/// True if the kernel checks that the path back to a source uses the interface on which the packet
/// arrived (ip-sysctl, `rp_filter`: the larger of two settings applies; 1 is strict).
fn checks_reverse_path(way: &Way) -> bool {
    let settings = ["all", &way.interface].map(|interface| {
        let key = format!("net/ipv4/conf/{interface}/rp_filter");
        sysctl::read(&key).unwrap_or_default()
    });

    way.host.is_ipv4() && settings.iter().max().is_some_and(|value| value == "1")
}

fn read(route: &RouteMessage) -> Answer {
    if lookup::leads_nowhere(route) {
        return Answer::Unreachable;
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
    Answer::Leaves { interface, table }
}

/// Rules of other programs with priority over ours.
struct Rules(Vec<(bool, u32, RuleMessage)>);

impl Rules {
    async fn read(netlink: &Netlink) -> io::Result<Rules> {
        let mut rules = Vec::new();

        for (is_v4, family) in [(true, IpVersion::V4), (false, IpVersion::V6)] {
            // A kernel without IPv6 has no such rules.
            let found = netlink::dump(netlink.handle().rule().get(family).execute()).await;
            for rule in found.unwrap_or_default() {
                let priority = find(&rule, |attribute| match attribute {
                    RuleAttribute::Priority(priority) => Some(*priority),
                    _ => None,
                });
                // The first one, `0: from all lookup local`, is the kernel's own.
                let priority = priority.unwrap_or_default();
                if (1..RULE_PRIORITY).contains(&priority) {
                    rules.push((is_v4, priority, rule));
                }
            }
        }
        Ok(Rules(rules))
    }

    fn of_family(&self, is_v4: bool) -> impl Iterator<Item = &(bool, u32, RuleMessage)> {
        self.0.iter().filter(move |rule| rule.0 == is_v4)
    }

    /// The first rule that may have caused `answer`.
    fn responsible(&self, wrong: &Wrong) -> Option<u32> {
        let mut found = self
            .of_family(wrong.is_v4)
            .find(|(_, _, rule)| match &wrong.answer {
                Answer::Leaves { table, .. } => table_of(rule) == *table,
                // A rule of type `unreachable` or `prohibit` needs no table.
                Answer::Unreachable | Answer::Invalid => rule.header.action != RuleAction::ToTable,
                Answer::Refused(_) | Answer::Unknown => false,
            });
        // Otherwise the route is in another program's table; ours has no `blackhole` routes.
        if found.is_none() && wrong.answer == Answer::Invalid {
            found = self.of_family(wrong.is_v4).next();
        }

        found.map(|(_, priority, _)| *priority)
    }
}

fn table_of(rule: &RuleMessage) -> u32 {
    let table = find(rule, |attribute| match attribute {
        RuleAttribute::Table(table) => Some(*table),
        _ => None,
    });

    table.unwrap_or(rule.header.table.into())
}

fn find<T>(rule: &RuleMessage, wanted: impl Fn(&RuleAttribute) -> Option<T>) -> Option<T> {
    rule.attributes.iter().find_map(wanted)
}

fn index_of(names: &BTreeMap<u32, String>, interface: &str) -> Option<u32> {
    names
        .iter()
        .find(|(_, name)| *name == interface)
        .map(|(index, _)| *index)
}

fn finding(
    questions: &Questions,
    rules: &Rules,
    names: &BTreeMap<u32, String>,
    wrong: &Wrong,
    asked: &[&Way],
) -> Finding {
    let prefixes: BTreeSet<Prefix> = asked.iter().map(|way| way.prefix).collect();
    let first = prefixes.first().map(Prefix::to_string).unwrap_or_default();
    let more = match prefixes.len() {
        0 | 1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let (tun, _) = &questions.tun;
    let enters = &wrong.enters;
    let flag = if wrong.is_v4 { "" } else { "-6 " };
    let responsible = rules.responsible(wrong);

    let leaves = match &wrong.answer {
        Answer::Leaves { interface, table } => {
            let unknown = "another interface".to_owned();
            let name = names.get(interface).unwrap_or(&unknown);
            format!("leave by {name} (table {table}) instead of {tun}")
        }
        Answer::Unreachable | Answer::Invalid => format!("go nowhere instead of by {tun}"),
        Answer::Refused(reason) => format!("do not reach {tun}: {reason}"),
        Answer::Unknown => format!("may not reach {tun}"),
    };
    let by = match responsible {
        Some(priority) => {
            format!("; ip rule {priority} of another program comes before {RULE_PRIORITY}")
        }
        None => String::new(),
    };
    let remedy = match (responsible, &wrong.answer) {
        // Directly before the other program's rule. Like ours, it exempts the tunnel's own packets.
        (Some(priority), _) => format!(
            "ip {flag}rule add not fwmark {:#x} lookup {} priority {}",
            questions.numbers.mark,
            questions.numbers.table,
            priority - 1
        ),
        // ip-sysctl, rp_filter: 2 is the loose check, which accepts any path back to the source.
        (None, Answer::Refused(_)) => format!("sysctl -w net.ipv4.conf.{enters}.rp_filter=2"),
        (None, _) => format!(
            "ip {flag}route get {} from {} iif {enters}   # shows the route that is in the way",
            asked[0].remote, asked[0].host
        ),
    };

    let kind = if wrong.is_v4 { "IPv4" } else { "IPv6" };
    Finding {
        name: format!("route {kind} from {enters}"),
        what: format!("packets from {enters} to {first}{more} {leaves}{by}"),
        remedy: Remedy::command(remedy),
    }
}
