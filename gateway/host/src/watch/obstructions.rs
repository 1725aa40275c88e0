//! [`obstructions`]: finds the rules and filters of other programs on this host that stop one
//! connection. Checks the same as [`inspect`](super::inspect()), for the addresses and the port of
//! this connection only.

use std::io;
use std::net::IpAddr;

use ringway_config::{Opening, Prefix, Routes as Numbers, TunName};
use ringway_intent::{Finding, HostPair, Inspection, Remedy};
use tokio::task::spawn_blocking;

use super::foreign_filters::{self, Traffic};
use super::member_routes::{self, Lookups};
use super::reach::{self, Reach};
use crate::links;
use crate::netlink::Netlink;

/// A connection between a host of this site and one behind the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Source, destination and service.
    pub opening: Opening,
    /// The host behind the tunnel opens it.
    pub is_inbound: bool,
    /// The member's prefix with the host behind the tunnel.
    pub prefix: Prefix,
    /// A tunnel serves this prefix now.
    pub is_tunnelled: bool,
}

impl Connection {
    /// The host that is reached without a tunnel.
    fn local_host(&self) -> IpAddr {
        if self.is_inbound {
            self.opening.destination
        } else {
            self.opening.source
        }
    }

    fn remote_host(&self) -> IpAddr {
        if self.is_inbound {
            self.opening.source
        } else {
            self.opening.destination
        }
    }
}

/// The rules and filters of other programs that stop a connection in one of its directions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Obstructions {
    /// Those that certainly do.
    pub certain: Vec<Finding>,
    /// Those that may, as far as can be judged.
    pub possible: Vec<Finding>,
}

/// Every rule or filter of another program that stops `connection`, or may stop it. Needs a tokio
/// runtime and CAP_NET_ADMIN, in the network namespace of the gateway.
pub async fn obstructions(
    tun: &TunName,
    numbers: Numbers,
    connection: Connection,
) -> io::Result<Obstructions> {
    let netlink = Netlink::open()?;
    let names = links::names(&netlink).await?;
    let host = connection.local_host();

    let site = match reach::find(&netlink, &names, host).await? {
        Reach::Local => None,
        Reach::Interface { name, .. } => Some(name),
        Reach::NoRoute => {
            return Ok(Obstructions {
                certain: vec![no_route(host)],
                possible: Vec::new(),
            });
        }
    };
    let mut findings = Vec::new();
    let device = names.iter().find(|(_, name)| *name == tun.as_str());
    if let (Some((index, _)), Some(interface)) = (device, &site) {
        let lookups = Lookups {
            tun: (tun.to_string(), *index),
            numbers,
            pairs: vec![HostPair {
                interface: interface.clone(),
                host,
                remote: connection.remote_host(),
                prefix: connection.prefix,
                is_tunnelled: connection.is_tunnelled,
            }],
            site: [interface.clone()].into(),
        };
        findings.extend(member_routes::find(&netlink, &names, &lookups).await?);
    }

    let traffic = Traffic {
        tun: tun.to_string(),
        inspection: Inspection::default(),
        names,
    };
    let found =
        spawn_blocking(move || foreign_filters::find_of(&traffic, &connection, site.as_deref()));
    let mut found = found.await??;
    found.certain.splice(0..0, findings);
    Ok(found)
}

/// Every filter of another program that certainly stops the queries of `client`, a host of the
/// site, to our DNS server at `server`, or its answers. Needs what [`obstructions`] needs.
pub async fn dns_obstructions(
    tun: &TunName,
    client: IpAddr,
    server: IpAddr,
) -> io::Result<Vec<Finding>> {
    let netlink = Netlink::open()?;
    let names = links::names(&netlink).await?;
    // This host asks itself; or there is no way from the client to begin with.
    let Reach::Interface { name, .. } = reach::find(&netlink, &names, client).await? else {
        return Ok(Vec::new());
    };

    let traffic = Traffic {
        tun: tun.to_string(),
        inspection: Inspection {
            dns: vec![server],
            ..Inspection::default()
        },
        names,
    };
    let pair = HostPair {
        interface: name,
        host: client,
        remote: server,
        prefix: Prefix::host(server),
        is_tunnelled: false,
    };
    spawn_blocking(move || foreign_filters::find_of_dns(&traffic, &pair)).await?
}

fn no_route(host: IpAddr) -> Finding {
    Finding {
        name: format!("way to {host}"),
        what: format!("this host has no route to {host}, which is in its own site"),
        remedy: Remedy::command(format!("ip route get {host}")),
    }
}
