//! The members of the consortium: their records, and the membership that one gateway derives from
//! the records that it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use ringway_config::{
    Config, CrlPolicy, Digest, Dns, Endpoint, Faults, Gateway, GatewayId, GatewayName, Host,
    Identity, Member, NodeName, OrgId, Place, PlacedPrefix, Policy, Prefix, Revoked, Routes,
    Ruling, Site, SiteId, Survey, Transit, Tunnel, Verdict, Via,
};
use ringway_core::{GatewayInfo, HeldRecord, Membership, Passing};

use crate::attached::{self, Listed};
use crate::rng::Rng;
use crate::ways;

/// One version of one organization's member record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) org: OrgId,
    pub(crate) version: u32,
    pub(crate) sites: BTreeMap<SiteId, Vec<Prefix>>,
    pub(crate) gateways: BTreeMap<GatewayId, GatewayInfo>,
    /// Sites that the gateways of another one serve, and that one.
    pub(crate) via: BTreeMap<SiteId, (OrgId, SiteId)>,
    /// Sites of other organizations that this one consents to serve.
    pub(crate) transit: BTreeSet<(OrgId, SiteId)>,
    /// Its attached nodes: what its gateways' own files say, beside the record.
    pub(crate) nodes: BTreeMap<NodeName, Listed>,
}

/// The records that one gateway holds.
pub(crate) type Records = BTreeMap<OrgId, Rc<Record>>;

/// A dozen organizations.
pub(crate) const ORGS: usize = 12;

/// At least 30 gateways of a dozen organizations: some sites with two gateways, some gateways
/// without endpoints, some whose first endpoint leads nowhere. Every third organization has a data
/// centre via its own second site; org1, org5 and org9 have one via the first site of the next
/// organization, which consents but for org5's.
pub(crate) fn found(rng: &mut Rng) -> Records {
    (0..ORGS)
        .map(|org| Rc::new(record(org, rng)))
        .map(|record| (record.org.clone(), record))
        .collect()
}

fn record(number: usize, rng: &mut Rng) -> Record {
    let org: OrgId = format!("org{number}").parse().unwrap();
    let mut sites = BTreeMap::new();
    let mut gateways = BTreeMap::new();

    for site in 0..2 {
        let name: SiteId = format!("site{site}").parse().unwrap();
        sites.insert(name.clone(), prefixes(number, site));
        // Every other first site has two gateways: 12 * 2 + 6 = 30 in all.
        let twins = if site == 0 && number.is_multiple_of(2) {
            2
        } else {
            1
        };
        for twin in 0..twins {
            let id: GatewayId = format!("gw{site}{twin}.org{number}").parse().unwrap();
            let endpoints = endpoints(&id, rng);
            gateways.insert(
                id,
                GatewayInfo {
                    site: name.clone(),
                    endpoints,
                },
            );
        }
    }
    let mut record = Record {
        org,
        version: 0,
        sites,
        gateways,
        via: BTreeMap::new(),
        transit: BTreeSet::new(),
        nodes: BTreeMap::new(),
    };
    add_data_centres(&mut record, number);
    record
}

fn add_data_centres(record: &mut Record, number: usize) {
    let site = |name: &str| -> SiteId { name.parse().unwrap() };
    let org = |number: usize| -> OrgId { format!("org{number}").parse().unwrap() };

    if number.is_multiple_of(3) {
        record.sites.insert(site("idc"), prefixes(number, 2));
        let via = (record.org.clone(), site("site1"));
        record.via.insert(site("idc"), via);
    }
    if number % 4 == 1 {
        record.sites.insert(site("far"), prefixes(number, 3));
        record
            .via
            .insert(site("far"), (org(number + 1), site("site0")));
    }
    if number == 2 || number == 10 {
        record.transit.insert((org(number - 1), site("far")));
    }
}

/// Of a site, both families.
pub(crate) fn prefixes(org: usize, site: usize) -> Vec<Prefix> {
    [
        format!("10.{org}.{site}.0/24"),
        format!("fd00:{org:x}:{site:x}::/64"),
    ]
    .map(|p| p.parse().unwrap())
    .into()
}

