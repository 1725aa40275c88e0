//! What is known of a laboratory's machines, and of its gateways by asking them.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::Value;

use super::laboratory::Lab;
use super::program::output;
use super::topology::Kind;
use super::wait;

/// `ringway lab status --json`.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The laboratory's name.
    pub lab: String,
    /// Its machines.
    pub nodes: Vec<Machine>,
}

/// One machine as `lab status` shows it.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// `peer0.org1`, `gw.org1` or `wan`.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its name in the consortium's DNS; the WAN has none.
    pub fqdn: Option<String>,
    /// Its network namespace.
    pub netns: String,
    /// Private addresses first, then a gateway's on the WAN.
    pub addresses: Vec<IpAddr>,
    /// A gateway's `gateway.toml`.
    pub config: Option<PathBuf>,
    /// A running gateway's process.
    pub pid: Option<u32>,
}

/// The machines of `lab`.
pub fn of(lab: &Lab) -> Status {
    let nodes = lab.topology().nodes.iter().map(|node| Machine {
        name: node.name.clone(),
        kind: node.kind,
        fqdn: node.fqdn(),
        netns: node.netns.clone(),
        addresses: node.addresses.clone(),
        config: lab.config(&node.name).ok(),
        pid: lab
            .process(&node.name)
            .filter(|process| process.is_alive())
            .map(|process| process.pid),
    });
    Status {
        lab: lab.topology().lab.to_string(),
        nodes: nodes.collect(),
    }
}

/// The same as a table.
pub fn table(status: &Status) -> String {
    let mut text = format!(
        "{:<14} {:<10} {:<28} {:<9} ADDRESSES\n",
        "NAME", "KIND", "NETNS", "PID"
    );
    for node in &status.nodes {
        let addresses: Vec<_> = node.addresses.iter().map(IpAddr::to_string).collect();
        let (kind, pid) = match (node.kind, node.pid) {
            (Kind::Gateway, Some(pid)) => ("gateway", pid.to_string()),
            (Kind::Gateway, None) => ("gateway", "stopped".into()),
            (Kind::Node, _) => ("node", "-".into()),
            (Kind::Wan, _) => ("wan", "-".into()),
        };
        let _ = writeln!(
            text,
            "{:<14} {kind:<10} {:<28} {pid:<9} {}",
            node.name,
            node.netns,
            addresses.join(" ")
        );
    }
    text
}

/// What `ringway status --json` says at the gateway `name`.
pub fn ask(lab: &Lab, name: &str) -> Result<Value> {
    let text = output(
        lab.ringway(name)?
            .arg("status")
            .arg("-c")
            .arg(lab.config(name)?)
            .arg("--json"),
    )?;
    serde_json::from_str(&text).with_context(|| format!("{name} printed no JSON: {text}"))
}

/// Waits until the gateway `name` has a tunnel to every other gateway.
pub fn wait_for_tunnels(lab: &Lab, name: &str, limit: Duration) -> Result<()> {
    let others = lab.topology().of_kind(Kind::Gateway).count() - 1;
    wait::until(&format!("the tunnels of {name}"), limit, || {
        if let Some(process) = lab.process(name).filter(|process| !process.is_alive()) {
            anyhow::bail!(
                "process {} ended; see {}",
                process.pid,
                lab.log(name).display()
            );
        }
        let status = ask(lab, name)?;
        let tunnels = status["tunnels"]
            .as_array()
            .context("no tunnels in the status")?;
        let up = tunnels
            .iter()
            .filter(|tunnel| tunnel["state"] == "up")
            .count();
        anyhow::ensure!(
            up >= others,
            "{up} of {others} are up: {}",
            status["tunnels"]
        );
        Ok(Some(()))
    })
}

/// Waits until every node knows both addresses of every machine of every organization.
pub fn wait_for_names(lab: &Lab, limit: Duration) -> Result<()> {
    for asking in lab.topology().of_kind(Kind::Node) {
        wait::until(&format!("all names at {}", asking.name), limit, || {
            let unknown = unknown_names(lab, &asking.name)?;
            anyhow::ensure!(unknown.is_empty(), "unknown: {}", unknown.join(", "));
            Ok(Some(()))
        })?;
    }
    Ok(())
}

/// The names that the machine `asking` does not resolve to exactly the private addresses of their owners,
/// each with the record type that is missing.
pub fn unknown_names(lab: &Lab, asking: &str) -> Result<Vec<String>> {
    let owners: Vec<_> = lab
        .topology()
        .nodes
        .iter()
        .filter(|node| node.org.is_some())
        .collect();
    let mut unknown = Vec::new();
    for (database, record, at) in [("ahostsv4", "A", 0), ("ahostsv6", "AAAA", 1)] {
        let names = owners.iter().filter_map(|node| node.fqdn());
        // Exit code 2, "not found", is an answer too.
        let lookup = lab
            .command(asking, "getent")?
            .arg(database)
            .args(names)
            .output()?;
        let text = String::from_utf8_lossy(&lookup.stdout);
        let answers: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        let missing = owners
            .iter()
            .filter(|node| !answers.contains(&node.addresses[at].to_string().as_str()));
        unknown.extend(missing.map(|node| format!("{} {record}", node.name)));
    }
    Ok(unknown)
}
