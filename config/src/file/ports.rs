//! No two services of a gateway may listen on the same port of the same address.

use std::net::SocketAddr;

use super::table::Table;
use crate::keys::{dns, gateway};
use crate::{Dns, HttpListen, WireGuard};

/// Reports each address of `[dns] listen` at which another service listens. That the tunnel and
/// WireGuard clients have different ports is checked with `[wireguard]`.
pub(super) fn check(
    table: &Table<'_>,
    dns: Option<&Dns>,
    tunnel: Option<SocketAddr>,
    http: Option<&HttpListen>,
    wireguard: Option<&WireGuard>,
) {
    let http = match http {
        Some(HttpListen::Address(address)) => Some(*address),
        Some(HttpListen::Socket(_)) | None => None,
    };
    // DNS uses UDP and TCP.
    let others = [
        ("listen", tunnel),
        (
            "[wireguard] listen",
            wireguard.map(|clients| clients.listen),
        ),
        ("[http] listen", http),
    ];

    for address in dns.iter().flat_map(|dns| &dns.listen) {
        for (key, other) in others {
            if let Some(other) = other.filter(|other| collide(*address, *other)) {
                fault(table, *address, key, other);
            }
        }
    }
}

fn fault(table: &Table<'_>, address: SocketAddr, key: &str, other: SocketAddr) {
    let wrong = format!("{key} takes {address} too, as {other}; give one of them another port");
    let dns = table.table(&gateway::DNS, &dns::SCHEMA);

    match dns.and_then(|dns| dns.optional(&dns::LISTEN)) {
        Some(item) => item.fault(wrong),
        None => table.fault(wrong),
    }
}

/// True if sockets of one protocol cannot be bound to both.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && (a.ip() == b.ip() || covers(a, b) || covers(b, a))
}

fn covers(whole: SocketAddr, part: SocketAddr) -> bool {
    // `[::]` accepts IPv4 too.
    whole.ip().is_unspecified() && (whole.is_ipv6() || part.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_collide_on_one_port_only_if_one_covers_the_other() {
        let collide = |a: &str, b: &str| collide(a.parse().unwrap(), b.parse().unwrap());

        assert!(collide("10.0.0.1:53", "10.0.0.1:53"));
        assert!(collide("10.0.0.1:53", "0.0.0.0:53"));
        assert!(collide("[::]:53", "10.0.0.1:53"));
        assert!(collide("[fd00::1]:53", "[::]:53"));

        assert!(!collide("10.0.0.1:53", "10.0.0.1:4600"));
        assert!(!collide("10.0.0.1:53", "10.0.0.2:53"));
        assert!(!collide("[fd00::1]:53", "0.0.0.0:53"));
    }
}
