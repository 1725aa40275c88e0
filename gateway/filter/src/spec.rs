//! [`RulesSpec`]: everything that verdicts depend on beside flows, as plain values.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ringway_config::{DnsName, OrgId, Policy, Prefix, SiteId};

/// What [`Rules`](crate::Rules) are compiled from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesSpec {
    /// The policy.
    pub policy: Policy,
    /// Policies that were in force before, of a former run too. What they allowed and `policy` does
    /// not has no grace, and no answer to it becomes a flow of ours. Keep each for as long as a TCP
    /// flow may be idle ([`TCP_IDLE`](crate::TCP_IDLE)).
    pub former: Vec<Policy>,
    /// The number of our site.
    pub site: u32,
    /// The available prefixes of our site, and of the sites that are served via it.
    pub own: Vec<Prefix>,
    /// The other sites of the consortium, those of our organization included.
    pub sites: Vec<RemoteSite>,
    /// Addresses of each name in our own fragment of the zone. Those outside `own` are ignored.
    pub names: BTreeMap<DnsName, Vec<IpAddr>>,
    /// Where this gateway answers DNS, over UDP and TCP. An unspecified address stands for every
    /// one of `gateway` of its family.
    pub dns: Vec<SocketAddr>,
    /// The addresses of this host.
    pub gateway: Vec<IpAddr>,
    /// The tunnel port of this host, UDP and TCP.
    pub tunnel_port: u16,
}

/// A site that packets come from and go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteSite {
    /// Its number. That of a site with gateways is the `from` of
    /// [`Filter::arrives`](crate::Filter::arrives).
    pub number: u32,
    /// Its organization.
    pub org: OrgId,
    /// Its name.
    pub site: SiteId,
    /// Its available prefixes.
    pub prefixes: Vec<Prefix>,
    /// True if gateways of its own organization serve it. A rule that names the organization alone
    /// is about these sites only.
    pub has_gateways: bool,
    /// The number of the site whose gateways serve it, if it is served via another one.
    pub via: Option<u32>,
}
