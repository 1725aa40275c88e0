//! The state of a laboratory's machines, and what its gateways report about themselves.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::laboratory::Lab;
use crate::program::output;
use crate::topology::{Kind, Node};
use crate::wait;

/// `ringway lab status --json`.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    /// The laboratory's name.
    lab: String,
    nodes: Vec<Machine>,
}

/// One machine in `ringway lab status`.
#[derive(Debug, Serialize)]
struct Machine {
    /// `peer0.org1`, `gw.org1`, `dc0.org0`, `nat` or `wan`.
    name: String,
    kind: Kind,
    /// Name in the consortium's DNS; the WAN has none.
    fqdn: Option<String>,
    /// Network namespace.
    netns: String,
    /// Private addresses first, then a gateway's addresses on the WAN.
    addresses: Vec<IpAddr>,
    /// A gateway's `gateway.toml`, an attached host's `node.toml`.
    config: Option<PathBuf>,
    /// Process number of a running daemon.
    pid: Option<u32>,
}

/// The machines of `lab`.
pub(crate) fn of(lab: &Lab) -> Status {
    let nodes = lab.topology().nodes.iter();
    Status {
        lab: lab.topology().lab.to_string(),
        nodes: nodes.map(|node| machine(lab, node)).collect(),
    }
}

fn machine(lab: &Lab, node: &Node) -> Machine {
    let running = lab.process(&node.name).filter(|process| process.is_alive());

    Machine {
        name: node.name.clone(),
        kind: node.kind,
        fqdn: node.fqdn(),
        netns: node.netns.clone(),
        addresses: node.addresses.clone(),
        config: lab.config(&node.name).ok(),
        pid: running.map(|process| process.pid),
    }
}

/// The status as a table with a header line.
pub(crate) fn table(status: &Status) -> String {
    let mut text = format!(
        "{:<14} {:<10} {:<28} {:<9} ADDRESSES\n",
        "NAME", "KIND", "NETNS", "PID"
    );

    for node in &status.nodes {
        let kind = match node.kind {
            Kind::Gateway => "gateway",
            Kind::Node => "node",
            Kind::Attached => "attached",
            Kind::Nat => "nat",
            Kind::Wan => "wan",
        };
        let pid = match node.pid {
            Some(pid) => pid.to_string(),
            None if node.config.is_some() => "stopped".into(),
            None => "-".into(),
        };
        let addresses: Vec<_> = node.addresses.iter().map(IpAddr::to_string).collect();
        _ = writeln!(
            text,
            "{:<14} {kind:<10} {:<28} {pid:<9} {}",
            node.name,
            node.netns,
            addresses.join(" ")
        );
    }
    text
}

/// The output of `ringway status --json` for the gateway or attached host `name`.
pub fn ask(lab: &Lab, name: &str) -> Result<Value> {
    let mut status = lab.ringway(name)?;
    status
        .arg("status")
        .arg("-c")
        .arg(lab.config(name)?)
        .arg("--json");

    let text = output(&mut status)?;
    serde_json::from_str(&text).with_context(|| format!("{name} printed no JSON: {text}"))
}

/// Waits until the gateway `name` has a tunnel to every other gateway, or the attached host `name`
/// to every one of its organization.
pub fn wait_for_tunnels(lab: &Lab, name: &str, limit: Duration) -> Result<()> {
    let machine = lab.node(name)?;
    let others = match (machine.kind, machine.org) {
        (Kind::Attached, Some(org)) => lab.topology().gateways(org).count(),
        _ => lab.topology().of_kind(Kind::Gateway).count() - 1,
    };

    wait::until(&format!("the tunnels of {name}"), limit, || {
        require_running(lab, name)?;

        // Fails while the daemon does not yet listen on its socket, and is tried again.
        let status = ask(lab, name)?;
        let tunnels = status["tunnels"]
            .as_array()
            .context("no tunnels in the status")?;
        let up = tunnels
            .iter()
            .filter(|tunnel| tunnel["state"] == "up")
            .count();
        ensure!(
            up >= others,
            "{up} of {others} are up: {}",
            status["tunnels"]
        );
        Ok(Some(()))
    })
}

/// Fails if the gateway `name` was started and has ended.
fn require_running(lab: &Lab, name: &str) -> Result<()> {
    match lab.process(name) {
        Some(process) if !process.is_alive() => bail!(
            "process {} ended; see {}",
            process.pid,
            lab.log(name).display()
        ),
        _ => Ok(()),
    }
}

/// Waits until every host resolves both addresses of every machine of every organization.
pub fn wait_for_names(lab: &Lab, limit: Duration) -> Result<()> {
    for asking in lab.topology().hosts() {
        wait::until(&format!("all names at {}", asking.name), limit, || {
            let unknown = unknown_names(lab, &asking.name)?;
            ensure!(unknown.is_empty(), "unknown: {}", unknown.join(", "));
            Ok(Some(()))
        })?;
    }
    Ok(())
}

/// The machines whose name the machine `asking` does not resolve to their private address, each
/// with the missing record type: `peer0.org1 AAAA`.
pub(crate) fn unknown_names(lab: &Lab, asking: &str) -> Result<Vec<String>> {
    let named: Vec<_> = lab
        .topology()
        .nodes
        .iter()
        .filter(|node| node.org.is_some())
        .collect();
    let mut unknown = Vec::new();

    // A machine's first address is its private IPv4 address, its second the IPv6 one.
    for (database, record, position) in [("ahostsv4", "A", 0), ("ahostsv6", "AAAA", 1)] {
        let lookup = lab
            .command(asking, "getent")?
            .arg(database)
            .args(named.iter().filter_map(|node| node.fqdn()))
            .output()?;

        // The exit code says only that some name was not found; the addresses say which.
        let text = String::from_utf8_lossy(&lookup.stdout);
        let answers: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        for node in &named {
            let address = node.addresses[position].to_string();
            if !answers.contains(&address.as_str()) {
                unknown.push(format!("{} {record}", node.name));
            }
        }
    }
    Ok(unknown)
}
