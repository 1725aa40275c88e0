//! The demonstration's steps about permissions: a port that no rule opens, a removed member, a
//! revoked key, and names whose owner is away.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use ringway_config::Digest;
use serde_json::Value;

use crate::laboratory::Lab;
use crate::ping::{self, Family, Outcome};
use crate::program::output;
use crate::{status, wait};

/// Time limit for a removal to take effect, and for a tunnel to come back.
const LIMIT: Duration = Duration::from_secs(10);

/// SSH, which no rule of the laboratory opens.
const DENIED: u16 = 22;

/// A connection to a port that no rule opens. The gateway that blocks it reports it.
pub(super) fn denied_port(lab: &mut Lab) -> Result<String> {
    let service = is_denied(lab, "orderer0.org0", "peer0.org1", &["gw.org1"])?;
    Ok(format!(
        "{service}, as `ringway policy denied` of gw.org1 shows"
    ))
}

/// Connects from `from` to a port of `to` that no rule opens. Returns the service in the report of
/// the gateway, among `gateways`, that denied it.
pub(super) fn is_denied(lab: &Lab, from: &str, to: &str, gateways: &[&str]) -> Result<String> {
    let target = lab.node(to)?.addresses[0];
    let source = format!("{}:", lab.node(from)?.addresses[0]);
    // bash opens the connection, so no client needs to be installed.
    let attempt = format!("exec 3<>/dev/tcp/{target}/{DENIED}");
    let status = lab
        .command(from, "timeout")?
        .args(["1", "bash", "-c", &attempt])
        .stderr(std::process::Stdio::null())
        .status()?;
    ensure!(!status.success(), "port {DENIED} of {target} answered");

    let service = format!("tcp {DENIED}");
    wait::until("the denied packet", LIMIT, || {
        for gateway in gateways {
            let denied = ask(lab, gateway, &["policy", "denied", "--json"])?;
            let packets = denied["denied"].as_array().context("no list")?;
            let mut denied = packets
                .iter()
                .filter(|packet| packet["service"] == service.as_str())
                .filter_map(|packet| packet["source"].as_str());
            if denied.any(|seen| seen.starts_with(&source)) {
                return Ok(Some(()));
            }
        }
        bail!("none of {} has seen it", gateways.join(", "))
    })?;
    Ok(service)
}

/// org0 removes org2 from the consortium, and adds it again.
pub(super) fn removed_member(lab: &mut Lab) -> Result<String> {
    let record = lab
        .config("gw.org0")?
        .with_file_name("members/org2.member.toml");
    let bytes = std::fs::read(&record).context("org2 has no record at org0")?;
    let [from, to] = ["orderer0.org0", "peer0.org2"];
    let address = lab.node(to)?.addresses[0].to_string();

    for gateway in ["gw2.org0", "gw.org0"] {
        run(lab, gateway, &["member", "remove", "org2"])?;
        let said = run(lab, gateway, &["reload"])?;
        println!("    {gateway}: {}", said.trim().replace('\n', "; "));
    }
    // At once: the reload answers only after it is in force.
    let outcome = ping::once(lab, from, &address, Family::V4)?;
    ensure!(outcome != Outcome::Reply, "{to} still answers {from}");

    let copy = lab.topology().dir().join("org2.member.toml");
    std::fs::write(&copy, &bytes).context("cannot keep the record")?;
    for gateway in ["gw.org0", "gw2.org0"] {
        hand_over(lab, &copy, gateway)?;
    }
    ping::until(lab, from, &address, Family::V4, &Outcome::Reply, LIMIT)?;
    Ok(format!(
        "{to} was unreachable from {from} at once, and is back"
    ))
}

/// org2 revokes the key of its gateway, as after a theft. The gateway returns with another one.
pub(super) fn revoked_key(lab: &mut Lab) -> Result<String> {
    let owner = "gw.org2";
    let [from, to] = ["orderer0.org0", "peer0.org2"];
    let address = lab.node(to)?.addresses[0].to_string();
    let shown = ask(lab, owner, &["cert", "show", "--json"])?;
    let key = shown["certificates"][0]["key"].as_str();
    let key = key.context("the certificate has no key")?;

    run(lab, owner, &["revoke", "key", key])?;
    let record = lab.config(owner)?.with_file_name("org2.member.toml");
    for other in ["gw.org0", "gw2.org0", "gw.org1"] {
        hand_over(lab, &record, other)?;
    }
    // At once: the reload answers only after it is in force.
    let outcome = ping::once(lab, from, &address, Family::V4)?;
    ensure!(outcome != Outcome::Reply, "{to} still answers {from}");

    run(lab, owner, &["cert", "renew", "--new-key"])?;
    run(lab, owner, &["reload"])?;
    let renewed = Instant::now();
    ping::until(lab, from, &address, Family::V4, &Outcome::Reply, LIMIT)?;
    Ok(format!(
        "{owner} lost its sessions at once, and was back {:.1} s after it had another key",
        renewed.elapsed().as_secs_f64()
    ))
}

/// The other gateways answer org1's names while its only gateway is away.
pub(super) fn absent_owner(lab: &mut Lab) -> Result<String> {
    lab.kill("gw.org1")?;
    let [asking, name] = ["orderer0.org0", "peer0.org1"];
    let fqdn = lab.node(name)?.fqdn().context("it has a name")?;
    let expected = lab.node(name)?.addresses[0].to_string();
    let found = output(lab.command(asking, "getent")?.args(["ahostsv4", &fqdn]))?;
    ensure!(found.contains(&expected), "{asking} got {found}");

    lab.start("gw.org1")?;
    for gateway in ["gw.org0", "gw.org1"] {
        status::wait_for_tunnels(lab, gateway, LIMIT)?;
    }
    Ok(format!("{asking} resolved {name} while gw.org1 was off"))
}

/// Gives the record to `gateway`. Between real organizations the fingerprint uses another channel,
/// such as a telephone.
fn hand_over(lab: &Lab, record: &Path, gateway: &str) -> Result<()> {
    let bytes = std::fs::read(record).context("there is no record")?;
    let path = record.display().to_string();
    let digest = Digest::of(&bytes).to_string();

    let add = ["member", "add", &path, "--fingerprint", &digest];
    run(lab, gateway, &add)?;
    run(lab, gateway, &["reload"])?;
    Ok(())
}

fn run(lab: &Lab, gateway: &str, arguments: &[&str]) -> Result<String> {
    let mut command = lab.ringway(gateway)?;
    command.args(arguments).arg("-c").arg(lab.config(gateway)?);

    output(&mut command)
}

fn ask(lab: &Lab, gateway: &str, arguments: &[&str]) -> Result<Value> {
    let text = run(lab, gateway, arguments)?;
    serde_json::from_str(&text).with_context(|| format!("{gateway} printed no JSON: {text}"))
}
