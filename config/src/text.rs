//! The text of new files, as `ringway org init` writes them. Annotated, and loads without faults.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::file::pem;
use crate::{Endpoint, GatewayId, GatewayName, OrgId, Prefix, Routes, SiteId, ZoneName, defaults};

/// The contents of a new `gateway.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGateway {
    /// The gateway. Its files are `<org>.member.toml`, `gateway.crt` and `gateway.key`, all in the
    /// directory of `gateway.toml`.
    pub id: GatewayId,
    /// The site it serves.
    pub site: SiteId,
    /// The site's prefixes: the destinations of the policy's first rules.
    pub prefixes: Vec<Prefix>,
    /// The tunnel port.
    pub listen: SocketAddr,
    /// Where the DNS server listens; may be empty.
    pub dns_listen: Vec<SocketAddr>,
}

/// The contents of a new member record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMember {
    /// The organization.
    pub org: OrgId,
    /// The consortium's domain.
    pub domain: ZoneName,
    /// From 1, and one more with each change.
    pub serial: u64,
    /// The organization's CA certificates, one or more PEM blocks.
    pub ca_pem: String,
    /// Its sites and their prefixes.
    pub sites: Vec<(SiteId, Vec<Prefix>)>,
    /// Its gateways: name, site, endpoints.
    pub gateways: Vec<(GatewayName, SiteId, Vec<Endpoint>)>,
}

/// The text of a new `gateway.toml`. `[[policy.allow]]`, `[[dns.host]]` and `[[dns.record]]` blocks
/// may be appended.
pub fn gateway_text(new: &NewGateway) -> String {
    let NewGateway {
        id, site, listen, ..
    } = new;
    let dns_listen = list(new.dns_listen.iter().map(dns_address));
    let rules = if new.prefixes.is_empty() {
        String::new()
    } else {
        fabric_rules(&list(&new.prefixes))
    };
    let routes = Routes::default();

    format!(
        r#"# Gateway {name} of organization {org}. Paths are relative to this file's directory.
# After a change: ringway check -c gateway.toml, then ringway reload -c gateway.toml.

version = 1
org = "{org}"
gateway = "{name}"
site = "{site}"

# The tunnel's address and UDP port: the only port that the other gateways must reach.
listen = "{listen}"

members = "{members}"       # the other organizations' records, <org>.member.toml
{kept}
# Ranges used here that no other site may use, such as a container network ("172.17.0.0/16").
reserved = []

[identity]
record = "{org}.member.toml"   # hand this file to the other organizations
certificate = "gateway.crt"
key = "gateway.key"            # never leaves this host

[tun]
name = "{tun}"

# How the daemon's routes and packets are marked in the kernel.
[routes]
table = {table}
protocol = {protocol}
mark = {mark:#010x}

# The names of {org}'s hosts, for every member. Port 53 unless an address says otherwise.
[dns]
listen = {dns_listen}
# zone-files = ["{org}.zone"]   # more records, in the format of RFC 1035
ttl = {ttl}   # seconds

# One block a host, or a record of any other type, here or at the end of the file:
#
# [[dns.host]]
# name = "peer0"   # peer0.{org}.<domain>
# addresses = ["{host}"]
# check = "tcp:7051"   # leave out addresses at which nothing listens
#
# [[dns.record]]
# name = "ca"
# type = "CNAME"
# data = "peer0"

# What the others may reach here. Without any rule they receive only replies.
# To see what is stopped: ringway policy denied. To add a rule: ringway policy allow --help.
[policy]
{rules}"#,
        name = id.name,
        org = id.org,
        members = defaults::MEMBERS,
        kept = kept(id),
        tun = defaults::TUN,
        table = routes.table,
        protocol = routes.protocol,
        mark = routes.mark,
        ttl = defaults::DNS_TTL,
        host = example_host(&new.prefixes),
    )
}

/// An address of the site, for a line to be copied: the eightieth of its first prefix.
fn example_host(prefixes: &[Prefix]) -> IpAddr {
    let first = prefixes.first().map(Prefix::address);
    let eightieth = match first {
        Some(IpAddr::V4(first)) => Ipv4Addr::from_bits(first.to_bits().saturating_add(80)).into(),
        Some(IpAddr::V6(first)) => Ipv6Addr::from_bits(first.to_bits().saturating_add(80)).into(),
        None => Ipv4Addr::new(10, 0, 0, 80).into(),
    };

    match prefixes.first() {
        Some(prefix) if !prefix.contains(eightieth) => prefix.address(),
        _ => eightieth,
    }
}

fn kept(id: &GatewayId) -> String {
    let state_dir = defaults::SYSTEM_STATE_DIR;
    let socket_dir = defaults::SYSTEM_SOCKET_DIR;

    // Not the values themselves: they depend on where the file lies.
    format!(
        r#"
# What the daemon keeps from one start to the next, and the socket for ringway status. By default
# "state" and "ringway.sock", but for a file below /etc:
# state-dir = "{state_dir}/{id}"
# socket = "{socket_dir}/{id}.sock"
# socket-group = "ringway"   # may ask the socket (status, metrics, role); without it, root alone
"#
    )
}

fn fabric_rules(prefixes: &str) -> String {
    format!(
        r#"
# Hyperledger Fabric: orderers, peers, certificate authorities.
[[policy.allow]]
from = "all"   # or one organization ("beta"), or one site ("beta/east")
to = {prefixes}   # or the names of hosts
service = ["fabric-orderer", "fabric-peer", "fabric-ca"]

[[policy.allow]]
from = "all"
to = {prefixes}
proto = "icmp"
"#
    )
}

/// The text of a new `<org>.member.toml`.
pub fn member_text(new: &NewMember) -> String {
    let NewMember {
        org,
        domain,
        serial,
        ..
    } = new;
    let mut text = format!(
        r#"# Member record of organization {org}, which the others copy. It holds nothing secret.
# Compare its fingerprint (ringway member show, or sha256sum) over a second channel.

version = 2
serial = {serial}   # one more with each change
org = "{org}"
domain = "{domain}"

# The roots of every gateway certificate of {org}.
ca = [
"#
    );
    // Only the blocks: what stands between them may be anything, a `"""` included.
    for certificate in pem::certificates(&new.ca_pem).into_iter().flatten() {
        text.push_str(&format!("\"\"\"\n{certificate}\"\"\",\n"));
    }
    text.push_str("]\n");

    for (name, prefixes) in &new.sites {
        let prefixes = list(prefixes);
        text.push_str(&format!(
            "\n[[site]]\nname = \"{name}\"\nprefixes = {prefixes}\n"
        ));
    }

    for (name, site, endpoints) in &new.gateways {
        let endpoints = list(endpoints);
        text.push_str(&format!(
            "\n[[gateway]]\nname = \"{name}\"\nsite = \"{site}\"\n\
             endpoints = {endpoints}   # without any it only dials\n"
        ));
    }

    text.push_str(
        "\n# What the others must refuse: gateways by name, keys as sha256 of their SPKI.\n",
    );
    text.push_str("[revoked]\ngateways = []\nkeys = []\n");
    text.push_str("\n# The last line: without it, the file is not whole.\n[end]\n");
    text
}

/// The address alone if the port is the usual one.
fn dns_address(listen: &SocketAddr) -> String {
    if listen.port() == defaults::DNS_PORT {
        listen.ip().to_string()
    } else {
        listen.to_string()
    }
}

/// A TOML array of strings. No item may need escaping.
fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items
        .into_iter()
        .map(|item| format!("\"{item}\""))
        .collect();

    format!("[{}]", items.join(", "))
}
