//! The demonstration's steps. Each says in one line what it saw, or fails.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::super::laboratory::Lab;
use super::super::ping::{self, Family, Outcome};
use super::super::program::output;
use super::super::topology::{DOMAIN, Kind};
use super::super::{status, wan};

/// A step's title and what it does.
pub(super) type Step = (&'static str, fn(&mut Lab) -> Result<String>);

/// All steps, in order.
pub(super) const ALL: [Step; 8] = [
    ("every node knows every name", names),
    ("every node reaches every other, IPv4", |lab| {
        pings(lab, Family::V4)
    }),
    ("every node reaches every other, IPv6", |lab| {
        pings(lab, Family::V6)
    }),
    ("HTTP between organizations, by name", http),
    ("throughput between organizations", throughput),
    ("an overlapping organization is refused", overlap),
    (
        "a killed gateway: unreachable at once, then back",
        killed_gateway,
    ),
    ("no private address was seen on the WAN", no_leak),
];

/// What a gateway's death and return may take at most.
const LIMIT: Duration = Duration::from_secs(10);

fn names(lab: &mut Lab) -> Result<String> {
    let mut asked = 0;
    for node in lab.topology().of_kind(Kind::Node) {
        let unknown = status::unknown_names(lab, &node.name)?;
        ensure!(
            unknown.is_empty(),
            "{} does not know {}",
            node.name,
            unknown.join(", ")
        );
        asked += 1;
    }
    let names = lab
        .topology()
        .nodes
        .iter()
        .filter(|node| node.org.is_some())
        .count();
    Ok(format!("{names} names, A and AAAA, asked by {asked} nodes"))
}

fn pings(lab: &mut Lab, family: Family) -> Result<String> {
    let (failed, pairs) = ping::all_pairs(lab, family)?;
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    Ok(format!("{pairs} of {pairs} pairs"))
}

/// The built-in server on a machine; ends with this value.
struct Server(Child);

impl Server {
    fn start(lab: &Lab, node: &str) -> Result<Server> {
        let mut command = lab.ringway(node)?;
        let mut child = command
            .args(["lab", "serve", node])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take();
        let server = Server(child);
        let mut line = String::new();
        BufReader::new(stdout.context("the server has no stdout")?).read_line(&mut line)?;
        ensure!(
            line.trim() == "serving",
            "the server on {node} did not start"
        );
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only a process that has ended cannot be killed, and that is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn http(lab: &mut Lab) -> Result<String> {
    let _server = Server::start(lab, "peer0.org1")?;
    let mut answers = Vec::new();
    for client in ["orderer0.org0", "peer0.org2"] {
        let answer = output(lab.ringway(client)?.args(["lab", "fetch", "peer0.org1"]))?;
        let address = lab
            .node(client)?
            .addresses
            .iter()
            .map(ToString::to_string)
            .find(|own| answer.trim().ends_with(own));
        let address = address
            .with_context(|| format!("the server saw another address than {client}'s: {answer}"))?;
        answers.push(format!("{client} ({address})"));
    }
    Ok(format!("peer0.org1 answered {}", answers.join(", ")))
}

fn throughput(lab: &mut Lab) -> Result<String> {
    let _server = Server::start(lab, "peer0.org1")?;
    let sent =
        output(
            lab.ringway("peer0.org2")?
                .args(["lab", "send", "peer0.org1", "--seconds", "2"]),
        )?;
    let bits: f64 = sent
        .trim()
        .parse()
        .with_context(|| format!("no rate: {sent}"))?;
    Ok(format!(
        "{:.1} Gbit/s, one TCP connection, peer0.org2 → peer0.org1",
        bits / 1e9
    ))
}

/// A fourth organization whose range lies inside one that is taken.
fn overlap(lab: &mut Lab) -> Result<String> {
    let dir = lab.topology().dir().join("newcomer");
    let mut init = lab.ringway("gw.org0")?;
    init.args([
        "org",
        "init",
        "newcomer",
        "--domain",
        DOMAIN,
        "--site",
        "vpc=10.10.1.128/25",
        "--dir",
    ])
    .arg(&dir);
    output(&mut init)?;
    let mut add = lab.ringway("gw.org0")?;
    add.args(["member", "add"])
        .arg(dir.join("newcomer.member.toml"))
        .arg("-c")
        .arg(lab.config("gw.org0")?);
    let refused = add.output()?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(
        !refused.status.success(),
        "10.10.1.128/25 was accepted beside 10.10.1.0/24"
    );
    ensure!(
        said.contains("10.10.1.0/24"),
        "the refusal does not name the range that is taken: {said}"
    );
    said.lines().for_each(|line| println!("    {line}"));
    Ok("10.10.1.128/25 lies in org1's 10.10.1.0/24".into())
}

/// Pings by address: behind a dead gateway nobody answers for names.
fn killed_gateway(lab: &mut Lab) -> Result<String> {
    let v4 = |name: &str| -> Result<String> { Ok(lab.node(name)?.addresses[0].to_string()) };
    let (inside, outside) = (v4("peer0.org1")?, v4("peer0.org2")?);
    lab.kill("gw.org1")?;
    let killed = Instant::now();
    match ping::once(lab, "peer0.org1", &outside, Family::V4)? {
        Outcome::Unreachable => println!(
            "    behind it: unreachable at once ({:.0?})",
            killed.elapsed()
        ),
        outcome => bail!("after gw.org1 was killed, a ping from peer0.org1: {outcome:?}"),
    }
    ping::until(
        lab,
        ("peer0.org2", &inside),
        Family::V4,
        &Outcome::Unreachable,
        LIMIT,
    )?;
    let noticed = killed.elapsed();
    println!("    at the others: unreachable after {noticed:.1?}");
    lab.start("gw.org1")?;
    let started = Instant::now();
    ping::until(
        lab,
        ("peer0.org2", &inside),
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
