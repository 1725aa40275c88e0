//! Configurations at random: two other organizations of two sites each, and our rules.

use std::path::Path;
use std::sync::LazyLock;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use ringway_config::{
    Allow, AllowEgress, Config, Digest, DnsName, Egress, Gateway, Member, NodeTarget, OrgId,
    Origin, Place, PlacedPrefix, Policy, PortRange, Prefix, Revoked, Root, Service, Site, Survey,
    Target, Transit, Via,
};

/// This site, and the addresses of its only name.
const OWN: &str = "10.1.0.0/16";
pub(crate) const NAMED: &str = "10.1.0.11";

/// Organizations beside ours, the sites of each, and the gateways that may serve them.
pub(crate) const ORGS: [&str; 2] = ["beta", "gamma"];
const SITES: [&str; 2] = ["east", "west"];
pub(crate) const GATEWAYS: [&str; 3] = ["gw0", "gw1", "gw2"];

pub(crate) static BASE: LazyLock<Config> = LazyLock::new(|| {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/gateway.toml");
    Config::load(&example).unwrap()
});

pub(crate) fn place() -> Place {
    Place::whole(Path::new("x"))
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(crate) fn name() -> DnsName {
    "peer0.acme.consortium.example".parse().unwrap()
}

/// Two prefixes that overlap, and one apart, for each site.
fn any_prefixes(org: usize, site: usize) -> impl Strategy<Value = Vec<PlacedPrefix>> {
    let base = 2 + org * 2 + site;
    let all = vec![
        format!("10.{base}.0.0/16"),
        format!("10.{base}.4.0/24"),
        format!("fd00:{base}::/48"),
    ];
    subsequence(all, 0..=3).prop_map(|texts| {
        let placed = texts.iter().map(|text| PlacedPrefix {
            prefix: prefix(text),
            place: place(),
        });
        placed.collect()
    })
}

fn any_site(org: usize, site: usize) -> impl Strategy<Value = Site> {
    any_prefixes(org, site).prop_map(move |prefixes| Site {
        via: None,
        name: SITES[site].parse().unwrap(),
        prefixes,
    })
}

/// West may be served via east, its own or the other organization's.
fn any_via(org: usize) -> impl Strategy<Value = Option<Via>> {
    let other = ORGS[1 - org].parse().unwrap();

    select(vec![None, Some(None), Some(Some(other))]).prop_map(|via| {
        via.map(|org| Via {
            org,
            site: "east".parse().unwrap(),
            place: place(),
        })
    })
}

/// Consent for the other organization's west.
fn any_transit(org: usize) -> impl Strategy<Value = Vec<Transit>> {
    let transit = Transit {
        org: ORGS[1 - org].parse().unwrap(),
        site: "west".parse().unwrap(),
        place: place(),
    };

    subsequence(vec![transit], 0..=1)
}

fn any_gateways() -> impl Strategy<Value = Vec<Gateway>> {
    subsequence(GATEWAYS.to_vec(), 0..=3).prop_flat_map(|names| {
        let sites = vec(select(SITES.to_vec()), names.len());
        sites.prop_map(move |sites| {
            let gateways = names.iter().zip(sites).map(|(name, site)| Gateway {
                name: name.parse().unwrap(),
                site: site.parse().unwrap(),
                endpoints: Vec::new(),
            });
            gateways.collect()
        })
    })
}

pub(crate) fn any_record(org: usize) -> impl Strategy<Value = Member> {
    let revoked = btree_set(select(GATEWAYS.to_vec()), 0..=2);
    let roots = subsequence(vec!["one", "two"], 1..=2);
    let sites = (any_site(org, 0), any_site(org, 1), any_via(org));
    let gateways = (any_gateways(), any_transit(org));
    (sites, gateways, revoked, roots, 1..3u64).prop_map(
        move |((east, west, via), (mut gateways, transit), revoked, roots, serial)| Member {
            org: ORGS[org].parse().unwrap(),
            domain: BASE.own.domain.clone(),
            serial,
            roots: roots
                .iter()
                .map(|pem| Root {
                    pem: (*pem).to_owned(),
                    place: place(),
                })
                .collect(),
            gateways: {
                gateways.retain(|gateway| via.is_none() || gateway.site != west.name);
                gateways
            },
            transit,
            sites: vec![east, Site { via, ..west }],
            revoked: Revoked {
                gateways: revoked.iter().map(|name| name.parse().unwrap()).collect(),
                keys: revoked
                    .iter()
                    .map(|name| Digest::of(name.as_bytes()))
                    .collect(),
            },
            digest: Digest::of(ORGS[org].as_bytes()),
            place: place(),
        },
    )
}

fn any_origin() -> impl Strategy<Value = Origin> {
    let org = || select(ORGS.to_vec()).prop_map(|org| org.parse::<OrgId>().unwrap());
    prop_oneof![
        Just(Origin::All),
        org().prop_map(Origin::Org),
        (org(), select(SITES.to_vec()))
            .prop_map(|(org, site)| Origin::Site(org, site.parse().unwrap())),
        select(vec![
            "10.2.0.0/15",
            "10.2.4.0/24",
            "10.2.4.7/32",
            "10.4.0.0/16",
            "fd00:2::/48"
        ])
        .prop_map(|text| Origin::Prefix(prefix(text))),
    ]
}

fn any_target() -> impl Strategy<Value = Target> {
    prop_oneof![
        Just(Target::Name(name())),
        select(vec![OWN, "10.1.0.0/24", "10.1.0.11/32", "10.1.9.0/24"])
            .prop_map(|text| Target::Prefix(prefix(text))),
        // The same node, with other prefixes on each side.
        select(vec!["10.1.0.8/30", "10.1.0.11/32", "10.1.77.0/24"]).prop_map(node),
    ]
}

fn node(text: &str) -> Target {
    Target::Node(NodeTarget {
        org: "acme".parse().unwrap(),
        node: "db1".parse().unwrap(),
        prefixes: vec![prefix("10.1.9.0/25"), prefix(text)],
    })
}

fn any_service() -> impl Strategy<Value = Service> {
    let ports = || {
        select(vec![
            vec![],
            vec![PortRange { first: 1, last: 5 }],
            vec![PortRange::one(3), PortRange { first: 7, last: 9 }],
        ])
    };
    prop_oneof![
        ports().prop_map(Service::Tcp),
        ports().prop_map(Service::Udp),
        Just(Service::Icmp),
        select(vec![47, 50]).prop_map(Service::Protocol),
    ]
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let allow = (
        vec(any_origin(), 1..3),
        vec(any_target(), 1..3),
        vec(any_service(), 1..3),
    )
        .prop_map(|(from, to, services)| Allow {
            from,
            to,
            services,
            place: place(),
        });
    let egress = (
        vec(any_target(), 1..3),
        vec(any_origin(), 1..3),
        vec(any_service(), 1..3),
    )
        .prop_map(|(from, to, services)| AllowEgress {
            from,
            to,
            services,
            place: place(),
        });
    let mode = select(vec![Egress::All, Egress::Named, Egress::None]);
    (
        prop::option::weighted(0.8, vec(allow, 0..4)),
        mode,
        vec(egress, 0..3),
    )
        .prop_map(|(allow, egress, allow_egress)| Policy {
            allow,
            egress,
            allow_egress,
            ..Policy::default()
        })
}

pub(crate) fn any_config() -> impl Strategy<Value = Config> {
    let one = prop::option::weighted(0.8, any_record(0));
    let two = prop::option::weighted(0.8, any_record(1));
    (one, two, any_policy()).prop_map(|(one, two, policy)| {
        let mut config = BASE.clone();
        config.members = one.into_iter().chain(two).collect();
        config.own.sites.retain(|site| site.name == config.site);
        config.own.sites[0].prefixes.truncate(1);
        config.policy = policy;
        config
    })
}

/// Everything that the files say.
pub(crate) fn whole(config: &Config) -> Survey {
    Survey {
        records: config.records().cloned().collect(),
        is_listed: true,
        policy: Some(config.policy.clone()),
        ..Survey::default()
    }
}
