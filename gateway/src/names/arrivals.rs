//! [`arrivals`]: by which interfaces the packets of the DNS server's clients come.
//!
//! A member's come by the TUN device, where the data plane has checked their sources. This site's
//! come by the site's interfaces, or from this host itself. Whatever comes by another interface,
//! the WAN for instance, has a forged source.

use std::collections::BTreeSet;

use ringway_config::{Config, TunName};
use ringway_dns::{Arrivals, Interface};
use ringway_host::incoming::index_of;
use ringway_intent::{Links, has_siblings};

/// What this host calls itself.
const LOOPBACK: &str = "lo";

/// The interfaces of the moment: an interface that comes later is not among them.
pub(super) fn arrivals(config: &Config, links: &Links) -> Arrivals {
    let site = interfaces(&links.site_interfaces(&config.served_prefixes()));

    // Nothing but nodes' addresses comes by the device of WireGuard clients.
    let clients = config.wireguard.iter().map(|wireguard| &wireguard.tun);
    let devices = clients.chain([&config.tun]).map(TunName::to_string);
    let mut mesh = interfaces(&devices.collect());
    // The other gateways of this site hand over what members send to this host.
    if has_siblings(config) {
        mesh.extend(&site);
    }

    let host = interfaces(&BTreeSet::from([LOOPBACK.to_owned()]));
    Arrivals {
        site: &site | &host,
        mesh,
    }
}

fn interfaces(names: &BTreeSet<String>) -> BTreeSet<Interface> {
    names
        .iter()
        .filter_map(|name| index_of(name).ok())
        .map(Interface)
        .collect()
}
