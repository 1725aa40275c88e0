//! [`find`]: other gateways to which this host has no route. Their tunnels get no answer, as if the
//! other gateway were down.

use std::net::IpAddr;

use ringway_config::Routes as Numbers;
use ringway_intent::{Finding, Inspection, Remedy};
use rtnetlink::packet_route::route::RouteAttribute;

use super::route_lookup;
use crate::netlink::Netlink;

/// Looks routes up as for an outer packet of a tunnel, which has our firewall mark.
pub(super) async fn find(
    netlink: &Netlink,
    numbers: &Numbers,
    inspection: &Inspection,
) -> Option<Finding> {
    let mut unreachable = Vec::new();

    for (gateway, addresses) in &inspection.peers {
        let mut has_route = addresses.is_empty();
        for address in addresses {
            has_route = has_route || is_reachable(netlink, numbers, *address).await;
        }
        if !has_route {
            unreachable.push((gateway, addresses));
        }
    }
    finding(numbers, &unreachable)
}

/// True if there is a route to `address`, or if the kernel's answer is not conclusive.
async fn is_reachable(netlink: &Netlink, numbers: &Numbers, address: IpAddr) -> bool {
    let mut request = route_lookup::request(address);
    request.attributes.push(RouteAttribute::Mark(numbers.mark));

    match route_lookup::look_up(netlink, request).await {
        Ok(route) => !route.as_ref().is_some_and(route_lookup::is_drop),
        // EINVAL: a `blackhole` route. EAFNOSUPPORT, EOPNOTSUPP: this host has no IPv6.
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

fn finding(numbers: &Numbers, unreachable: &[(&String, &Vec<IpAddr>)]) -> Option<Finding> {
    let (gateway, addresses) = unreachable.first()?;
    let listed: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    let more = match unreachable.len() {
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
             default route, or the rule for table main (ip {flag}rule show)",
            numbers.mark
        )),
    })
}
