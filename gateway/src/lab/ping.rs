//! One ping, and what became of it.

use std::time::Duration;

use anyhow::{Result, bail};

use super::laboratory::Lab;
use super::wait;

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The option of `ping` (and `iperf3`, `curl`) that selects it.
    pub fn option(self) -> &'static str {
        match self {
            Family::V4 => "-4",
            Family::V6 => "-6",
        }
    }
}

/// What became of a ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An echo reply came.
    Reply,
    /// An ICMP error came: someone on the way said at once that there is no way.
    Unreachable,
    /// Nothing came in time.
    Silence,
    /// Nothing was sent; what ping said.
    Unsent(String),
}

/// Sends one echo request from the machine `from` to the name or address `to`, and waits a second for an answer.
pub fn once(lab: &Lab, from: &str, to: &str, family: Family) -> Result<Outcome> {
    send(lab, (from, to), family, "1")
}

fn send(lab: &Lab, (from, to): (&str, &str), family: Family, seconds: &str) -> Result<Outcome> {
    let output = lab
        .command(from, "ping")?
        .args([family.option(), "-n", "-c", "1", "-W", seconds, to])
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).to_lowercase();
    Ok(match output.status.code() {
        Some(0) => Outcome::Reply,
        Some(1) if said.contains("unreachable") => Outcome::Unreachable,
        Some(1) => Outcome::Silence,
        _ => Outcome::Unsent(String::from_utf8_lossy(&output.stderr).trim().into()),
    })
}

/// Pings, four times a second or more, until `expected` becomes of it.
pub fn until(
    lab: &Lab,
    (from, to): (&str, &str),
    family: Family,
    expected: &Outcome,
    limit: Duration,
) -> Result<()> {
    wait::until(
        &format!("a ping from {from} to {to}: {expected:?}"),
        limit,
        || match send(lab, (from, to), family, "0.25")? {
            outcome if outcome == *expected => Ok(Some(())),
            outcome => bail!("{outcome:?}"),
        },
    )
}

/// Pings every node from every other by name; returns the pairs whose ping failed, and how many were tried.
pub fn all_pairs(lab: &Lab, family: Family) -> Result<(Vec<String>, usize)> {
    let nodes: Vec<&str> = lab
        .topology()
        .of_kind(super::Kind::Node)
        .map(|node| node.name.as_str())
        .collect();
    let from = |asking: &str| -> Result<Vec<String>> {
        let others = nodes.iter().filter(|other| **other != asking);
        let outcomes = others.map(|to| Ok((to, once(lab, asking, to, family)?)));
        let failed = outcomes.filter(|outcome| !matches!(outcome, Ok((_, Outcome::Reply))));
        failed
            .map(|outcome: Result<_>| {
                outcome.map(|(to, outcome)| format!("{asking} → {to}: {outcome:?}"))
            })
            .collect()
    };
    let failed: Result<Vec<Vec<String>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = nodes
            .iter()
            .map(|asking| scope.spawn(|| from(asking)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect()
    });
    Ok((failed?.concat(), nodes.len() * (nodes.len() - 1)))
}
