//! Namespaces, links, addresses and resolvers: all of a laboratory that exists without Ringway.
//!
//! A VPC is a switch in a namespace of its own: what nodes of one site say to each other never passes their
//! gateway. Nodes have one interface and a default route to their gateway, so that a packet nobody claims goes
//! where a leak would show: to the gateway, and from its default route to the WAN.

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::program::{command, feed, output};
use super::topology::{DOMAIN, Kind, Node, Org, Topology};

/// Duplicate address detection would keep IPv6 addresses from use for a second, and there are no duplicates.
const QUIET: &str = "for name in all default; do echo 0 >/proc/sys/net/ipv6/conf/$name/accept_dad; \
                     echo 0 >/proc/sys/net/ipv6/conf/$name/accept_ra; done";
/// The WAN is a router. A gateway's forwarding is the gateway's own affair.
const FORWARD: &str =
    "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding";

/// Makes every namespace, link, address and resolver file.
pub fn make(topology: &Topology) -> Result<()> {
    let namespaces = topology.namespaces();
    ip(None, &each(&namespaces, "netns add"))?;
    for netns in &namespaces {
        inside(netns, QUIET)?;
    }
    for wan in topology.of_kind(Kind::Wan) {
        inside(&wan.netns, FORWARD)?;
    }
    ip(None, &links(topology))?;
    for org in Org::all() {
        ip(Some(&topology.switch(org)), &switch(org))?;
    }
    for node in &topology.nodes {
        ip(Some(&node.netns), &addresses(node))?;
        write_resolver(node)?;
    }
    Ok(())
}

/// Removes whatever [`make`] made, complete or not; says nothing of what is missing.
pub fn remove(topology: &Topology) -> Result<()> {
    let existing = namespaces()?;
    let mut doomed = topology.namespaces();
    doomed.retain(|netns| existing.contains(netns));
    ip(None, &each(&doomed, "netns delete"))?;
    for node in &topology.nodes {
        remove_if_there(fs::remove_dir_all(resolver_dir(node)))?;
    }
    Ok(())
}

fn each(namespaces: &[String], command: &str) -> String {
    namespaces
        .iter()
        .map(|netns| format!("{command} {netns}\n"))
        .collect()
}

/// The names of all network namespaces of this host.
pub fn namespaces() -> Result<Vec<String>> {
    let list = output(&mut command("ip", ["netns", "list"]))?;
    Ok(list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(String::from)
        .collect())
}

/// The numbers of all processes in the namespace `netns`.
pub fn processes(netns: &str) -> Result<Vec<u32>> {
    let list = output(&mut command("ip", ["netns", "pids", netns]))?;
    Ok(list
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect())
}

/// `Ok` also if there was nothing to remove.
pub fn remove_if_there(outcome: std::io::Result<()>) -> Result<()> {
    match outcome {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// `ip -batch`, in the namespace `netns` or the host's.
fn ip(netns: Option<&str>, batch: &str) -> Result<()> {
    let netns = netns.map(|netns| ["-n", netns]);
    let arguments = netns.iter().flatten().copied().chain(["-batch", "-"]);
    feed(&mut command("ip", arguments), batch)
        .with_context(|| format!("in this batch:\n{batch}"))?;
    Ok(())
}

/// A shell script in the namespace `netns`.
fn inside(netns: &str, script: &str) -> Result<()> {
    output(&mut command(
        "ip",
        ["netns", "exec", netns, "sh", "-ec", script],
    ))?;
    Ok(())
}

/// Every link, made directly in the two namespaces it joins: no name ever appears on the host.
fn links(topology: &Topology) -> String {
    let mut text = String::new();
    for node in &topology.nodes {
        let (Some(org), netns) = (node.org, &node.netns) else {
            continue;
        };
        let (switch, label) = (topology.switch(org), node.label());
        let inner = if node.kind == Kind::Gateway {
            "lan0"
        } else {
            "eth0"
        };
        let _ = writeln!(
            text,
            "link add {inner} netns {netns} type veth peer name {label} netns {switch}"
        );
        if node.kind == Kind::Gateway {
            let wan = format!("{}-wan", topology.lab);
            let _ = writeln!(
                text,
                "link add wan0 netns {netns} type veth peer name {} netns {wan}",
                org.name
            );
        }
    }
    text
}

/// What makes a switch of `org`'s namespace.
fn switch(org: Org) -> String {
    let mut text = String::from("link add vpc type bridge\nlink set vpc up\n");
    for label in ["gw", org.nodes[0], org.nodes[1]] {
        let _ = writeln!(text, "link set {label} master vpc up");
    }
    text
}

/// What makes `node`'s interfaces usable.
fn addresses(node: &Node) -> String {
    let mut text = String::from("link set lo up\n");
    match (node.kind, node.org) {
        (Kind::Node, Some(org)) => {
            text += &address("eth0", node.addresses.iter().copied(), [24, 64]);
            text += &default_routes(org.v4(1).into(), org.v6(1).into());
        }
        (Kind::Gateway, Some(org)) => {
            text += &address("lan0", [org.v4(1).into(), org.v6(1).into()], [24, 64]);
            text += &address(
                "wan0",
                [org.wan_v4(2).into(), org.wan_v6(2).into()],
                [30, 64],
            );
            text += &default_routes(org.wan_v4(1).into(), org.wan_v6(1).into());
        }
        _ => {
            for org in Org::all() {
                text += &address(
                    org.name,
                    [org.wan_v4(1).into(), org.wan_v6(1).into()],
                    [30, 64],
                );
            }
        }
    }
    text
}

/// Gives `interface` an IPv4 and an IPv6 address, with a prefix length each, and sets it up.
fn address(
    interface: &str,
    addresses: impl IntoIterator<Item = IpAddr>,
    lengths: [u8; 2],
) -> String {
    let mut text = String::new();
    for (address, length) in addresses.into_iter().zip(lengths) {
        let _ = writeln!(text, "address add {address}/{length} dev {interface}");
    }
    text + &format!("link set {interface} up\n")
}

fn default_routes(v4: IpAddr, v6: IpAddr) -> String {
    format!("route add default via {v4}\nroute add default via {v6}\n")
}

/// What `ip netns exec` puts in the place of `/etc/resolv.conf`.
fn write_resolver(node: &Node) -> Result<()> {
    let (Kind::Node, Some(org)) = (node.kind, node.org) else {
        return Ok(());
    };
    let dir = resolver_dir(node);
    // Two dots and more are a full name: `peer0.org1` goes through the search list first.
    let text = format!(
        "nameserver {}\nnameserver {}\nsearch {}.{DOMAIN} {DOMAIN}\noptions ndots:2 timeout:1\n",
        org.v4(1),
        org.v6(1),
        org.name
    );
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("resolv.conf"), text)
    };
    write().with_context(|| format!("cannot write {}", dir.display()))
}

fn resolver_dir(node: &Node) -> PathBuf {
    PathBuf::from("/etc/netns").join(&node.netns)
}
