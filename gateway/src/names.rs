//! The private DNS of this gateway: which zones it serves, to which clients, and where they are
//! stored. `ringway-dns` answers queries; [`crate::zones`] replicates zones between gateways.

mod arrivals;
pub mod derive;
pub mod lint;
pub mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use ringway_config::{ApexMode, Config, Digest, GatewayId, OrgId, Prefix, RateLimit, ZoneName};
use ringway_core::Membership;
use ringway_dns::{
    Acl, Arrivals, Forwarder, FragmentStore, QueryLog, Rate, Reach, SerialStore, Zone, Zones,
};
use ringway_intent::Links;

use crate::attention::Attention;
use crate::state::{REMEDY, chain};
use arrivals::arrivals;

/// The name of the finding about serials.
const SERIAL: &str = "state serial";

/// Everything that the DNS server answers from.
pub struct Names {
    /// The published zones.
    pub zones: Arc<Zones>,
    /// Which clients are answered.
    pub acl: Arc<ArcSwap<Acl>>,
    /// Stored copies of the other gateways' fragments.
    pub copies: Arc<FragmentStore>,
    /// Forwards queries for names outside the consortium.
    pub forwarder: Arc<Forwarder>,
    /// Logs a sample of the queries.
    pub query_log: Arc<QueryLog>,
    /// The rate limits of responses.
    pub rate: Arc<ArcSwap<Rate>>,
    /// Assigns serials to zones.
    pub serials: ZoneSerials,
    /// This gateway's fragment of our organization's zone, with serial 0. Policy rules with names
    /// use its addresses.
    pub fragment: Arc<Zone>,
}

/// Assigns serials to zones and stores them: each gateway numbers its own unions. Clones share the
/// state, so that it can run off the loop.
#[derive(Clone)]
pub struct ZoneSerials {
    state_dir: PathBuf,
    own: ZoneName,
    stores: Arc<Mutex<BTreeMap<ZoneName, SerialStore>>>,
    attention: Attention,
}

impl ZoneSerials {
    /// Keeps serials in `state_dir`. `own` is our organization's zone.
    pub fn new(state_dir: PathBuf, own: ZoneName, attention: Attention) -> ZoneSerials {
        ZoneSerials {
            state_dir,
            own,
            stores: Arc::default(),
            attention,
        }
    }

    /// Gives `zone`, with the name `apex`, the serial for its content. Nothing is published yet.
    /// Blocks; a large zone takes some 100 ms.
    pub fn number(&self, apex: &ZoneName, zone: Zone) -> Zone {
        let serial = self.serial(apex, Digest::of(&zone.encode()));
        let zone = zone.with_serial(serial);

        // Done here, on a blocking thread, because the loop publishes the zone.
        zone.derive_pointers();
        zone
    }

    fn serial(&self, apex: &ZoneName, content: Digest) -> u32 {
        let now = SystemTime::now();
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let store = stores
            .entry(apex.clone())
            .or_insert_with(|| self.open(apex));

        match store.serial_for(content, now) {
            Ok(serial) => {
                self.attention.clear(SERIAL);
                serial
            }
            Err(error) => {
                let what = format!("the serial of {apex} is not stored: {}", chain(&error));
                self.attention.raise(SERIAL, &what, REMEDY);
                // Serve the zone all the same. After a crash its serial could repeat only if the
                // clock was set back.
                store.unstored_serial_for(content, now)
            }
        }
    }

    fn open(&self, apex: &ZoneName) -> SerialStore {
        let path = if *apex == self.own {
            self.state_dir.join("serial")
        } else {
            self.state_dir.join("zones").join(format!("{apex}.serial"))
        };

        SerialStore::open(&path).unwrap_or_else(|error| {
            let what = format!("the serial of {apex} cannot be read: {}", chain(&error));
            self.attention.raise(SERIAL, &what, REMEDY);
            SerialStore::unread(&path)
        })
    }
}

