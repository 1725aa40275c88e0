//! Findings about addresses of ours that this host does not have. The gateway runs without them,
//! and uses them as soon as the host has them.

use std::net::{IpAddr, SocketAddr};

use ringway_config::Config;

use crate::links::Links;
use crate::remedy::Remedy;
use crate::thing::Finding;

/// Prefix of the names of these findings.
pub const ADDRESS_MISSING: &str = "address missing";

/// The address of the tunnel port is missing: peers cannot dial the gateway.
pub fn absent_listen(config: &Config, links: &Links) -> Option<Finding> {
    let address = config.listen.ip();
    let is_there = address.is_unspecified() || is_there(config, links, address);

    (!is_there).then(|| Finding {
        name: format!("{ADDRESS_MISSING} listen {address}"),
        what: format!(
            "listen {} is no address of this host: no peer can dial this gateway until it is",
            config.listen
        ),
        remedy: Remedy::command(format!(
            "ip address add {address} dev …   # or listen = \"0.0.0.0:{}\" in gateway.toml",
            config.listen.port()
        )),
    })
}

/// Addresses of the DNS server that are missing.
pub fn absent_dns(config: &Config, links: &Links) -> Vec<Finding> {
    let listen = config.dns.listen.iter().map(SocketAddr::ip);

    listen
        .filter(|address| !is_there(config, links, *address))
        .map(absent_dns_address)
        .collect()
}

/// The finding about one of them.
pub fn absent_dns_address(address: IpAddr) -> Finding {
    Finding {
        name: format!("{ADDRESS_MISSING} dns {address}"),
        what: format!(
            "[dns] listen {address} is no address of this host: DNS is not served there yet"
        ),
        remedy: Remedy::command(format!(
            "ip address add {address} dev …   # or correct [dns] listen"
        )),
    }
}

fn is_there(config: &Config, links: &Links, address: IpAddr) -> bool {
    // Only the active gateway has the virtual addresses, so their absence is normal.
    config.ha.has(address) || address.is_loopback() || links.have(address)
}
