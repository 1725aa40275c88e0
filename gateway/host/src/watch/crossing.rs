//! [`obstructions`]: what of others on this host is in the way of one connection: the same looks as
//! those of [`inquire`](super::inquire()), for its addresses and its port alone.

use std::io;
use std::net::IpAddr;

use ringway_config::{Opening, Prefix, Routes as Numbers, TunName};
use ringway_intent::{Finding, Inquiry, Remedy, Way};
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage, RouteType};
use tokio::task::spawn_blocking;

use super::asked::{self, Questions};
use super::foreign::{self, Traffic};
use super::lookup;
use crate::links;
use crate::netlink::Netlink;

/// A connection between a host at this end and one behind the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossing {
    /// What is opened.
    pub opening: Opening,
    /// By the host behind the tunnel.
    pub arrives: bool,
    /// The prefix that has that host.
    pub prefix: Prefix,
    /// A tunnel serves it now.
    pub is_tunnelled: bool,
}

impl Crossing {
    /// The end that is reached without a tunnel.
    pub(super) fn near(&self) -> IpAddr {
        if self.arrives {
            self.opening.destination
        } else {
            self.opening.source
        }
    }

    fn far(&self) -> IpAddr {
        if self.arrives {
            self.opening.source
        } else {
            self.opening.destination
        }
    }
}

/// How this host reaches an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// It has the address itself.
    Own,
    /// By the interface with this index.
    By(u32),
    /// No route leads there.
    Nowhere,
}

/// Everything of others on this host that certainly keeps `crossing` from passing in one of its
/// directions. Needs a tokio runtime and CAP_NET_ADMIN, in the network namespace of the gateway.
pub async fn obstructions(
    tun: &TunName,
    numbers: Numbers,
    crossing: Crossing,
) -> io::Result<Vec<Finding>> {
    let netlink = Netlink::open()?;
    let names = links::names(&netlink).await?;
    let near = crossing.near();

    let site = match reach(&netlink, near).await? {
        Reach::Own => None,
        Reach::By(index) => names.get(&index).cloned(),
        Reach::Nowhere => return Ok(vec![no_way(near)]),
    };
    let mut findings = Vec::new();
    let device = names.iter().find(|(_, name)| *name == tun.as_str());
    if let (Some((index, _)), Some(interface)) = (device, &site) {
        let questions = Questions {
            tun: (tun.to_string(), *index),
            numbers,
            ways: vec![Way {
                interface: interface.clone(),
                host: near,
                remote: crossing.far(),
                prefix: crossing.prefix,
                is_tunnelled: crossing.is_tunnelled,
            }],
        };
        findings.extend(asked::ask(&netlink, &names, &questions).await?);
    }

    let traffic = Traffic {
        tun: tun.to_string(),
        inquiry: Inquiry::default(),
        names,
    };
    let found = spawn_blocking(move || foreign::find_of(&traffic, &crossing, site.as_deref()));
    findings.extend(found.await??);
    Ok(findings)
}

fn no_way(near: IpAddr) -> Finding {
    Finding {
        name: format!("way to {near}"),
        what: format!("this host has no route to {near}, which is in its own site"),
        remedy: Remedy::command(format!("ip route get {near}")),
    }
}

async fn reach(netlink: &Netlink, address: IpAddr) -> io::Result<Reach> {
    match lookup::ask(netlink, lookup::question(address)).await {
        Ok(route) => Ok(route.as_ref().map_or(Reach::Nowhere, read)),
        Err(error) => match error.raw_os_error() {
            Some(libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EACCES | libc::EINVAL) => {
                Ok(Reach::Nowhere)
            }
            _ => Err(error),
        },
    }
}

fn read(route: &RouteMessage) -> Reach {
    if route.header.kind == RouteType::Local {
        return Reach::Own;
    }

    let mut attributes = route.attributes.iter();
    let index = attributes.find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) if route.header.kind == RouteType::Unicast => Some(*index),
        _ => None,
    });
    index.map_or(Reach::Nowhere, Reach::By)
}
