//! The files of the consortium's gateways, created with an operator's commands.
//!
//! `org init`, `member add` and `check` do the work. This module adds what `org init` leaves to the
//! operator: the DNS records of the site's machines, and the policy for what runs in a laboratory.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ringway_config::Digest;

use crate::laboratory::Lab;
use crate::program::output;
use crate::topology::{DOMAIN, Org, TUNNEL_PORT};

/// Sets up all organizations and adds each as a member to every other.
pub(crate) fn create(lab: &Lab) -> Result<()> {
    for org in Org::all() {
        init(lab, org)?;
        append_records_and_policy(&config(lab, org), org)?;
    }

    // All records exist now.
    for org in Org::all() {
        for other in Org::all().filter(|other| *other != org) {
            add_member(lab, org, other)?;
        }
    }
    Ok(())
}

/// Runs `ringway check` at every gateway.
pub(crate) fn check(lab: &Lab) -> Result<()> {
    for org in Org::all() {
        let mut check = lab.ringway(&org.gateway())?;
        check.arg("check").arg("-c").arg(config(lab, org));
        output(&mut check)?;
    }
    Ok(())
}

/// Path of the `gateway.toml` of `org`.
pub(crate) fn config(lab: &Lab, org: Org) -> PathBuf {
    lab.topology().org_dir(org).join("gateway.toml")
}

/// Path of the record that `org` hands to the other organizations.
fn record(lab: &Lab, org: Org) -> PathBuf {
    let file = format!("{}.member.toml", org.name);
    lab.topology().org_dir(org).join(file)
}

fn init(lab: &Lab, org: Org) -> Result<()> {
    let mut init = lab.ringway(&org.gateway())?;
    init.args(["org", "init", org.name])
        .args(["--domain", DOMAIN])
        .args(["--gateway", "gw"])
        .arg("--site")
        .arg(format!("vpc={}", org.prefixes().join(",")))
        .arg("--endpoint")
        .arg(format!("{}:{TUNNEL_PORT}", org.wan_v4(2)))
        .arg("--endpoint")
        .arg(format!("[{}]:{TUNNEL_PORT}", org.wan_v6(2)))
        .arg("--listen")
        .arg(format!("[::]:{TUNNEL_PORT}"))
        .arg("--dns-listen")
        .arg(org.v4(1).to_string())
        .arg("--dns-listen")
        .arg(org.v6(1).to_string())
        .arg("--dir")
        .arg(lab.topology().org_dir(org));
    output(&mut init)?;
    Ok(())
}

/// Adds the record of `other` to the members of `org`.
fn add_member(lab: &Lab, org: Org, other: Org) -> Result<()> {
    let record = record(lab, other);
    let bytes = fs::read(&record).with_context(|| format!("cannot read {}", record.display()))?;

    // Between real organizations the fingerprint travels over another channel, such as a telephone.
    let mut add = lab.ringway(&org.gateway())?;
    add.args(["member", "add"])
        .arg(&record)
        .arg("-c")
        .arg(config(lab, org))
        .arg("--fingerprint")
        .arg(Digest::of(&bytes).to_string());
    output(&mut add)?;
    Ok(())
}

fn append_records_and_policy(config: &Path, org: Org) -> Result<()> {
    let mut text =
        fs::read_to_string(config).with_context(|| format!("cannot read {}", config.display()))?;
    text += &records(org);
    text += &policy(org);
    fs::write(config, text).with_context(|| format!("cannot write {}", config.display()))
}

fn records(org: Org) -> String {
    let mut text = String::from("\n# The machines of this site, as all members see them.\n");
    for (label, host) in [("gw", 1), (org.nodes[0], 11), (org.nodes[1], 12)] {
        text += &record_entry(label, "A", &org.v4(host).to_string());
        text += &record_entry(label, "AAAA", &org.v6(host).to_string());
    }
    text
}

fn record_entry(label: &str, kind: &str, address: &str) -> String {
    format!("[[dns.record]]\nname = \"{label}\"\ntype = \"{kind}\"\ndata = \"{address}\"\n\n")
}

/// Rules for what the laboratory and its tests run; `org init` has written those for Fabric.
fn policy(org: Org) -> String {
    let [v4, v6] = org.prefixes();
    let mut text = String::from("# What runs here besides Fabric.\n");
    for (ports, purpose) in [
        ("\"2379-2380\"", "etcd: clients, members"),
        ("[5201, 8080]", "throughput, HTTP"),
    ] {
        _ = writeln!(
            text,
            "[[policy.allow]] # {purpose}\n\
             from = \"all\"\nto = [\"{v4}\", \"{v6}\"]\nproto = \"tcp\"\nports = {ports}\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_gets_a_record_in_each_family() {
        let org = Org::all().nth(1).unwrap();
        let text = records(org);
        assert_eq!(text.matches("[[dns.record]]").count(), 6);
        assert!(text.contains("name = \"peer1\"\ntype = \"AAAA\"\ndata = \"fd00:10:1::12\""));
    }

    #[test]
    fn the_policy_has_a_rule_for_etcd_and_one_for_the_demonstration() {
        let org = Org::all().nth(1).unwrap();
        let text = policy(org);
        assert_eq!(text.matches("[[policy.allow]]").count(), 2);
        assert!(text.contains("to = [\"10.10.1.0/24\", \"fd00:10:1::/64\"]"));
    }
}
