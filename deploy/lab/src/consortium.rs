//! The files of the consortium's gateways, created with an operator's commands.
//!
//! `org init`, `member add` and `check` do the work. This module adds what an operator adds to the
//! output of `org init`: the DNS records of the site's machines, and the policy for the
//! laboratory's services.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use ringway_config::Digest;

use crate::data_centre;
use crate::laboratory::Lab;
use crate::program::output;
use crate::topology::{DOMAIN, Kind, Node, Org, TUNNEL_PORT, Topology};

/// Sets up all organizations and adds each as a member to every other.
pub(crate) fn create(lab: &Lab) -> Result<()> {
    for org in Org::all() {
        init(lab, org)?;
        let has_data_centre = lab.topology().has_data_centre(org);
        if has_data_centre {
            data_centre::add_site(lab, org)?;
        }
        append_site(lab.topology(), org)?;
        // It copies the names and rules of the first one.
        for second in lab.topology().gateways(org).skip(1) {
            add_gateway(lab, org, second)?;
        }
        if has_data_centre {
            data_centre::add_node(lab, org)?;
        }
    }

    // All records exist now.
    for gateway in lab.topology().of_kind(Kind::Gateway) {
        for other in Org::all().filter(|other| Some(*other) != gateway.org) {
            add_member(lab, gateway, other)?;
        }
    }
    Ok(())
}

/// Runs `ringway check` at every gateway.
pub(crate) fn check(lab: &Lab) -> Result<()> {
    for gateway in lab.topology().of_kind(Kind::Gateway) {
        let mut check = lab.ringway(&gateway.name)?;
        check.arg("check").arg("-c").arg(lab.config(&gateway.name)?);
        output(&mut check)?;
    }
    Ok(())
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
        .args(where_it_is(lab.topology(), lab.node(&org.gateway())?))
        .arg("--listen")
        .arg(format!("[::]:{TUNNEL_PORT}"))
        .arg("--dir")
        .arg(lab.topology().org_dir(org));
    output(&mut init)?;
    Ok(())
}

/// Adds another gateway of `org` to its record, and makes its files.
fn add_gateway(lab: &Lab, org: Org, gateway: &Node) -> Result<()> {
    let dir = lab.topology().org_dir(org);
    let mut add = lab.ringway(&gateway.name)?;
    add.args(["gateway", "add", gateway.label(), "--site", "vpc"])
        .args(where_it_is(lab.topology(), gateway))
        .arg("--ca")
        .arg(dir.join("ca"))
        .arg("--dir")
        .args(lab.config(&gateway.name)?.parent())
        .arg("-c")
        .arg(dir.join("gateway.toml"));
    output(&mut add)?;
    Ok(())
}

/// The options with a gateway's endpoints and its DNS addresses.
fn where_it_is(topology: &Topology, gateway: &Node) -> Vec<String> {
    let (inside, outside) = gateway.addresses.split_at(2);
    let shared = gateway.org.and_then(|org| topology.virtual_addresses(org));
    let mut options = Vec::new();

    for address in outside {
        let endpoint = SocketAddr::new(*address, TUNNEL_PORT);
        options.extend(["--endpoint".into(), endpoint.to_string()]);
    }
    for address in inside.iter().chain(shared.iter().flatten()) {
        options.extend(["--dns-listen".into(), address.to_string()]);
    }
    options
}

/// Adds the record of `other` to the members of `gateway`.
fn add_member(lab: &Lab, gateway: &Node, other: Org) -> Result<()> {
    let record = record(lab, other);
    let bytes = fs::read(&record).with_context(|| format!("cannot read {}", record.display()))?;

    // Between real organizations the fingerprint uses another channel, such as a telephone.
    let mut add = lab.ringway(&gateway.name)?;
    add.args(["member", "add"])
        .arg(&record)
        .arg("-c")
        .arg(lab.config(&gateway.name)?)
        .arg("--fingerprint")
        .arg(Digest::of(&bytes).to_string());
    output(&mut add)?;
    Ok(())
}

/// Appends the operator's settings for the site to the file of the first gateway.
fn append_site(topology: &Topology, org: Org) -> Result<()> {
    let config = topology.org_dir(org).join("gateway.toml");
    let mut text =
        fs::read_to_string(&config).with_context(|| format!("cannot read {}", config.display()))?;

    text += &records(topology, org);
    text += &policy(topology, org);
    if let Some(addresses) = topology.virtual_addresses(org) {
        text += &virtual_addresses(addresses);
    }
    fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))
}

