//! From the configuration and the rulings on it to what the core and the firewall work from.
//! Pure; a reload makes everything anew and the receivers act on the difference.

use std::collections::BTreeMap;

use ringway_config::{Config, GatewayId, Member, OrgId, Prefix, Ruling, SiteId};
use ringway_core::{GatewayInfo, Membership};

use crate::host::Families;
use crate::host::firewall::PolicySpec;

/// What the core is told: accepted gateways, and the prefixes ruled available.
pub fn membership(config: &Config, rulings: &[Ruling]) -> Membership {
    let mut authorized: BTreeMap<(OrgId, SiteId), Vec<Prefix>> = BTreeMap::new();
    for ruling in rulings.iter().filter(|ruling| ruling.is_available()) {
        authorized
            .entry((ruling.org.clone(), ruling.site.clone()))
            .or_default()
            .push(ruling.prefix);
    }
    let conflicted = rulings
        .iter()
        .filter(|ruling| !ruling.is_available())
        .map(|ruling| ruling.prefix);
    let mut gateways: BTreeMap<_, _> = config.records().flat_map(accepted).collect();
    gateways.remove(&config.id);
    Membership {
        me: config.id.clone(),
        site: config.site.clone(),
        gateways,
        authorized,
        conflicted: conflicted.collect(),
        records: config
            .records()
            .map(|record| (record.org.clone(), record.digest))
            .collect(),
    }
}

fn accepted(member: &Member) -> impl Iterator<Item = (GatewayId, GatewayInfo)> + '_ {
    let revoked = |name| member.revoked.gateways.contains(name);
    member
        .gateways
        .iter()
        .filter(move |gateway| !revoked(&gateway.name))
        .map(|gateway| {
            let id = GatewayId {
                org: member.org.clone(),
                name: gateway.name.clone(),
            };
            (
                id,
                GatewayInfo {
                    site: gateway.site.clone(),
                    endpoints: gateway.endpoints.clone(),
                },
            )
        })
}

/// What the firewall enforces: the policy, and whose addresses are whose.
pub fn policy(config: &Config, membership: &Membership, guard_forwarding: Families) -> PolicySpec {
    let mut orgs: BTreeMap<OrgId, Vec<Prefix>> = BTreeMap::new();
    for ((org, site), prefixes) in &membership.authorized {
        if (org, site) != (&membership.me.org, &membership.site) {
            orgs.entry(org.clone()).or_default().extend(prefixes);
        }
    }
    PolicySpec {
        tun: config.tun.to_string(),
        own: membership.local_prefixes().to_vec(),
        orgs,
        allow: config.policy.clone(),
        dns: config.dns.listen.clone(),
        tunnel_port: config.listen.port(),
        mark: config.routes.mark,
        guard_forwarding,
    }
}
