//! Pings between machines of a laboratory.

use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::laboratory::Lab;
use crate::wait;

/// IP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// IPv4, then IPv6.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The option of `ping`, `iperf3` and `curl` that selects this family.
    pub fn option(self) -> &'static str {
        match self {
            Family::V4 => "-4",
            Family::V6 => "-6",
        }
    }
}

/// Result of one ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An echo reply arrived.
    Reply,
    /// An ICMP error arrived: a router reported that it has no route.
    Unreachable,
    /// Nothing arrived in time.
    Silence,
    /// Nothing was sent; the text is the stderr of `ping`.
    Unsent(String),
}

/// Sends one echo request from the machine `from` to the name or address `to`; waits a second.
pub fn once(lab: &Lab, from: &str, to: &str, family: Family) -> Result<Outcome> {
    send(lab, from, to, family, "1")
}

/// Pings about four times a second until the result is `expected`.
pub fn until(
    lab: &Lab,
    from: &str,
    to: &str,
    family: Family,
    expected: &Outcome,
    limit: Duration,
) -> Result<()> {
    let what = format!("a ping from {from} to {to}: {expected:?}");
    wait::until(&what, limit, || {
        let outcome = send(lab, from, to, family, "0.25")?;
        if outcome != *expected {
            bail!("{outcome:?}");
        }
        Ok(Some(()))
    })
}

fn send(lab: &Lab, from: &str, to: &str, family: Family, seconds: &str) -> Result<Outcome> {
    let output = lab
        .command(from, "ping")?
        .args([family.option(), "-n", "-c", "1", "-W", seconds, to])
        .output()?;

    // Exit code 1 means that no reply came, 2 that `ping` itself failed (ping(8)).
    let printed = String::from_utf8_lossy(&output.stdout).to_lowercase();
    Ok(match output.status.code() {
        Some(0) => Outcome::Reply,
        Some(1) if printed.contains("unreachable") => Outcome::Unreachable,
        Some(1) => Outcome::Silence,
        _ => Outcome::Unsent(String::from_utf8_lossy(&output.stderr).trim().into()),
    })
}

/// Result of [`all_pairs`].
#[derive(Debug)]
pub struct AllPairs {
    /// One line for each ping without a reply.
    pub failed: Vec<String>,
    /// Number of pings sent.
    pub tried: usize,
}

/// Pings every host from every other host by name. The hosts ping at the same time.
pub fn all_pairs(lab: &Lab, family: Family) -> Result<AllPairs> {
    let nodes: Vec<&str> = lab
        .topology()
        .hosts()
        .map(|node| node.name.as_str())
        .collect();

    // One thread for each node: with a gateway down, the pings one after the other take half a
    // minute.
    let failed: Result<Vec<Vec<String>>> = thread::scope(|scope| {
        let threads: Vec<_> = nodes
            .iter()
            .map(|from| scope.spawn(|| all_from(lab, from, &nodes, family)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect()
    });

    Ok(AllPairs {
        failed: failed?.concat(),
        tried: nodes.len() * (nodes.len() - 1),
    })
}

/// Pings all other `nodes` from the node `from`; returns a line for each without a reply.
fn all_from(lab: &Lab, from: &str, nodes: &[&str], family: Family) -> Result<Vec<String>> {
    let mut failed = Vec::new();
    for to in nodes.iter().filter(|node| **node != from) {
        let outcome = once(lab, from, to, family)?;
        if outcome != Outcome::Reply {
            failed.push(format!("{from} → {to}: {outcome:?}"));
        }
    }
    Ok(failed)
}
