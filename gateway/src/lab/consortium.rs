//! The consortium's files, made with the commands that a user would type: `org init`, `member add`, `check`.
//!
//! Owns what `org init` leaves to the user: the zone's records, and what the policy lets in beside Fabric.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ringway_config::Digest;

use super::laboratory::Lab;
use super::program::output;
use super::topology::{DOMAIN, Org, TUNNEL_PORT};

/// Founds all organizations and makes each a member at every other.
pub fn found(lab: &Lab) -> Result<()> {
    for org in Org::all() {
        init(lab, org)?;
        furnish(&config(lab, org), org)?;
    }
    for org in Org::all() {
        for other in Org::all().filter(|other| *other != org) {
            introduce(lab, org, other)?;
        }
    }
    Ok(())
}

/// `ringway check` at every gateway.
pub fn check(lab: &Lab) -> Result<()> {
    for org in Org::all() {
        output(
            lab.ringway(&org.gateway())?
                .arg("check")
                .arg("-c")
                .arg(config(lab, org)),
        )?;
    }
    Ok(())
}

/// Where `org`'s `gateway.toml` is.
pub fn config(lab: &Lab, org: Org) -> PathBuf {
    lab.topology().org_dir(org).join("gateway.toml")
}

/// Where the record is that `org` hands to the others.
pub fn record(lab: &Lab, org: Org) -> PathBuf {
    lab.topology()
        .org_dir(org)
        .join(format!("{}.member.toml", org.name))
}

fn init(lab: &Lab, org: Org) -> Result<()> {
    let mut init = lab.ringway(&org.gateway())?;
    init.args([
        "org",
        "init",
        org.name,
        "--domain",
        DOMAIN,
        "--gateway",
        "gw",
    ]);
    init.arg("--site")
        .arg(format!("vpc={}", org.prefixes().join(",")));
    init.arg("--endpoint")
        .arg(format!("{}:{TUNNEL_PORT}", org.wan_v4(2)));
    init.arg("--endpoint")
        .arg(format!("[{}]:{TUNNEL_PORT}", org.wan_v6(2)));
    init.arg("--listen").arg(format!("[::]:{TUNNEL_PORT}"));
    init.arg("--dns-listen")
        .arg(org.v4(1).to_string())
        .arg("--dns-listen")
        .arg(org.v6(1).to_string());
    init.arg("--dir").arg(lab.topology().org_dir(org));
    output(&mut init)?;
    Ok(())
}

/// `org` accepts `other`'s record, having compared its fingerprint over another channel.
fn introduce(lab: &Lab, org: Org, other: Org) -> Result<()> {
    let record = record(lab, other);
    let bytes = fs::read(&record).with_context(|| format!("cannot read {}", record.display()))?;
    let mut add = lab.ringway(&org.gateway())?;
    add.args(["member", "add"])
        .arg(&record)
        .arg("-c")
        .arg(config(lab, org));
    output(add.arg("--fingerprint").arg(Digest::of(&bytes).to_string()))?;
    Ok(())
}

/// Appends the records of `org`'s machines and its policy to `gateway.toml`.
fn furnish(path: &Path, org: Org) -> Result<()> {
    let add = || -> std::io::Result<()> {
        let text = fs::read_to_string(path)?;
        fs::write(path, text + &dns(org) + &policy(org))
    };
    add().with_context(|| format!("cannot add to {}", path.display()))
}

fn dns(org: Org) -> String {
    let mut text =
        String::from("\n# The machines of this site, as the whole consortium sees them.\n");
    for (label, host) in [("gw", 1), (org.nodes[0], 11), (org.nodes[1], 12)] {
        for (kind, address) in [
            ("A", org.v4(host).to_string()),
            ("AAAA", org.v6(host).to_string()),
        ] {
            let _ = writeln!(
                text,
                "[[dns.record]]\nname = \"{label}\"\ntype = \"{kind}\"\ndata = \"{address}\"\n"
            );
        }
    }
    text
}

/// What the laboratory tries out itself; `org init` has written the rules for Fabric and ping.
fn policy(org: Org) -> String {
    let to = org
        .prefixes()
        .map(|prefix| format!("\"{prefix}\""))
        .join(", ");
    let mut text = String::from("# What runs here beside Fabric.\n");
    for (ports, why) in [
        ("\"2379-2380\"", "etcd: clients, members"),
        ("[5201, 8080]", "throughput, HTTP"),
    ] {
        let _ = writeln!(
            text,
            "[[policy.allow]] # {why}\nfrom = \"all\"\nto = [{to}]\nproto = \"tcp\"\nports = {ports}\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_toml_with_every_machine_in_both_families() {
        let org = Org::all().nth(1).unwrap();
        let text = format!("{}{}", dns(org), policy(org));
        let allow = text.matches("[[policy.allow]]").count();
        assert_eq!((text.matches("[[dns.record]]").count(), allow), (6, 2));
        assert!(text.contains("name = \"peer1\"\ntype = \"AAAA\"\ndata = \"fd00:10:1::12\""));
    }
}