fn records(topology: &Topology, org: Org) -> String {
    let mut text = String::from("\n# The machines of this site, as all members see them.\n");
    for node in topology.nodes.iter().filter(|node| node.org == Some(org)) {
        for (kind, address) in ["A", "AAAA"].iter().zip(&node.addresses) {
            text += &record_entry(node.label(), kind, &address.to_string());
        }
    }
    text
}

/// The addresses that the site's hosts use as their router and resolver.
fn virtual_addresses([v4, v6]: [IpAddr; 2]) -> String {
    format!(
        "# The active gateway has these.\n[ha]\naddresses = [\"{v4}/24\", \"{v6}/64\"]\n\
         interface = \"lan0\"\n"
    )
}

fn record_entry(label: &str, kind: &str, address: &str) -> String {
    format!("[[dns.record]]\nname = \"{label}\"\ntype = \"{kind}\"\ndata = \"{address}\"\n\n")
}

/// Rules for the laboratory's services and its tests; `org init` writes those for Fabric.
fn policy(topology: &Topology, org: Org) -> String {
    let mut prefixes: Vec<String> = org.prefixes().into();
    if topology.has_data_centre(org) {
        prefixes.extend(data_centre::PREFIXES.map(String::from));
    }
    let to = prefixes.join("\", \"");
    let mut text = String::from("# What runs here besides Fabric.\n");
    for (ports, purpose) in [
        ("\"2379-2380\"", "etcd: clients, members"),
        ("[5201, 8080]", "throughput, HTTP"),
    ] {
        _ = writeln!(
            text,
            "[[policy.allow]] # {purpose}\n\
             from = \"all\"\nto = [\"{to}\"]\nproto = \"tcp\"\nports = {ports}\n"
        );
    }
    if topology.has_data_centre(org) {
        let to = data_centre::PREFIXES.join("\", \"");
        _ = writeln!(
            text,
            "[[policy.allow]] # pings to the data centre\n\
             from = \"all\"\nto = [\"{to}\"]\nproto = \"icmp\"\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Equipment;

    fn topology(equipment: Equipment) -> Topology {
        Topology::of("ringway".parse().unwrap(), equipment)
    }

    #[test]
    fn every_machine_gets_a_record_in_each_family() {
        let org = Org::all().nth(1).unwrap();
        let text = records(&topology(Equipment::PLAIN), org);
        assert_eq!(text.matches("[[dns.record]]").count(), 6);
        assert!(text.contains("name = \"peer1\"\ntype = \"AAAA\"\ndata = \"fd00:10:1::12\""));
    }

    #[test]
    fn a_gateway_with_a_sibling_answers_queries_at_the_virtual_addresses_too() {
        let topology = topology(Equipment::SIBLINGS);
        let options = where_it_is(&topology, topology.find("gw2.org0").unwrap()).join(" ");
        assert_eq!(
            options,
            "--endpoint 203.0.113.130:4600 --endpoint [2001:db8:0:80::2]:4600 \
             --dns-listen 10.10.0.2 --dns-listen fd00:10::2 \
             --dns-listen 10.10.0.3 --dns-listen fd00:10::3"
        );
    }

    #[test]
    fn the_policy_has_a_rule_for_etcd_and_one_for_the_demonstration() {
        let org = Org::all().nth(1).unwrap();
        let text = policy(&topology(Equipment::ALL), org);
        assert_eq!(text.matches("[[policy.allow]]").count(), 2);
        assert!(text.contains("to = [\"10.10.1.0/24\", \"fd00:10:1::/64\"]"));
    }

    #[test]
    fn the_rules_of_a_data_centre_stand_at_the_gateways_that_serve_it() {
        let text = policy(&topology(Equipment::ALL), Org::equipped());
        assert_eq!(text.matches("[[policy.allow]]").count(), 3);
        let to = "to = [\"10.10.0.0/24\", \"fd00:10::/64\", \"10.20.0.0/24\", \"fd00:20::/64\"]";
        assert!(text.contains(to), "{text}");
    }
}
