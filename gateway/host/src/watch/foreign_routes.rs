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
    effect: Effect,
}

/// What the route does to packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    /// It has priority over ours for some of the members' addresses.
    Diverts,
    /// It is wider than a member's prefix, such as a default route. The tables after ours are not
    /// looked up for its other addresses, so that packets to the site can leave by the WAN.
    Captures,
}

/// The routes that divert packets to `prefixes`, or packets to anywhere else, as one finding.
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

    foreign.sort_by_key(|route| route.effect);
    Ok(finding(numbers, &foreign))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOENT | libc::EAFNOSUPPORT | libc::EOPNOTSUPP)
    )
}

/// `route`, if it is another program's and has such an effect. It has priority over ours for some
/// of `prefixes` if it is more specific, or has a lower metric.
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

    let diverts = prefixes
        .iter()
        .any(|ours| ours.covers(&prefix) && (prefix.len() > ours.len() || metric < TUNNEL_METRIC));
    // A `throw` route makes the kernel go on with the next rule.
    let captures = route.header.kind != RouteType::Throw
        && prefixes
            .iter()
            .any(|ours| prefix.covers(ours) && prefix != *ours);
    let effect = match (diverts, captures) {
        (true, _) => Effect::Diverts,
        (false, true) => Effect::Captures,
        (false, false) => return None,
    };
    Some(ForeignRoute {
        prefix,
        text: text(route, &prefix, metric),
        effect,
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

    let effect = match first.effect {
        Effect::Diverts => "comes before its own",
        Effect::Captures => "takes packets that are not for members",
    };

    Some(Finding {
        name: format!("route table {table}"),
        what: format!(
            "a route of another program in this gateway's table {table} {effect}: {}{more}",
            first.text
        ),
        remedy: Remedy::command(format!("ip {flag}route del {} table {table}", first.text)),
    })
}
