//! [`find`]: routes of other programs in our routing table that have priority over ours. The daemon
//! changes only routes with its own protocol number, so the operator gets a finding.

use std::collections::BTreeSet;
use std::io;

use ringway_config::{Prefix, Routes as Numbers};
use ringway_intent::{Finding, Remedy};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteMessage, RouteType};

use crate::netlink::{self, Netlink};
use crate::routes::{TUNNEL_METRIC, message};

/// One route of another program.
#[derive(Debug)]
struct ForeignRoute {
    prefix: Prefix,
    /// In the notation of `ip route`, without the table.
    text: String,
}

/// The routes that divert packets to `prefixes`, as one finding.
pub(super) async fn find(
    netlink: &Netlink,
    numbers: &Numbers,
    prefixes: &BTreeSet<Prefix>,
) -> io::Result<Option<Finding>> {
    let mut foreign = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let filter = message::filter(numbers, family);
        match netlink::dump(netlink.handle().route().get(filter).execute()).await {
            Ok(found) => {
                let found = found.iter();
                foreign.extend(found.filter_map(|route| foreign_route(route, numbers, prefixes)));
            }
            // A table exists from its first route on, and IPv6 may be missing.
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error),
        }
    }

    Ok(finding(numbers, &foreign))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOENT | libc::EAFNOSUPPORT | libc::EOPNOTSUPP)
    )
}

/// `route`, if it is another program's and has priority over ours for some of `prefixes`: it is
/// more specific, or has a lower metric.
fn foreign_route(
    route: &RouteMessage,
    numbers: &Numbers,
    prefixes: &BTreeSet<Prefix>,
) -> Option<ForeignRoute> {
    if !message::is_of_table(route, numbers) || message::is_ours(route, numbers) {
        return None;
    }
    let prefix = message::prefix(route)?;
    let metric = message::metric(route).unwrap_or_default();

    let has_priority = prefixes.iter().any(|ours| {
        let is_inside = ours.len() <= prefix.len() && ours.contains(prefix.address());
        is_inside && (prefix.len() > ours.len() || metric < TUNNEL_METRIC)
    });
    has_priority.then(|| ForeignRoute {
        prefix,
        text: text(route, &prefix, metric),
    })
}

fn text(route: &RouteMessage, prefix: &Prefix, metric: u32) -> String {
    let kind = match route.header.kind {
        RouteType::BlackHole => "blackhole ",
        RouteType::Unreachable => "unreachable ",
        RouteType::Prohibit => "prohibit ",
        RouteType::Throw => "throw ",
        _ => "",
    };

    // Without a metric, `ip route del` takes the first one of this prefix.
    let metric = match metric {
        0 => String::new(),
        metric => format!(" metric {metric}"),
    };
    format!("{kind}{prefix}{metric}")
}

fn finding(numbers: &Numbers, foreign: &[ForeignRoute]) -> Option<Finding> {
    let first = foreign.first()?;
    let table = numbers.table;
    let flag = if first.prefix.is_ipv4() { "" } else { "-6 " };
    let more = match foreign.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };

    Some(Finding {
        name: format!("route table {table}"),
        what: format!(
            "a route of another program in this gateway's table {table} comes before its own: \
             {}{more}",
            first.text
        ),
        remedy: Remedy::command(format!("ip {flag}route del {} table {table}", first.text)),
    })
}
