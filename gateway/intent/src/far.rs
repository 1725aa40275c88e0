//! Findings about virtual addresses in networks to which this host has no connection of its own: a
//! virtual address is added for itself alone, and does not lead to its network.

use ringway_config::{Config, VirtualAddress};

use crate::links::Links;
use crate::remedy::Remedy;
use crate::thing::Finding;

/// One finding for each address of `[ha]` whose interface has no address of its own in its network.
pub fn far_virtual_addresses(config: &Config, links: &Links) -> Vec<Finding> {
    let ha = &config.ha;
    // Its absence, or that of its carrier, is a finding of its own.
    if !links.is_running(&ha.interface) {
        return Vec::new();
    }

    let far = ha
        .addresses
        .iter()
        .filter(|one| !is_near(one, config, links));
    far.map(|one| finding(one, &ha.interface)).collect()
}

fn is_near(virtual_address: &VirtualAddress, config: &Config, links: &Links) -> bool {
    links.connected().iter().any(|network| {
        network.interface == config.ha.interface
            && network.prefix.contains(virtual_address.address)
            // The virtual address itself, while this host has it.
            && !is_host(network.prefix.len(), virtual_address)
    })
}

fn is_host(len: u8, virtual_address: &VirtualAddress) -> bool {
    let whole = if virtual_address.address.is_ipv4() {
        32
    } else {
        128
    };
    len == whole
}

fn finding(virtual_address: &VirtualAddress, interface: &str) -> Finding {
    let VirtualAddress { address, network } = virtual_address;

    Finding {
        name: format!("ha network {address}"),
        what: format!(
            "[ha] {address}: {interface} has no address of its own in {network}, so that hosts \
             there are not reached"
        ),
        remedy: Remedy::command(format!(
            "ip address add …/{} dev {interface}",
            network.len()
        )),
    }
}