/// One in four only dials.
fn endpoints(id: &GatewayId, rng: &mut Rng) -> Vec<Endpoint> {
    let endpoint = |host: String| Endpoint {
        host: Host::Name(host.parse().unwrap()),
        port: 4600,
    };
    match rng.below(8) {
        0 | 1 => vec![],
        2 => vec![endpoint("nowhere".into()), endpoint(id.to_string())],
        _ => vec![endpoint(id.to_string())],
    }
}

/// What the files of gateway `me` say: these records, and the defaults for the rest.
pub(crate) fn config(me: &GatewayId, site: &SiteId, records: &Records) -> Config {
    let own = member(&records[&me.org]);
    let members = records
        .values()
        .filter(|record| record.org != me.org)
        .map(|record| member(record))
        .collect();

    Config {
        path: "gateway.toml".into(),
        id: me.clone(),
        site: site.clone(),
        listen: "[::]:4600".parse().unwrap(),
        identity: Identity {
            certificate: "gateway.crt".into(),
            key: "gateway.key".into(),
        },
        own,
        members,
        members_dir: "members".into(),
        state_dir: "state".into(),
        socket: "ringway.sock".into(),
        socket_group: None,
        is_state_beside: false,
        withheld: Default::default(),
        pools: Vec::new(),
        tun: "ringway0".parse().unwrap(),
        lanes: NonZeroU32::MIN,
        routes: Routes {
            table: 4600,
            protocol: 146,
            mark: 0x1057,
        },
        reserved: Vec::new(),
        announce: if me.is_node() {
            Vec::new()
        } else {
            ways::announce(&me.org, &Place::whole(Path::new("gateway.toml")))
        },
        dns: Dns {
            listen: Vec::new(),
            ttl: 5,
            records: Vec::new(),
            checks: Vec::new(),
            zone_files: Vec::new(),
            foreign_addresses: false,
            public_listen: false,
            hold: Duration::from_secs(7 * 86_400),
            apex: ringway_config::ApexMode::Closed,
            query_log: None,
            rate_limit: ringway_config::RateLimit {
                site: 0,
                members: 0,
            },
            forward: Vec::new(),
            kubernetes: None,
        },
        policy: Policy::default(),
        tunnel: Tunnel::default(),
        crl: CrlPolicy::default(),
        ha: ringway_config::Ha::default(),
        http: None,
        wireguard: None,
        nodes: attached::listed(me, site, records),
        attach: attached::attach(me, records),
        places: Default::default(),
        notes: Faults::default(),
    }
}

fn member(record: &Record) -> Member {
    let place = Place::whole(Path::new(&format!("members/{}.toml", record.org)));
    let sites = record.sites.iter().map(|(name, prefixes)| Site {
        name: name.clone(),
        prefixes: prefixes
            .iter()
            .map(|prefix| PlacedPrefix {
                prefix: *prefix,
                place: place.clone(),
            })
            .collect(),
        via: record.via.get(name).map(|(org, site)| Via {
            org: (*org != record.org).then(|| org.clone()),
            site: site.clone(),
            place: place.clone(),
        }),
    });
    let gateways = record.gateways.iter().map(|(id, info)| Gateway {
        name: id.name.clone(),
        site: info.site.clone(),
        endpoints: info.endpoints.clone(),
    });

    Member {
        serial: u64::from(record.version),
        org: record.org.clone(),
        domain: "consortium.example".parse().unwrap(),
        roots: Vec::new(),
        sites: sites.collect(),
        gateways: gateways.collect(),
        transit: record
            .transit
            .iter()
            .map(|(org, site)| Transit {
                org: org.clone(),
                site: site.clone(),
                place: place.clone(),
            })
            .collect(),
        revoked: Revoked::default(),
        digest: digest(record),
        place,
    }
}

/// The reference: the site whose gateways serve a site; `None` if nobody may.
fn server(records: &Records, site: &(OrgId, SiteId)) -> Option<(OrgId, SiteId)> {
    let Some(via) = records.get(&site.0)?.via.get(&site.1) else {
        return Some(site.clone());
    };
    let host = records.get(&via.0)?;

    let is_served = host.sites.contains_key(&via.1)
        && !host.via.contains_key(&via.1)
        && host.gateways.values().any(|info| info.site == via.1);
    let is_allowed = via.0 == site.0 || host.transit.contains(site);
    (is_served && is_allowed).then(|| via.clone())
}

