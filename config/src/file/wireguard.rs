//! `[wireguard]`: where standard WireGuard clients are served.

use std::net::SocketAddr;

use super::remedy;
use super::table::Table;
use crate::keys::{gateway, wireguard as keys};
use crate::{Nodes, TunName, WireGuard, defaults};

/// Reads `[wireguard]`. A value with faults is reported; `None` then is never used.
pub(crate) fn read(
    table: &Table<'_>,
    tunnel: Option<SocketAddr>,
    device: Option<&TunName>,
    nodes: &Nodes,
) -> Option<WireGuard> {
    if table.optional(&gateway::WIREGUARD).is_none() {
        refuse_clients(table, nodes);
    }
    let table = table.table(&gateway::WIREGUARD, &keys::SCHEMA)?;
    let listen = table.required(&keys::LISTEN)?;
    let name = table.optional(&keys::NAME);

    let text = listen.text()?;
    let address = text.parse::<SocketAddr>();
    let Some(address) = address.ok().filter(|address| address.port() != 0) else {
        let wrong = "is not an address and a port";
        return listen.refuse(remedy::no_socket(text, wrong, defaults::WIREGUARD_PORT));
    };
    if tunnel.is_some_and(|tunnel| tunnel.port() == address.port()) {
        return listen.refuse(format!(
            "{} is the tunnel's port; WireGuard clients need one of their own",
            address.port()
        ));
    }

    let tun: TunName = match &name {
        Some(name) => name.parse()?,
        None => defaults::wireguard_tun(),
    };
    if device == Some(&tun) {
        let wrong =
            format!("{tun} is the tunnel's device; WireGuard clients need one of their own");
        match &name {
            Some(name) => name.fault(wrong),
            None => table.fault(wrong),
        }
        return None;
    }
    Some(WireGuard {
        listen: address,
        tun,
    })
}

/// Nodes that are WireGuard clients need a place to come in, which the file does not have.
fn refuse_clients(table: &Table<'_>, nodes: &Nodes) {
    let mut clients = nodes.list.iter().filter(|node| node.wireguard.is_some());

    if let Some(node) = clients.next() {
        let wrong = format!(
            "node {} is a WireGuard client, and none are served; write {}",
            node.name,
            gateway::WIREGUARD.form
        );
        table.fault_at(&node.place, wrong);
    }
}
