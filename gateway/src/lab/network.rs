//! Namespaces, links, addresses and resolvers: all of a laboratory that exists without Ringway.
//!
//! A VPC is a bridge in its gateway's namespace. Nodes have one interface and a default route to their
//! gateway, so that a packet nobody claims goes where a leak would show: to the gateway, and from its default
//! route to the WAN.

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::program::{command, feed, output};
use super::topology::{DOMAIN, Kind, Node, Org, Topology};

/// Duplicate address detection would keep IPv6 addresses from use for a second, and there are no duplicates.
const QUIET: &str = "for name in all default; do echo 0 >/proc/sys/net/ipv6/conf/$name/accept_dad; \
                     echo 0 >/proc/sys/net/ipv6/conf/$name/accept_ra; done";
/// The WAN is a router. A gateway's forwarding is the gateway's own affair.
const FORWARD: &str = "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding";

/// Makes every namespace, link, address and resolver file.
pub fn make(topology: &Topology) -> Result<()> {
    ip(
        None,
        &topology.nodes.iter().fold(String::new(), |text, node| text + "netns add " + &node.netns + "\n"),
    )?;
    for node in &topology.nodes {
        let forward = if node.kind == Kind::Wan { FORWARD } else { "" };
        inside(node, &format!("set -e; {QUIET}; {forward}"))?;
    }
    ip(None, &links(topology))?;
    for node in &topology.nodes {
        ip(Some(node), &addresses(node))?;
        write_resolver(node)?;
    }
    Ok(())
}

/// Removes whatever [`make`] made, complete or not; says nothing of what is missing.
pub fn remove(topology: &Topology) -> Result<()> {
    let existing = namespaces()?;
    let doomed = topology.nodes.iter().filter(|node| existing.contains(&node.netns));
    ip(None, &doomed.fold(String::new(), |text, node| text + "netns delete " + &node.netns + "\n"))?;
    for node in &topology.nodes {
        remove_if_there(fs::remove_dir_all(resolver_dir(node)))?;
    }
    Ok(())
}

/// The names of all network namespaces of this host.
pub fn namespaces() -> Result<Vec<String>> {
    let list = output(&mut command("ip", ["netns", "list"]))?;
    Ok(list.lines().filter_map(|line| line.split_whitespace().next()).map(String::from).collect())
}

/// The numbers of all processes in `node`'s namespace.
pub fn processes(node: &Node) -> Result<Vec<u32>> {
    let list = output(&mut command("ip", ["netns", "pids", &node.netns]))?;
    Ok(list.lines().filter_map(|line| line.trim().parse().ok()).collect())
}

/// `Ok` also if there was nothing to remove.
pub fn remove_if_there(outcome: std::io::Result<()>) -> Result<()> {
    match outcome {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// `ip -batch`, in `node`'s namespace or the host's.
fn ip(node: Option<&Node>, batch: &str) -> Result<()> {
    let netns = node.map(|node| ["-n", &node.netns]);
    let arguments = netns.iter().flatten().copied().chain(["-batch", "-"]);
    feed(&mut command("ip", arguments), batch).with_context(|| format!("in this batch:\n{batch}"))?;
    Ok(())
}

/// A shell script in `node`'s namespace.
fn inside(node: &Node, script: &str) -> Result<()> {
    output(&mut command("ip", ["netns", "exec", &node.netns, "sh", "-c", script]))?;
    Ok(())
}

/// Every link, made directly in the two namespaces it joins: no name ever appears on the host.
fn links(topology: &Topology) -> String {
    let mut text = String::new();
    let netns = |name: &str| format!("{}-{name}", topology.lab);
    for org in Org::all() {
        let gateway = netns(&org.gateway());
        for label in org.nodes {
            let node = netns(&format!("{label}.{}", org.name));
            let _ = writeln!(text, "link add eth0 netns {node} type veth peer name {label} netns {gateway}");
        }
        let _ = writeln!(
            text,
            "link add wan0 netns {gateway} type veth peer name {} netns {}",
            org.name,
            netns("wan")
        );
    }
    text
}

/// What makes `node`'s interfaces usable.
fn addresses(node: &Node) -> String {
    let mut text = String::from("link set lo up\n");
    match (node.kind, node.org) {
        (Kind::Node, Some(org)) => {
            for address in &node.addresses {
                let length = if address.is_ipv4() { 24 } else { 64 };
                let _ = writeln!(text, "address add {address}/{length} dev eth0");
            }
            let _ = writeln!(text, "link set eth0 up\nroute add default via {}", org.v4(1));
            let _ = writeln!(text, "route add default via {}", org.v6(1));
        }
        (Kind::Gateway, Some(org)) => {
            text += "link add lan0 type bridge\n";
            for label in org.nodes {
                let _ = writeln!(text, "link set {label} master lan0 up");
            }
            let _ = writeln!(
                text,
                "address add {}/24 dev lan0\naddress add {}/64 dev lan0",
                org.v4(1),
                org.v6(1)
            );
            let _ = writeln!(
                text,
                "address add {}/30 dev wan0\naddress add {}/64 dev wan0",
                org.wan_v4(2),
                org.wan_v6(2)
            );
            let _ =
                writeln!(text, "link set lan0 up\nlink set wan0 up\nroute add default via {}", org.wan_v4(1));
            let _ = writeln!(text, "route add default via {}", org.wan_v6(1));
        }
        _ => {
            for org in Org::all() {
                let (v4, v6, name) = (org.wan_v4(1), org.wan_v6(1), org.name);
                let _ = writeln!(
                    text,
                    "address add {v4}/30 dev {name}\naddress add {v6}/64 dev {name}\nlink set {name} up"
                );
            }
        }
    }
    text
}

/// What `ip netns exec` puts in the place of `/etc/resolv.conf`.
fn write_resolver(node: &Node) -> Result<()> {
    let (Kind::Node, Some(org)) = (node.kind, node.org) else { return Ok(()) };
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
