//! The demonstration's steps. Each returns one line about what it saw, or fails.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::server::{Sent, Server, this_program};
use super::{attached, rights, siblings};
use crate::laboratory::Lab;
use crate::ping::{self, Family, Outcome};
use crate::program::output;
use crate::topology::DOMAIN;
use crate::{status, wan};

/// A step's title and function.
type Step = (&'static str, fn(&mut Lab) -> Result<String>);

/// All steps, in order.
pub(super) const ALL: [Step; 14] = [
    ("every node knows every name", names),
    ("every node reaches every other, IPv4", pings_v4),
    ("every node reaches every other, IPv6", pings_v6),
    ("HTTP between organizations, by name", http),
    ("throughput between organizations", throughput),
    (
        "a data centre's host, attached from behind NAT",
        attached::both_ways,
    ),
    ("an overlapping organization is refused", overlap),
    (
        "a killed gateway: unreachable at once, then back",
        killed_gateway,
    ),
    ("a port that no rule opens", rights::denied_port),
    ("a removed member", rights::removed_member),
    ("a revoked key", rights::revoked_key),
    ("names while their owner is away", rights::absent_owner),
    (
        "a gateway with a sibling is killed in a transfer",
        siblings::killed_active,
    ),
    ("no private address was seen on the WAN", no_leak),
];

/// Time limit for others to notice that a gateway is gone, and for its tunnels to come back.
const LIMIT: Duration = Duration::from_secs(10);

fn names(lab: &mut Lab) -> Result<String> {
    let mut asking = 0;
    for node in lab.topology().hosts() {
        let unknown = status::unknown_names(lab, &node.name)?;
        ensure!(
            unknown.is_empty(),
            "{} does not know {}",
            node.name,
            unknown.join(", ")
        );
        asking += 1;
    }

    let nodes = lab.topology().nodes.iter();
    let names = nodes.filter(|node| node.org.is_some()).count();
    Ok(format!(
        "{names} names, A and AAAA, asked by {asking} nodes"
    ))
}

fn pings_v4(lab: &mut Lab) -> Result<String> {
    pings(lab, Family::V4)
}

fn pings_v6(lab: &mut Lab) -> Result<String> {
    pings(lab, Family::V6)
}

fn pings(lab: &Lab, family: Family) -> Result<String> {
    let pairs = ping::all_pairs(lab, family)?;
    ensure!(pairs.failed.is_empty(), "{}", pairs.failed.join("; "));
    Ok(format!("{0} of {0} pairs", pairs.tried))
}

fn http(lab: &mut Lab) -> Result<String> {
    let _server = Server::start(lab, "peer0.org1")?;
    let mut answers = Vec::new();

    for client in ["orderer0.org0", "peer0.org2"] {
        let address = fetch(lab, client, "peer0.org1")?;
        answers.push(format!("{client} ({address})"));
    }
    Ok(format!("peer0.org1 answered {}", answers.join(", ")))
}

/// Makes `client` request a page from `server`. Returns the client's address as seen by the server:
/// the mesh must not translate it.
pub(super) fn fetch(lab: &Lab, client: &str, server: &str) -> Result<String> {
    let answer = output(this_program(lab, client)?.args(["fetch", server]))?;

    let addresses = lab.node(client)?.addresses.iter().take(2);
    addresses
        .map(ToString::to_string)
        .find(|address| answer.trim().ends_with(&format!(" {address}")))
        .with_context(|| format!("the server saw an address other than {client}'s: {answer}"))
}

fn throughput(lab: &mut Lab) -> Result<String> {
    let _server = Server::start(lab, "peer0.org1")?;
    let mut send = this_program(lab, "peer0.org2")?;
    send.args(["send", "peer0.org1", "--seconds", "2"]);

    let printed = output(&mut send)?;
    let sent = Sent::parse(&printed).with_context(|| format!("no rate: {printed}"))?;
    Ok(format!(
        "{:.1} Gbit/s, one TCP connection, peer0.org2 → peer0.org1",
        sent.gigabits
    ))
}

/// A fourth organization whose prefix lies inside one of org1's.
fn overlap(lab: &mut Lab) -> Result<String> {
    let dir = lab.topology().dir().join("newcomer");
    let mut init = lab.ringway("gw.org0")?;
    init.args(["org", "init", "newcomer"])
        .args(["--domain", DOMAIN])
        .args(["--site", "vpc=10.10.1.128/25"])
        .arg("--dir")
        .arg(&dir);
    output(&mut init)?;

    let mut add = lab.ringway("gw.org0")?;
    add.args(["member", "add"])
        .arg(dir.join("newcomer.member.toml"))
        .arg("-c")
        .arg(lab.config("gw.org0")?);
    let refused = add.output()?;

    let stderr = String::from_utf8_lossy(&refused.stderr);
    ensure!(
        !refused.status.success(),
        "10.10.1.128/25 was accepted beside 10.10.1.0/24"
    );
    ensure!(
        stderr.contains("10.10.1.0/24"),
        "the refusal does not name the existing prefix: {stderr}"
    );
    for line in stderr.lines() {
        println!("    {line}");
    }
    Ok("10.10.1.128/25 lies in org1's 10.10.1.0/24".into())
}

/// Pings by address, because no name resolves behind a dead gateway.
fn killed_gateway(lab: &mut Lab) -> Result<String> {
    let behind = lab.node("peer0.org1")?.addresses[0].to_string();
    let beyond = lab.node("peer0.org2")?.addresses[0].to_string();

    // Without its daemon, the gateway's kernel still has the mesh's routes, as unreachable ones.
    lab.kill("gw.org1")?;
    let killed = Instant::now();
    match ping::once(lab, "peer0.org1", &beyond, Family::V4)? {
        Outcome::Unreachable => println!(
            "    behind it: unreachable at once ({:.0?})",
            killed.elapsed()
        ),
        outcome => bail!("after gw.org1 was killed, a ping from peer0.org1: {outcome:?}"),
    }

    // The other gateways have to notice first.
    let unreachable = Outcome::Unreachable;
    ping::until(lab, "peer0.org2", &behind, Family::V4, &unreachable, LIMIT)?;
    let noticed = killed.elapsed();
    println!("    at the others: unreachable after {noticed:.1?}");

    lab.start("gw.org1")?;
    let started = Instant::now();
    ping::until(
        lab,
        "peer0.org2",
        &behind,
        Family::V4,
        &Outcome::Reply,
        LIMIT,
    )?;
    Ok(format!(
        "noticed in {:.1} s, back in {:.1} s",
        noticed.as_secs_f64(),
        started.elapsed().as_secs_f64()
    ))
}

fn no_leak(lab: &mut Lab) -> Result<String> {
    let leaks = wan::leaks(lab.node("wan")?)?;
    ensure!(leaks == wan::Leaks::default(), "{leaks:?}");
    Ok("0 packets, by the counters of its filter".into())
}
