//! [`arrivals`]: the interfaces by which packets of DNS clients may arrive.
//!
//! A member's packets arrive by the TUN device, where the data plane has checked their sources.
//! Those of this site arrive by the site's interfaces, or come from this host. A packet by any
//! other interface, such as the WAN, has a forged source.

use std::collections::BTreeSet;

use ringway_config::{Config, TunName};
use ringway_dns::{Arrivals, Interface};
use ringway_host::incoming::index_of;
use ringway_intent::{Links, has_siblings};

/// The loopback interface.
const LOOPBACK: &str = "lo";

/// The interfaces that exist now. A new one needs another call.
pub(super) fn arrivals(config: &Config, links: &Links) -> Arrivals {
    let site = interfaces(&links.site_interfaces(&config.served_prefixes()));

    // The device of WireGuard clients carries addresses of nodes only.
    let clients = config.wireguard.iter().map(|wireguard| &wireguard.tun);
    let devices = clients.chain([&config.tun]).map(TunName::to_string);
    let mut mesh = interfaces(&devices.collect());
    // Siblings hand over what members send to this host.
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
