//! [`PolicySpec`]: everything that the packet filter depends on, and how it follows from the
//! configuration. How the rules are written is `ringway-host`'s.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ringway_config::{Allow, Config, OrgId, Prefix, Ruling};

/// What the packet filter enforces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySpec {
    /// The TUN device; also the name of the filter's table.
    pub tun: String,
    /// Our site's prefixes.
    pub own: Vec<Prefix>,
    /// The prefixes that the sites of each organization may use as source, our organization's other
    /// sites among them.
    pub orgs: BTreeMap<OrgId, Vec<Prefix>>,
    /// The rules; `None` without a `[policy]`: ICMP echo and DNS only.
    pub allow: Option<Vec<Allow>>,
    /// Where this gateway answers DNS, over UDP and TCP. An unspecified address means our site's
    /// prefixes.
    pub dns: Vec<SocketAddr>,
    /// The tunnel port, UDP and TCP.
    pub tunnel_port: u16,
    /// The firewall mark of the tunnel's own packets. Arriving ones get it too, for the
    /// reverse-path check.
    pub mark: u32,
}

/// The filter for `config`. Only prefixes that are available count: a conflicted one is nobody's,
/// and packets from it are dropped.
pub fn policy(config: &Config, rulings: &[Ruling]) -> PolicySpec {
    let mut own = Vec::new();
    let mut orgs: BTreeMap<OrgId, Vec<Prefix>> = BTreeMap::new();

    for ruling in rulings.iter().filter(|ruling| ruling.is_available()) {
        // Our organization's other sites are remote: their packets come out of the TUN as well.
        if ruling.org == config.id.org && ruling.site == config.site {
            own.push(ruling.prefix);
        } else {
            orgs.entry(ruling.org.clone())
                .or_default()
                .push(ruling.prefix);
        }
    }

    PolicySpec {
        tun: config.tun.to_string(),
        own,
        orgs,
        allow: config.policy.allow.clone(),
        dns: config.dns.listen.clone(),
        tunnel_port: config.listen.port(),
        mark: config.routes.mark,
    }
}
