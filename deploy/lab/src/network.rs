//! Namespaces, links, addresses and resolvers: the part of a laboratory that exists without
//! Ringway.
//!
//! A VPC is a switch in its own namespace, so packets between nodes of one site do not pass their
//! gateway. A node has one interface and a default route to its gateway. So a packet to an address
//! that nothing claims reaches the gateway, and would take the default route to the WAN, where
//! leaks are counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::data_centre;
use crate::program::{command, feed, output};
use crate::topology::{DOMAIN, Kind, Node, Org, Topology};

/// Shell script that disables IPv6 duplicate address detection: it delays the use of a new address
/// by a second, and the laboratory has no duplicates.
const NO_DAD: &str = "for name in all default; do \
                      echo 0 >/proc/sys/net/ipv6/conf/$name/accept_dad; \
                      echo 0 >/proc/sys/net/ipv6/conf/$name/accept_ra; done";

/// Shell script that enables forwarding on the WAN and on the data centre's router. A gateway
/// enables it itself.
const FORWARD: &str = "echo 1 >/proc/sys/net/ipv4/ip_forward; \
                       echo 1 >/proc/sys/net/ipv6/conf/all/forwarding";

/// Creates every namespace, empty.
pub(crate) fn create_namespaces(topology: &Topology) -> Result<()> {
    // `ip -batch` runs many commands in one process, which is fast.
    ip_batch(None, &for_each("netns add", &topology.namespaces()))
}

/// Creates every link, address and resolver file.
pub(crate) fn connect(topology: &Topology) -> Result<()> {
    for netns in &topology.namespaces() {
        run_script(netns, NO_DAD)?;
    }
    for router in [Kind::Wan, Kind::Nat] {
        for router in topology.of_kind(router) {
            run_script(&router.netns, FORWARD)?;
        }
    }

    // A link joins two namespaces, so all of them must exist by now.
    ip_batch(None, &links(topology))?;
    for org in Org::all() {
        ip_batch(Some(&topology.switch(org)), &switch(topology, org))?;
    }
    for node in &topology.nodes {
        ip_batch(Some(&node.netns), &addresses(topology, node))?;
        write_resolver(topology, node)?;
    }
    for router in topology.of_kind(Kind::Nat) {
        data_centre::translate(router)?;
    }
    Ok(())
}

/// Removes the namespaces `ours` and all that is in them, and every resolver file.
pub(crate) fn remove(topology: &Topology, ours: &[String]) -> Result<()> {
    ip_batch(None, &for_each("netns delete", ours))?;

    for node in &topology.nodes {
        let dir = resolver_dir(&node.netns);
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", dir.display()));
            }
            _ => (),
        }
    }
    Ok(())
}

fn for_each(command: &str, namespaces: &[String]) -> String {
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

/// The inodes of `namespaces` that exist: they distinguish namespaces of the same name.
pub(crate) fn inodes(namespaces: &[String]) -> BTreeMap<String, u64> {
    let mut inodes = BTreeMap::new();
    for netns in namespaces {
        // ip-netns(8): the file is the namespace itself, bind-mounted.
        if let Ok(metadata) = fs::metadata(Path::new("/run/netns").join(netns)) {
            inodes.insert(netns.clone(), metadata.ino());
        }
    }
    inodes
}

/// True if the namespace `netns` has a resolver of its own, whether it exists or not.
pub(crate) fn has_resolver(netns: &str) -> bool {
    resolver_dir(netns).exists()
}

/// The numbers of all processes in the namespace `netns`.
pub(crate) fn processes(netns: &str) -> Result<Vec<u32>> {
    let list = output(&mut command("ip", ["netns", "pids", netns]))?;
    Ok(list
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect())
}

/// Runs `ip -batch` in the namespace `netns`, or in this process's if it is `None`.
fn ip_batch(netns: Option<&str>, batch: &str) -> Result<()> {
    let mut arguments = Vec::new();
    if let Some(netns) = netns {
        arguments.extend(["-n", netns]);
    }
    arguments.extend(["-batch", "-"]);

    feed(&mut ip(arguments), batch).with_context(|| format!("in this batch:\n{batch}"))?;
    Ok(())
}

/// Runs a shell script in the namespace `netns`.
fn run_script(netns: &str, script: &str) -> Result<()> {
    let arguments = ["netns", "exec", netns, "sh", "-ec", script];
    output(&mut ip(arguments))?;
    Ok(())
}

/// `ip` with `arguments`. It is killed together with this program, so that after a killed `up`
/// nothing goes on creating namespaces while the next one removes them.
fn ip<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let with_parent = ["--pdeathsig", "KILL", "ip"];
    command("setpriv", with_parent.into_iter().chain(arguments))
}