impl std::fmt::Debug for ZoneSerials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZoneSerials").finish_non_exhaustive()
    }
}

/// Removes the stored copies of gateways that are in no record.
pub struct Removal {
    copies: Arc<FragmentStore>,
    gateways: Vec<GatewayId>,
}

impl Removal {
    /// Deletes the files. Blocks.
    pub fn run(self) {
        if let Err(error) = self.copies.retain(&self.gateways) {
            tracing::warn!(%error, "Old copies of names could not be removed");
        }
    }
}

impl Names {
    /// Opens the stored state of names. What cannot be read or stored becomes a finding in
    /// `attention`. No zone has content until a [`Replicator`](crate::zones::Replicator) is opened.
    /// Blocks.
    pub fn open(
        config: &Config,
        membership: &Membership,
        fragment: Zone,
        attention: &Attention,
    ) -> Names {
        let zones = config.state_dir.join("zones");
        let copies = FragmentStore::open(&zones).unwrap_or_else(|error| {
            let what = format!("the members' names are not stored: {}", chain(&error));
            attention.raise("state zones", &what, REMEDY);
            FragmentStore::existing(&zones)
        });

        let mut names = Names {
            zones: Arc::new(Zones::new()),
            // Answer no query until the interfaces of the clients are known.
            acl: Arc::new(ArcSwap::from_pointee(
                Acl::default().arriving(Arrivals::default()),
            )),
            copies: Arc::new(copies),
            forwarder: Arc::default(),
            query_log: Arc::default(),
            rate: Arc::default(),
            serials: ZoneSerials::new(
                config.state_dir.clone(),
                own_apex(config),
                attention.clone(),
            ),
            fragment: Arc::new(fragment),
        };

        names.publish(config, membership, names.fragment.clone());
        // Members may have been removed while no daemon was running.
        names.removal(config).run();
        names
    }

    /// Serves our zone, with `fragment` as our part of it, and the members' zones, to clients in
    /// this site and in the members' sites.
    pub fn publish(&mut self, config: &Config, membership: &Membership, fragment: Arc<Zone>) {
        self.fragment = fragment;
        self.republish(config, membership);
    }

    /// As [`Names::publish`], with the same fragment as before.
    pub fn republish(&self, config: &Config, membership: &Membership) {
        self.zones.set_expected(&own_apex(config), &others(config));
        self.zones.set_reverse(owners(config, membership));

        // Prefixes in conflict are left out: their addresses could belong to another organization.
        let arrivals = self.acl.load().arrivals().cloned().unwrap_or_default();
        let acl = Acl::new(membership.authorized.values().flatten().copied())
            .with_site(membership.local_prefixes().iter().copied())
            .with_nodes(nodes(config))
            .arriving(arrivals);
        self.acl.store(Arc::new(acl));
        self.publish_domain(config);
        self.query_log.set(config.dns.query_log);
        let RateLimit { site, members } = config.dns.rate_limit;
        self.rate.store(Arc::new(Rate::of(site, members)));
    }

    /// Answers or forwards names below the domain that belong to no organization.
    fn publish_domain(&self, config: &Config) {
        let (zone, own) = match config.dns.apex {
            ApexMode::Closed => (Zone::of_domain(config), vec![config.own.domain.clone()]),
            ApexMode::Forward => {
                let mut zones = others(config);
                zones.push(own_apex(config));
                (None, zones)
            }
        };

        self.zones.set_domain(zone);
        self.forwarder.set(&own, &config.dns.forward);
    }

    /// Answers clients whose packets arrive by the interfaces of `links` that lead to them.
    pub fn set_arrivals(&self, config: &Config, links: &Links) {
        let arrivals = arrivals(config, links);
        let acl = self.acl.load();

        // Most changes of the host do not concern these interfaces.
        if acl.arrivals() != Some(&arrivals) {
            let acl = Acl::clone(&acl).arriving(arrivals);
            self.acl.store(Arc::new(acl));
        }
    }

