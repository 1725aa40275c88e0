//! [`find`]: other gateways to which no route of this host leads. Their tunnels have no answer,
//! which looks as if the far end were down.

use std::net::IpAddr;

use ringway_config::Routes as Numbers;
use ringway_intent::{Finding, Inquiry, Remedy};
use rtnetlink::packet_route::route::RouteAttribute;

use super::lookup;
use crate::netlink::Netlink;

/// Asks the kernel as for a packet of the tunnel, which bears our mark.
pub(super) async fn find(
    netlink: &Netlink,
    numbers: &Numbers,
    inquiry: &Inquiry,
) -> Option<Finding> {
    let mut unreached = Vec::new();

    for (gateway, addresses) in &inquiry.peers {
        let mut has_route = addresses.is_empty();
        for address in addresses {
            has_route = has_route || leads(netlink, numbers, *address).await;
        }
        if !has_route {
            unreached.push((gateway, addresses));
        }
    }
    finding(numbers, &unreached)
}

/// True if a route leads to `address`, or if that cannot be told.
async fn leads(netlink: &Netlink, numbers: &Numbers, address: IpAddr) -> bool {
    let mut question = lookup::question(address);
    question.attributes.push(RouteAttribute::Mark(numbers.mark));

    match lookup::ask(netlink, question).await {
        Ok(route) => !route.as_ref().is_some_and(lookup::leads_nowhere),
        // EINVAL: a blackhole has no error of its own. EAFNOSUPPORT and the like: no IPv6 here.
        Err(error) => !matches!(
            error.raw_os_error(),
            Some(
                libc::EHOSTUNREACH
                    | libc::ENETUNREACH
                    | libc::EACCES
                    | libc::EINVAL
                    | libc::EAFNOSUPPORT
                    | libc::EOPNOTSUPP
            )
        ),
    }
}

fn finding(numbers: &Numbers, unreached: &[(&String, &Vec<IpAddr>)]) -> Option<Finding> {
    let (gateway, addresses) = unreached.first()?;
    let listed: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    let more = match unreached.len() {
        1 => String::new(),
        count => format!(" and {} more gateways", count - 1),
    };

    let address = addresses.first()?;
    let flag = if address.is_ipv4() { "" } else { "-6 " };
    Some(Finding {
        name: "route peers".into(),
        what: format!(
            "this host has no route to {gateway} ({}){more}",
            listed.join(", ")
        ),
        remedy: Remedy::command(format!(
            "ip {flag}route get {address} mark {:#x}   # then set what is missing, mostly the \
             default route",
            numbers.mark
        )),
    })
}