/// The reference for what follows from records and verdicts: which gateways `me` accepts, and which
/// prefixes the gateways of each site may serve.
pub(crate) fn membership(
    me: &GatewayId,
    site: &SiteId,
    records: &Records,
    rulings: &[Ruling],
) -> Membership {
    let gateways = records
        .values()
        .flat_map(|record| &record.gateways)
        .filter(|(id, _)| *id != me)
        .map(|(id, info)| (id.clone(), info.clone()));
    let mut authorized: BTreeMap<(OrgId, SiteId), Vec<Prefix>> = BTreeMap::new();
    let mut passing: BTreeMap<(OrgId, SiteId), Passing> = BTreeMap::new();
    for ruling in rulings.iter().filter(|ruling| ruling.is_available()) {
        let site = (ruling.org.clone(), ruling.site.clone());
        let Some(server) = server(records, &site) else {
            continue;
        };
        if server != site {
            let fresh = Passing {
                via: server.clone(),
                prefixes: Vec::new(),
            };
            let passing = passing.entry(site).or_insert(fresh);
            passing.prefixes.push(ruling.prefix);
        }
        authorized.entry(server).or_default().push(ruling.prefix);
    }

    let mut gateways: BTreeMap<_, _> = gateways.collect();
    attached::add_members(me, site, records, &mut gateways, &mut authorized);
    let us = records
        .get(&me.org)
        .and_then(|record| record.gateways.get(me));

    Membership {
        me: me.clone(),
        site: site.clone(),
        is_dialable: us.is_some_and(|us| !us.endpoints.is_empty()),
        gateways,
        authorized,
        passing,
        conflicted: rulings
            .iter()
            .filter(|ruling| matches!(ruling.verdict, Verdict::Conflicted { .. }))
            .map(|ruling| ruling.prefix)
            .collect(),
        records: held(records),
    }
}

/// What a gateway says of the records that it holds.
pub(crate) fn held(records: &Records) -> BTreeMap<OrgId, HeldRecord> {
    let held = records.values().map(|record| {
        let held = HeldRecord {
            serial: u64::from(record.version),
            digest: digest(record),
        };
        (record.org.clone(), held)
    });
    held.collect()
}

/// Files that say what `config` says, all of which can be read.
pub(crate) fn survey(config: &Config) -> Survey {
    Survey {
        records: config.records().cloned().collect(),
        is_listed: true,
        policy: Some(config.policy.clone()),
        nodes: Some(config.nodes.clone()),
        ..Survey::default()
    }
}

/// The reference for what a refused reload leaves of the records in force at gateway `me`: nothing
/// is added, and whatever the files lack goes, unless their record is an older one.
pub(crate) fn meet(me: &GatewayId, site: &SiteId, ours: &Records, files: &Records) -> Records {
    let mut met = ours.clone();
    met.retain(|org, _| files.contains_key(org));

    for (org, record) in &mut met {
        let theirs = &files[org];
        if theirs.version < record.version {
            continue;
        }
        let record = Rc::make_mut(record);
        let is_own = *org == me.org;
        record.gateways.retain(|id, info| {
            let theirs = theirs.gateways.get(id);
            id == me || theirs.is_some_and(|theirs| theirs.site == info.site)
        });
        for (name, prefixes) in &mut record.sites {
            let theirs = theirs.sites.get(name);
            prefixes.retain(|prefix| {
                // The sites in a node's record are not those of its organization's.
                is_own && (name == site || me.is_node())
                    || theirs.is_some_and(|theirs| theirs.contains(prefix))
            });
        }
        record
            .via
            .retain(|site, via| theirs.via.get(site) == Some(via));
        record.transit.retain(|site| theirs.transit.contains(site));
        record
            .nodes
            .retain(|name, node| theirs.nodes.get(name) == Some(node));
    }
    met
}

/// True if some record lists the gateway, or the files of `me`, which serves `site`, the node.
pub(crate) fn lists(me: &GatewayId, site: &SiteId, records: &Records, id: &GatewayId) -> bool {
    let Some(record) = records.get(&id.org) else {
        return false;
    };
    let mut nodes = record.nodes.iter();
    let is_node_here = id.org == me.org
        && nodes.any(|(name, node)| id.name == GatewayName::of_node(name) && node.site == *site);

    record.gateways.contains_key(id) || is_node_here
}

fn digest(record: &Record) -> Digest {
    Digest::of(format!("{} {}", record.org, record.version).as_bytes())
}