    /// The removal of copies that `config` does not use.
    pub fn removal(&self, config: &Config) -> Removal {
        Removal {
            copies: self.copies.clone(),
            gateways: gateways(config),
        }
    }

    /// Answers names with several addresses with those that can be reached: all but the
    /// `unreachable` ones.
    pub fn set_reach(&self, own: Vec<Prefix>, unreachable: BTreeSet<Prefix>) {
        let reach = Reach::new(own, unreachable);

        self.zones.set_reach(Arc::new(reach));
    }
}

/// The prefixes of the attached nodes.
fn nodes(config: &Config) -> impl Iterator<Item = Prefix> {
    let nodes = config.nodes.list.iter();

    nodes
        .flat_map(|node| &node.prefixes)
        .map(|placed| placed.prefix)
}

/// The apex of our zone.
pub fn own_apex(config: &Config) -> ZoneName {
    config.own.domain.zone_of(&config.own.org)
}

/// The apexes of the other members' zones.
pub fn others(config: &Config) -> Vec<ZoneName> {
    config
        .members
        .iter()
        .map(|member| config.own.domain.zone_of(&member.org))
        .collect()
}

/// Every gateway in the member records that is not revoked.
pub fn gateways(config: &Config) -> Vec<GatewayId> {
    config
        .records()
        .flat_map(|record| {
            let names = record.gateways.iter().map(|gateway| &gateway.name);
            names
                .filter(|name| !record.revoked.gateways.contains(*name))
                .map(|name| GatewayId {
                    org: record.org.clone(),
                    name: name.clone(),
                })
        })
        .collect()
}

/// Each organization's zone, with its prefixes that are not in conflict. Reverse names of these are
/// answered from that zone.
fn owners(config: &Config, membership: &Membership) -> Vec<(ZoneName, Vec<Prefix>)> {
    config
        .records()
        .map(|record| {
            let zone = config.own.domain.zone_of(&record.org);
            (zone, prefixes_of(membership, &record.org))
        })
        .collect()
}

/// The prefixes of an organization that are not in conflict, whichever gateways serve them.
pub fn prefixes_of(membership: &Membership, org: &OrgId) -> Vec<Prefix> {
    let passing = membership.passing.iter();
    let (ours, others): (Vec<_>, Vec<_>) = passing.partition(|((owner, _), _)| owner == org);
    // Prefixes that its gateways serve for another organization have their names in that one's
    // zone.
    let foreign: BTreeSet<Prefix> = others
        .into_iter()
        .flat_map(|(_, passing)| passing.prefixes.iter().copied())
        .collect();

    let served = membership
        .authorized
        .iter()
        .filter(|((server, _), _)| server == org)
        .flat_map(|(_, prefixes)| prefixes.iter().copied())
        .filter(|prefix| !foreign.contains(prefix));
    let elsewhere = ours
        .into_iter()
        .filter(|(_, passing)| passing.via.0 != *org)
        .flat_map(|(_, passing)| passing.prefixes.iter().copied());
    served.chain(elsewhere).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ringway_config::rule;

    use super::*;

    #[test]
    fn names_lead_to_an_organizations_own_sites_by_whichever_gateways() {
        let case = "../config/tests/cases/via/gateway.toml";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(case);
        let config = Config::load(&path).unwrap();
        let rulings = rule(&config, &[], &BTreeSet::new());
        let membership = ringway_shell::membership(&config, &rulings);

        let prefixes = |org: &str| -> Vec<String> {
            let prefixes = prefixes_of(&membership, &org.parse().unwrap());
            prefixes.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            prefixes("acme"),
            ["10.1.0.0/16", "10.9.0.0/16", "10.10.0.0/16"]
        );
        assert_eq!(
            prefixes("beta"),
            ["10.2.0.0/16", "10.13.0.0/16", "10.12.0.0/16"]
        );
    }
}
