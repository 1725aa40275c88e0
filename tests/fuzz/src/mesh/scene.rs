//! The consortium of the mesh target: our gateway `gw.m` at site `home`, and who its peers are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ringway_config::{Digest, GatewayId, GatewayName, OrgId, Prefix, SiteId};
use ringway_core::message::SIBLINGS;
use ringway_core::{GatewayInfo, Membership, Settings};

/// Gateways that connect. The last is of an unknown organization; `gw2.m` serves our own site.
pub(super) const PEERS: [&str; 5] = ["gw.a", "gw.z", "gw2.m", "gw.b", "gw.stranger"];

/// Prefixes that are claimed: of each site, inside of one, across two, ours, and in conflict.
const PREFIXES: [&str; 8] = [
    "10.2.0.0/16",
    "10.2.4.0/24",
    "10.3.0.0/16",
    "10.2.0.0/15",
    "10.1.7.0/24",
    "0.0.0.0/0",
    "fd00:3::/48",
    "10.9.0.0/16",
];

pub(super) fn id(text: &str) -> GatewayId {
    text.parse().expect("a gateway")
}

pub(super) fn org(number: u8) -> OrgId {
    id(PEERS[usize::from(number) % PEERS.len()]).org
}

/// A gateway's name, ours among them.
pub(super) fn name(number: u8) -> GatewayName {
    let names = [PEERS[0], PEERS[2], "gw9.m"];
    id(names[usize::from(number) % names.len()]).name
}

/// The claimed prefixes whose bits are set.
pub(super) fn prefixes(bits: u8) -> BTreeSet<Prefix> {
    let chosen = PREFIXES
        .iter()
        .enumerate()
        .filter(|(bit, _)| bits >> bit & 1 == 1);
    chosen.map(|(_, text)| prefix(text)).collect()
}

/// Times that let a short sequence reach a session's end.
pub(super) fn settings() -> Settings {
    Settings {
        rekey_after: Duration::from_secs(20),
        max_age: Duration::from_secs(30),
        drain: Duration::from_secs(2),
        features: SIBLINGS,
        ..Settings::default()
    }
}

/// The consortium. The bits of `change` take a gateway away, an endpoint, an authorization, or our
/// prefix.
pub(super) fn membership(change: u8) -> Membership {
    let mut gateways = BTreeMap::from([
        gateway("gw.a", "east", &["203.0.113.5:4600"]),
        gateway("gw.z", "west", &["203.0.113.6:4600", "203.0.113.7:4600"]),
        gateway("gw2.m", "home", &["203.0.113.8:4600"]),
        gateway("gw.b", "east", &[]),
    ]);
    let mut authorized = BTreeMap::from([
        site("m", "home", "10.1.0.0/16"),
        site("a", "east", "10.2.0.0/16"),
        site("b", "east", "10.3.0.0/16"),
        site("z", "west", "fd00:3::/48"),
    ]);
    let mut records = BTreeMap::new();
    for org in ["a", "b", "m", "z"] {
        records.insert(
            org.parse().expect("an organization"),
            Digest([change & 1; 32]).into(),
        );
    }

    if change & 2 != 0 {
        gateways.remove(&id("gw.a"));
    }
    if change & 4 != 0 {
        gateways.extend([gateway("gw.z", "west", &["203.0.113.9:4600"])]);
    }
    if change & 8 != 0 {
        authorized.extend([site("a", "east", "10.2.4.0/24")]);
    }
    if change & 16 != 0 {
        authorized.extend([site("m", "home", "10.8.0.0/16")]);
    }
    if change & 32 != 0 {
        gateways.extend([gateway("gw.b", "north", &["203.0.113.10:4600"])]);
    }

    Membership {
        me: id("gw.m"),
        site: "home".parse().expect("a site"),
        is_dialable: true,
        gateways,
        authorized,
        passing: [].into(),
        conflicted: vec![prefix("10.9.0.0/16")],
        records,
    }
}

fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

fn gateway(name: &str, site: &str, endpoints: &[&str]) -> (GatewayId, GatewayInfo) {
    let endpoints = endpoints
        .iter()
        .map(|text| text.parse().expect("an endpoint"));
    let info = GatewayInfo {
        site: site.parse().expect("a site"),
        endpoints: endpoints.collect(),
    };
    (id(name), info)
}

fn site(org: &str, site: &str, range: &str) -> ((OrgId, SiteId), Vec<Prefix>) {
    let site = (
        org.parse().expect("an organization"),
        site.parse().expect("a site"),
    );
    (site, vec![prefix(range)])
}
