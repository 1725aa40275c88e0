//! [`GuardSpec`]: what the kernel must drop so that addresses of the mesh enter and leave by the
//! TUN device only, and where it must forward. `ringway-host` makes the rules of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ringway_config::{Config, Endpoint, Host, Prefix, TunName};

use crate::situation::Situation;

/// Everything that determines the guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardSpec {
    /// The TUN device; also the name of the guard's table.
    pub tun: TunName,
    /// Our site's prefixes, and those of the sites that are served via it.
    pub own: Vec<Prefix>,
    /// Those of `own` that belong to our organization: hosts in them may reach each other.
    pub inside: Vec<Prefix>,
    /// The prefixes of the other sites and of removed members. Their packets enter and leave by the
    /// TUN device only.
    pub members: BTreeSet<Prefix>,
    /// The site's interfaces. Packets with our own addresses arrive by these only, and these
    /// forward.
    pub site: BTreeSet<String>,
    /// The site has other gateways, so packets of members may reach this host through the site's
    /// network.
    pub has_siblings: bool,
    /// The tunnel port.
    pub tunnel_port: u16,
    /// Device and port for WireGuard clients, if the file has `[wireguard]`.
    pub wireguard: Option<(TunName, u16)>,
    /// Others dial this gateway, so filters for the host's input must accept new packets to the
    /// tunnel port.
    pub is_dialled: bool,
    /// The firewall mark of the tunnel's own packets.
    pub mark: u32,
    /// A peer's endpoint lies inside a prefix of `members`: its packets need the mark to pass the
    /// reverse-path check.
    pub marks_arrivals: bool,
}

/// The guard for `situation`.
pub fn guard(situation: &Situation<'_>) -> GuardSpec {
    let config = situation.config;
    let own = situation.served();
    let members = situation.members();

    let mut gateways = config.own.gateways.iter();
    let is_dialled =
        gateways.any(|gateway| gateway.name == config.id.name && !gateway.endpoints.is_empty());

    GuardSpec {
        tun: config.tun.clone(),
        inside: situation.inside(),
        site: situation.links.site_interfaces(&own),
        has_siblings: has_siblings(config),
        tunnel_port: config.listen.port(),
        wireguard: config
            .wireguard
            .as_ref()
            .map(|wireguard| (wireguard.tun.clone(), wireguard.listen.port())),
        is_dialled,
        mark: config.routes.mark,
        marks_arrivals: endpoints(situation)
            .any(|endpoint| members.iter().any(|prefix| prefix.contains(endpoint))),
        own,
        members,
    }
}

/// True if the site has other gateways, so that packets of members may reach this host through the
/// site's network.
pub fn has_siblings(config: &Config) -> bool {
    config.own.gateways.iter().any(|gateway| {
        gateway.site == config.site
            && gateway.name != config.id.name
            && !config.own.revoked.gateways.contains(&gateway.name)
    })
}

/// The addresses at which peers can be dialled. Those of host names are not known here.
fn endpoints(situation: &Situation<'_>) -> impl Iterator<Item = IpAddr> {
    situation
        .config
        .records()
        .flat_map(|record| &record.gateways)
        .flat_map(|gateway| &gateway.endpoints)
        .filter_map(|Endpoint { host, .. }| match host {
            Host::Address(address) => Some(*address),
            Host::Name(_) => None,
        })
}
