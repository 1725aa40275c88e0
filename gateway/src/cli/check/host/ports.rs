//! Checks that no two services of the gateway listen on the same port of the same address.

use std::net::SocketAddr;

use ringway_config::{Config, HttpListen};
use ringway_host::obstacles::Obstacle;
use ringway_intent::Remedy;

/// A key of gateway.toml, and an address in it.
type Listen = (&'static str, SocketAddr);

/// Each pair of addresses of which only one can be used. That the tunnel and WireGuard clients
/// have different ports is checked with the file.
pub(super) fn collisions(config: &Config) -> Vec<Obstacle> {
    let tunnel = ("[gateway] listen", config.listen);
    let clients = config.wireguard.as_ref();
    let clients = clients.map(|wireguard| ("[wireguard] listen", wireguard.listen));
    let http = match &config.http {
        Some(HttpListen::Address(address)) => Some(("[http] listen", *address)),
        Some(HttpListen::Socket(_)) | None => None,
    };

    let mut found = Vec::new();
    for address in &config.dns.listen {
        // DNS uses UDP and TCP.
        let others = [Some(tunnel), clients, http].into_iter().flatten();
        let colliding = others.filter(|(_, other)| collide(*address, *other));
        found.extend(colliding.map(|other| obstacle(("[dns] listen", *address), other)));
    }
    found
}

/// True if sockets of one protocol cannot be bound to both.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |whole: SocketAddr, part: SocketAddr| {
        // `[::]` accepts IPv4 too.
        whole.ip().is_unspecified() && (whole.is_ipv6() || part.is_ipv4())
    };

    a.port() == b.port() && (a.ip() == b.ip() || covers(a, b) || covers(b, a))
}

fn obstacle(dns: Listen, other: Listen) -> Obstacle {
    let (key, address) = dns;
    let (other_key, other_address) = other;

    Obstacle::Socket {
        reason: format!(
            "{key} {address} and {other_key} {other_address} are the same port; only one of them \
             can be used"
        ),
        remedy: Remedy::from(format!("give {other_key} another port")),
    }
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