/// The `ip` commands for every link. Each is created directly in the two namespaces that it joins,
/// so no interface ever appears on the host.
fn links(topology: &Topology) -> String {
    let mut text = String::new();
    for node in &topology.nodes {
        text += &data_centre::link(topology, node);
        let interface = match node.kind {
            Kind::Gateway => "lan0",
            Kind::Node => "eth0",
            // The WAN gets its ends of the links from the gateways.
            Kind::Wan | Kind::Attached | Kind::Nat => continue,
        };
        let Some(org) = node.org else {
            continue;
        };

        _ = writeln!(
            text,
            "link add {interface} netns {} type veth peer name {} netns {}",
            node.netns,
            node.label(),
            topology.switch(org)
        );

        if let Some(uplink) = node.uplink {
            _ = writeln!(
                text,
                "link add wan0 netns {} type veth peer name {} netns {}-wan",
                node.netns,
                uplink.interface(),
                topology.lab
            );
        }
    }
    text
}

/// The `ip` commands that turn the namespace of `org`'s switch into one.
fn switch(topology: &Topology, org: Org) -> String {
    let mut text = String::from("link add vpc type bridge\nlink set vpc up\n");
    for node in topology.in_the_site_of(org) {
        _ = writeln!(text, "link set {} master vpc up", node.label());
    }
    text
}

/// The `ip` commands for the addresses and routes of `node`.
fn addresses(topology: &Topology, node: &Node) -> String {
    let mut text = String::from("link set lo up\n");
    match (node.kind, node.org, node.uplink) {
        (Kind::Node, Some(org), _) => {
            text += &interface("eth0", &node.addresses, [24, 64]);
            text += &default_routes(topology.routers(org));
        }
        (Kind::Gateway, _, Some(uplink)) => {
            // Two addresses in the VPC, then two on the WAN.
            let (inside, outside) = node.addresses.split_at(2);
            text += &interface("lan0", inside, [24, 64]);
            text += &interface("wan0", outside, [30, 64]);
            text += &default_routes(uplink.addresses(1));
        }
        (Kind::Wan, _, _) => {
            for uplink in topology.nodes.iter().filter_map(|node| node.uplink) {
                text += &interface(&uplink.interface(), &uplink.addresses(1), [30, 64]);
            }
            if topology.equipment.attach {
                text += &data_centre::addresses(node);
            }
        }
        _ => text += &data_centre::addresses(node),
    }
    text
}

/// The `ip` commands that give `name` an IPv4 and an IPv6 address, and set it up.
fn interface(name: &str, addresses: &[IpAddr], prefix_lengths: [u8; 2]) -> String {
    let mut text = String::new();
    for (address, length) in addresses.iter().zip(prefix_lengths) {
        _ = writeln!(text, "address add {address}/{length} dev {name}");
    }
    _ = writeln!(text, "link set {name} up");
    text
}

fn default_routes([v4, v6]: [IpAddr; 2]) -> String {
    format!("route add default via {v4}\nroute add default via {v6}\n")
}

/// Writes the file that `ip netns exec` mounts over `/etc/resolv.conf`.
fn write_resolver(topology: &Topology, node: &Node) -> Result<()> {
    // Only hosts resolve names.
    let (Kind::Node | Kind::Attached, Some(org)) = (node.kind, node.org) else {
        return Ok(());
    };

    // A name with two dots or more is tried literally first; `peer0.org1`, with one, goes through
    // the search list first.
    let search = format!(
        "search {}.{DOMAIN} {DOMAIN}\noptions ndots:2 timeout:1\n",
        org.name
    );
    let [v4, v6] = topology.routers(org);
    let text = match node.kind {
        // The node's daemon adds the servers.
        Kind::Attached => search,
        _ => format!("nameserver {v4}\nnameserver {v6}\n{search}"),
    };
    let dir = resolver_dir(&node.netns);
    write_in_new_dir(&dir, &text).with_context(|| format!("cannot write {}", dir.display()))
}

fn write_in_new_dir(dir: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::write(dir.join("resolv.conf"), text)
}

/// The file that a program in the namespace `netns` sees as `/etc/resolv.conf`.
pub(crate) fn resolver_file(netns: &str) -> PathBuf {
    resolver_dir(netns).join("resolv.conf")
}

fn resolver_dir(netns: &str) -> PathBuf {
    PathBuf::from("/etc/netns").join(netns)
}
