//! The meet never grants what either side does not, and takes nothing that both grant and it can
//! say.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::LazyLock;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree as _;
use ringway_config::{
    Allow, AllowEgress, Config, Digest, DnsName, Egress, Gateway, Member, NodeTarget, OrgId,
    Origin, Place, PlacedPrefix, Policy, PortRange, Prefix, Revoked, Root, Service, Site, SiteId,
    Survey, Target, Transit, Via, meet, taken,
};

/// This site, and the addresses of its only name.
const OWN: &str = "10.1.0.0/16";
const NAMED: &str = "10.1.0.11";

/// Organizations beside ours, the sites of each, and the gateways that may serve them.
const ORGS: [&str; 2] = ["beta", "gamma"];
const SITES: [&str; 2] = ["east", "west"];
const GATEWAYS: [&str; 3] = ["gw0", "gw1", "gw2"];

static BASE: LazyLock<Config> = LazyLock::new(|| {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/gateway.toml");
    Config::load(&example).unwrap()
});

fn place() -> Place {
    Place::whole(Path::new("x"))
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn name() -> DnsName {
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

fn any_record(org: usize) -> impl Strategy<Value = Member> {
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

fn any_config() -> impl Strategy<Value = Config> {
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
fn whole(config: &Config) -> Survey {
    Survey {
        records: config.records().cloned().collect(),
        is_listed: true,
        policy: Some(config.policy.clone()),
        ..Survey::default()
    }
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn remotes() -> Vec<IpAddr> {
    addresses(&[
        "10.2.0.1",
        "10.2.4.7",
        "10.2.4.8",
        "10.3.4.1",
        "10.3.0.1",
        "10.4.0.1",
        "10.4.4.1",
        "10.5.0.1",
        "fd00:2::1",
        "fd00:4::1",
    ])
}

fn locals() -> Vec<IpAddr> {
    addresses(&["10.1.0.11", "10.1.0.12", "10.1.9.1", "10.1.77.7"])
}

fn wanted() -> Vec<Service> {
    let mut wanted = vec![Service::Icmp, Service::Protocol(47), Service::Protocol(50)];
    for port in [1, 3, 4, 7, 9, 4000] {
        wanted.push(Service::Tcp(vec![PortRange::one(port)]));
        wanted.push(Service::Udp(vec![PortRange::one(port)]));
    }
    wanted
}

/// The members and their sites that have the address, and whether gateways of theirs serve it.
fn holders(config: &Config, address: IpAddr) -> Vec<(&Member, &Site, bool)> {
    let mut holders = Vec::new();
    for member in &config.members {
        for site in &member.sites {
            if site
                .prefixes
                .iter()
                .any(|placed| placed.prefix.contains(address))
            {
                let is_served = server(config, member, site).is_some_and(|(server, at)| {
                    let mut gateways = server.gateways.iter();
                    server.org == member.org && gateways.any(|gateway| gateway.site == *at)
                });
                holders.push((member, site, is_served));
            }
        }
    }
    holders
}

/// The reference: whose gateways serve a site.
fn server<'a>(
    config: &'a Config,
    member: &'a Member,
    site: &'a Site,
) -> Option<(&'a Member, &'a SiteId)> {
    let Some(via) = &site.via else {
        return Some((member, &site.name));
    };
    let Some(org) = &via.org else {
        return Some((member, &via.site));
    };

    let server = config.members.iter().find(|known| known.org == *org)?;
    let consents = server
        .transit
        .iter()
        .any(|transit| transit.org == member.org && transit.site == site.name);
    consents.then_some((server, &via.site))
}

fn is_from(config: &Config, origin: &Origin, address: IpAddr) -> bool {
    holders(config, address)
        .iter()
        .any(|(member, site, is_served)| match origin {
            Origin::All => true,
            Origin::Org(org) => member.org == *org && *is_served,
            Origin::Site(org, name) => member.org == *org && site.name == *name,
            Origin::Prefix(prefix) => prefix.contains(address),
        })
}

fn is_target(target: &Target, address: IpAddr) -> bool {
    match target {
        Target::Prefix(_) | Target::Node(_) => {
            target.prefixes().iter().any(|it| it.contains(address))
        }
        Target::Name(_) => address == NAMED.parse::<IpAddr>().unwrap(),
    }
}

fn is_served(service: &Service, wanted: &Service) -> bool {
    let has = |ports: &[PortRange], wanted: &[PortRange]| {
        ports.is_empty() || ports.iter().any(|range| range.contains(wanted[0].first))
    };
    match (service, wanted) {
        (Service::Tcp(ports), Service::Tcp(wanted)) => has(ports, wanted),
        (Service::Udp(ports), Service::Udp(wanted)) => has(ports, wanted),
        (service, wanted) => service == wanted,
    }
}

/// The reference: what may be opened here.
fn admits(config: &Config, from: IpAddr, to: IpAddr, wanted: &Service) -> bool {
    match &config.policy.allow {
        None => *wanted == Service::Icmp && !holders(config, from).is_empty(),
        Some(rules) => rules.iter().any(|rule| {
            rule.from.iter().any(|origin| is_from(config, origin, from))
                && rule.to.iter().any(|target| is_target(target, to))
                && rule
                    .services
                    .iter()
                    .any(|service| is_served(service, wanted))
        }),
    }
}

/// The reference: what our hosts may open.
fn releases(config: &Config, from: IpAddr, to: IpAddr, wanted: &Service) -> bool {
    let by_mode = match config.policy.egress {
        Egress::All => true,
        Egress::Named => from == NAMED.parse::<IpAddr>().unwrap(),
        Egress::None => false,
    };
    let by_rule = config.policy.allow_egress.iter().any(|rule| {
        rule.from.iter().any(|target| is_target(target, from))
            && rule.to.iter().any(|origin| is_from(config, origin, to))
            && rule
                .services
                .iter()
                .any(|service| is_served(service, wanted))
    });
    !holders(config, to).is_empty() && (by_mode || by_rule)
}

/// Everything that a configuration grants, as a set.
fn grants(config: &Config) -> BTreeSet<String> {
    let mut grants = BTreeSet::new();
    for member in &config.members {
        for gateway in &member.gateways {
            if !member.revoked.gateways.contains(&gateway.name) {
                grants.insert(format!(
                    "{}.{} at {}",
                    gateway.name, member.org, gateway.site
                ));
            }
        }
        for key in GATEWAYS.map(|name| Digest::of(name.as_bytes())) {
            if !member.revoked.keys.contains(&key) {
                grants.insert(format!("{} key {key}", member.org));
            }
        }
        for site in &member.sites {
            grants.extend(serving(config, member, site));
            for address in remotes() {
                if site
                    .prefixes
                    .iter()
                    .any(|placed| placed.prefix.contains(address))
                {
                    grants.insert(format!("{} {} has {address}", member.org, site.name));
                }
            }
        }
    }
    for remote in remotes() {
        for local in locals() {
            for wanted in wanted() {
                if admits(config, remote, local, &wanted) {
                    grants.insert(format!("{remote} to {local} {wanted}"));
                }
                if releases(config, local, remote, &wanted) {
                    grants.insert(format!("{local} to {remote} {wanted}"));
                }
            }
        }
    }
    grants
}

/// The gateways that may serve a site.
fn serving(config: &Config, member: &Member, site: &Site) -> Vec<String> {
    let Some((server, at)) = server(config, member, site) else {
        return Vec::new();
    };
    let gateways = server
        .gateways
        .iter()
        .filter(|gateway| gateway.site == *at && !server.revoked.gateways.contains(&gateway.name));
    let all: Vec<String> = gateways
        .map(|gateway| {
            let id = format!("{}.{}", gateway.name, server.org);
            format!("{id} serves {}/{}", member.org, site.name)
        })
        .collect();

    // The code under test says the same.
    let found = config.server(member, site).ok();
    assert!(
        all.is_empty() || found == Some((&server.org, at)),
        "{all:?}"
    );
    assert!(found.is_none() || found == Some((&server.org, at)));
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_meet_grants_nothing_that_either_side_does_not(
        current in any_config(), mut next in any_config()
    ) {
        // An older record takes only by its revocations.
        for record in &mut next.members {
            record.serial += 2;
        }
        let met = meet(&current, &whole(&next));
        let (ours, theirs, both) = (grants(&current), grants(&next), grants(&met));
        for granted in &both {
            prop_assert!(ours.contains(granted), "not in force: {granted}");
            prop_assert!(theirs.contains(granted), "not in the files: {granted}");
        }
    }

    #[test]
    fn the_meet_with_itself_and_twice_changes_nothing(
        current in any_config(), next in any_config()
    ) {
        prop_assert_eq!(&meet(&current, &whole(&current)), &current);
        prop_assert!(taken(&current, &current).is_empty());

        let once = meet(&current, &whole(&next));
        let twice = meet(&once, &whole(&next));
        prop_assert_eq!(grants(&once), grants(&twice));
        prop_assert_eq!(&once.members, &twice.members);
        // What was taken away is taken once.
        prop_assert!(taken(&once, &twice).iter().all(|line| line.starts_with("the rules")));
    }

    #[test]
    fn files_that_cannot_be_read_take_nothing(current in any_config()) {
        prop_assert_eq!(&meet(&current, &Survey::default()), &current);
        let unread = Survey {
            unread: ORGS.iter().map(|org| (*org).to_owned()).collect(),
            is_listed: true,
            ..Survey::default()
        };
        prop_assert_eq!(&meet(&current, &unread), &current);
    }
}

#[test]
fn an_older_record_takes_only_by_its_revocations() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut newer = any_record(0).new_tree(&mut runner).unwrap().current();
    newer.serial = 5;
    newer.gateways = vec![Gateway {
        name: "gw0".parse().unwrap(),
        site: "east".parse().unwrap(),
        endpoints: Vec::new(),
    }];
    let mut older = newer.clone();
    older.serial = 4;
    older.gateways.clear();
    older.revoked.gateways.insert("gw1".parse().unwrap());

    let mut current = BASE.clone();
    current.members = vec![newer.clone()];
    let mut files = whole(&current);
    files.records = vec![older];
    let met = meet(&current, &files);
    assert_eq!(met.members[0].gateways, newer.gateways);
    assert!(
        met.members[0]
            .revoked
            .gateways
            .contains(&"gw1".parse().unwrap())
    );
}

#[test]
fn a_consent_that_is_withdrawn_takes_the_site_from_its_gateways() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let [mut beta, mut gamma] =
        [0, 1].map(|org| any_record(org).new_tree(&mut runner).unwrap().current());
    for record in [&mut beta, &mut gamma] {
        record.serial = 1;
        for site in &mut record.sites {
            site.via = None;
        }
        record.gateways = vec![Gateway {
            name: "gw0".parse().unwrap(),
            site: "east".parse().unwrap(),
            endpoints: Vec::new(),
        }];
        record.roots = BASE.own.roots.clone();
    }
    beta.sites[1].via = Some(Via {
        org: Some("gamma".parse().unwrap()),
        site: "east".parse().unwrap(),
        place: place(),
    });
    gamma.transit = vec![Transit {
        org: "beta".parse().unwrap(),
        site: "west".parse().unwrap(),
        place: place(),
    }];
    let mut current = BASE.clone();
    current.members = vec![beta, gamma];
    let (org, site) = ("beta".parse().unwrap(), "west".parse().unwrap());
    assert!(current.server_of(&org, &site).is_some());

    let mut files = whole(&current);
    let gamma = files.records.last_mut().unwrap();
    gamma.serial += 1;
    gamma.transit.clear();
    let met = meet(&current, &files);
    assert_eq!(met.server_of(&org, &site), None);
    assert_eq!(taken(&current, &met), ["gamma: no transit for beta/west"]);
}

#[test]
fn our_own_site_and_gateway_stay_whatever_the_files_say() {
    let current = BASE.clone();
    let mut files = whole(&current);
    for record in &mut files.records {
        record.gateways.clear();
        record.sites.clear();
        record.roots.clear();
    }
    let met = meet(&current, &files);
    assert_eq!(met.own_prefixes(), current.own_prefixes());
    assert!(met.own.gateway(&current.id.name).is_some());
    assert!(met.own.gateways.len() == 1 && met.members[0].gateways.is_empty());
    let taken = taken(&current, &met);
    assert!(
        taken.iter().any(|line| line.starts_with("beta: no ")),
        "{taken:?}"
    );
}
