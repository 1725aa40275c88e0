//! [`stored`]: an organization's zone from the copies on disk, for commands that work without a
//! running gateway.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use ringway_config::{Config, GatewayId, GatewayName, Member};
use ringway_dns::{AllowedAddresses, FragmentStore, Name, Union, Zone, unite};

/// A zone, as far as the copies have it.
#[derive(Debug, Default)]
pub struct StoredZone {
    /// The zone, with serial 0; `None` without a usable copy.
    pub union: Option<Union>,
    /// When the newest copy was received.
    pub received: Option<SystemTime>,
    /// Copies that cannot be used, with the reason.
    pub faults: Vec<String>,
    /// Gateways without a usable copy: they may have more names.
    pub missing: Vec<GatewayName>,
}

/// The zone of `member` from its gateways' copies. `own` is this gateway's fragment, if `member` is
/// our organization. Blocks.
pub fn stored(config: &Config, member: &Member, own: Option<&Zone>) -> StoredZone {
    // `existing` creates no directory, since a command may run as another user than the daemon.
    let copies = FragmentStore::existing(&config.state_dir.join("zones"));
    let apex = config.own.domain.zone_of(&member.org);
    let mut zone = StoredZone::default();
    let mut fragments: BTreeMap<GatewayName, Arc<Zone>> = BTreeMap::new();

    for gateway in &member.gateways {
        let id = GatewayId {
            org: member.org.clone(),
            name: gateway.name.clone(),
        };
        // Our fragment comes from our files, and the one of a revoked gateway is void.
        if id == config.id || member.revoked.gateways.contains(&id.name) {
            continue;
        }

        match copies.load(&id, &apex) {
            Ok(Some(stored)) => {
                zone.received = zone.received.max(Some(stored.received));
                fragments.insert(id.name, Arc::new(stored.zone));
            }
            Ok(None) => zone.missing.push(id.name),
            Err(error) => {
                zone.faults.push(format!("{error}: {}", error.reason));
                zone.missing.push(id.name);
            }
        }
    }
    if let Some(own) = own {
        fragments.insert(config.id.name.clone(), Arc::new(own.clone()));
    }

    let allowed = fragments
        .keys()
        .map(|name| (name.clone(), allowed(config, member, name)))
        .collect();
    zone.union = unite(&Name::from(&apex), &fragments, &allowed);
    zone
}

/// Includes prefixes in conflict, which a running gateway leaves out.
fn allowed(config: &Config, member: &Member, gateway: &GatewayName) -> AllowedAddresses {
    let is_own = member.org == config.own.org;
    if is_own && (*gateway == config.id.name || config.dns.foreign_addresses) {
        return AllowedAddresses::All;
    }

    let placed = member.sites.iter().flat_map(|site| &site.prefixes);
    AllowedAddresses::Within(placed.map(|placed| placed.prefix).collect())
}
