//! The routes and the filter that follow from any verdicts, against a model that looks at one
//! prefix at a time.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use ringway_config::{
    Config, Connected, CrlPolicy, Digest, Dns, Faults, Gateway, Identity, Member, Place,
    PlacedPrefix, Policy, Prefix, Revoked, Routes, Site, Tunnel, rule,
};
use ringway_intent::{
    Address, GuardSpec, HostRoute, Links, RouteState, Situation, Tunnelled, far_virtual_addresses,
    guard, held, plan_routes,
};

fn place() -> Place {
    Place::whole(Path::new("member.toml"))
}

fn member(org: &str, prefixes: &[Prefix]) -> Member {
    let prefixes = prefixes.iter().map(|prefix| PlacedPrefix {
        prefix: *prefix,
        place: place(),
    });

    Member {
        serial: 1,
        org: org.parse().unwrap(),
        domain: "consortium.example".parse().unwrap(),
        roots: Vec::new(),
        sites: vec![Site {
            name: "site".parse().unwrap(),
            prefixes: prefixes.collect(),
            via: None,
        }],
        gateways: Vec::new(),
        transit: Vec::new(),
        revoked: Revoked::default(),
        digest: Digest::of(org.as_bytes()),
        place: place(),
    }
}

/// This site has `own`; two other organizations have the rest.
fn config(own: &[Prefix], beta: &[Prefix], gamma: &[Prefix]) -> Config {
    Config {
        path: "gateway.toml".into(),
        id: "gw.alpha".parse().unwrap(),
        site: "site".parse().unwrap(),
        listen: "[::]:4600".parse().unwrap(),
        identity: Identity {
            certificate: "gateway.crt".into(),
            key: "gateway.key".into(),
        },
        own: member("alpha", own),
        members: vec![member("beta", beta), member("gamma", gamma)],
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
            mark: 1,
        },
        reserved: Vec::new(),
        announce: Vec::new(),
        dns: Dns {
            listen: Vec::new(),
            ttl: 5,
            records: Vec::new(),
            checks: Vec::new(),
            zone_files: Vec::new(),
            foreign_addresses: false,
            public_listen: false,
            hold: Duration::from_secs(86_400),
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
        nodes: Default::default(),
        attach: None,
        places: Default::default(),
        notes: Faults::default(),
    }
}

/// Few ranges of few lengths, so that many overlap.
fn prefixes() -> impl Strategy<Value = Vec<Prefix>> {
    let prefix = (0u8..4, 0u8..4, prop_oneof![Just(16u8), Just(20), Just(24)]).prop_map(
        |(second, third, len)| {
            let address = format!("10.{second}.{}.0", third * 64).parse().unwrap();
            Prefix::holding(address, len).unwrap()
        },
    );

    prop::collection::vec(prefix, 0..5)
}

/// True if the host needs `prefix` for itself.
fn is_local(prefix: &Prefix, own: &[Prefix], connected: &[Connected]) -> bool {
    own.iter().any(|own| own.overlaps(prefix))
        || connected
            .iter()
            .any(|network| network.prefix.overlaps(prefix))
}

fn our_gateway(name: &str, site: &str, endpoints: &[&str]) -> Gateway {
    Gateway {
        name: name.parse().unwrap(),
        site: site.parse().unwrap(),
        endpoints: endpoints.iter().map(|text| text.parse().unwrap()).collect(),
    }
}

fn guard_of(config: &Config, links: &Links) -> GuardSpec {
    let rulings = rule(config, &[], &Default::default());

    guard(&Situation {
        config,
        rulings: &rulings,
        connected: &[],
        links,
        held: &BTreeSet::new(),
    })
}

fn a_site() -> Config {
    config(
        &["10.1.0.0/16".parse().unwrap()],
        &["10.2.0.0/16".parse().unwrap()],
        &[],
    )
}

#[test]
fn siblings_are_the_other_gateways_of_this_site_that_are_not_revoked() {
    let mut config = a_site();
    let has_siblings = |config: &Config| guard_of(config, &Links::default()).has_siblings;
    config.own.gateways = vec![our_gateway("gw", "site", &[])];
    assert!(!has_siblings(&config), "only this one");
    config
        .own
        .gateways
        .push(our_gateway("gw2", "elsewhere", &[]));
    assert!(!has_siblings(&config), "of another site");
    config.own.gateways.push(our_gateway("gw3", "site", &[]));
    assert!(has_siblings(&config));
    config.own.revoked.gateways.insert("gw3".parse().unwrap());
    assert!(!has_siblings(&config), "revoked");
}

#[test]
fn this_gateway_is_dialled_if_its_own_record_has_endpoints() {
    let mut config = a_site();
    config.own.gateways = vec![
        our_gateway("gw", "site", &[]),
        our_gateway("gw2", "site", &["203.0.113.2:4600"]),
    ];
    assert!(!guard_of(&config, &Links::default()).is_dialled);
    config.own.gateways[0] = our_gateway("gw", "site", &["203.0.113.1:4600"]);
    assert!(guard_of(&config, &Links::default()).is_dialled);
}

#[test]
fn arrivals_are_marked_where_an_endpoint_lies_inside_a_members_prefix() {
    let mut config = a_site();
    let mut marks = |endpoint: &str| {
        config.members[0].gateways = vec![our_gateway("gw", "site", &[endpoint])];
        guard_of(&config, &Links::default()).marks_arrivals
    };
    assert!(!marks("203.0.113.2:4600"));
    assert!(!marks("gw.beta.example:4600"));
    assert!(marks("10.2.0.2:4600"));
}

#[test]
fn a_virtual_address_needs_another_address_of_its_interface_in_its_network() {
    let mut config = a_site();
    config.ha.interface = "lan0".into();
    config.ha.addresses = vec!["10.1.0.250/24".parse().unwrap()];
    let address = |own: &str, network: &str, interface: &str| Address {
        interface: interface.into(),
        own: own.parse().unwrap(),
        network: network.parse().unwrap(),
        preferred: true,
    };
    let held = address("10.1.0.250", "10.1.0.250/32", "lan0");
    let found = |addresses: Vec<Address>| {
        let links = Links::from_addresses(addresses);
        let found = far_virtual_addresses(&config, &links);
        found.into_iter().map(|finding| finding.what).next()
    };

    let near = address("10.1.0.1", "10.1.0.0/24", "lan0");
    assert_eq!(found(vec![near.clone(), held.clone()]), None);
    let far = found(vec![held.clone()]).unwrap();
    assert!(
        far.contains("no address of its own in 10.1.0.0/24"),
        "{far}"
    );
    let elsewhere = address("10.1.0.1", "10.1.0.0/24", "wan0");
    assert!(found(vec![held, elsewhere.clone()]).is_some());
    // The interface is missing or has no carrier, which is reported as that.
    assert_eq!(found(vec![elsewhere]), None);
}

/// One of the configurations that the crate of the files is tested with.
fn case(name: &str) -> Config {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/tests/cases");
    Config::load(&cases.join(name).join("gateway.toml")).unwrap()
}

fn texts<'a>(prefixes: impl IntoIterator<Item = &'a Prefix>) -> Vec<String> {
    prefixes.into_iter().map(Prefix::to_string).collect()
}

#[test]
fn what_is_served_via_this_site_lies_behind_this_host() {
    let config = case("via");
    let rulings = rule(&config, &[], &BTreeSet::new());
    let links = Links::default();
    let held = held(&config, &rulings, &BTreeSet::new());
    let situation = Situation {
        config: &config,
        rulings: &rulings,
        connected: &[],
        links: &links,
        held: &held,
    };

    let spec = guard(&situation);
    assert_eq!(
        texts(&spec.own),
        ["10.1.0.0/16", "10.9.0.0/16", "10.12.0.0/16"]
    );
    assert_eq!(
        texts(&spec.inside),
        ["10.1.0.0/16", "10.9.0.0/16"],
        "another organization's hosts reach ours by no way of this daemon's"
    );
    assert_eq!(
        texts(&spec.members),
        ["10.2.0.0/16", "10.10.0.0/16", "10.13.0.0/16"]
    );
    let plan = plan_routes(&situation, &Tunnelled::new());
    for prefix in &spec.own {
        assert_eq!(plan[prefix], RouteState::Site, "{prefix}");
    }
}

#[test]
fn what_nobody_serves_stays_a_members_and_unreachable() {
    let config = case("via-refused");
    let rulings = rule(&config, &[], &BTreeSet::new());
    let links = Links::default();
    let situation = Situation {
        config: &config,
        rulings: &rulings,
        connected: &[],
        links: &links,
        held: &BTreeSet::new(),
    };

    assert_eq!(texts(&guard(&situation).own), ["10.1.0.0/16"]);
    let plan = plan_routes(&situation, &Tunnelled::new());
    for refused in ["10.31.0.0/16", "10.33.0.0/16", "10.35.0.0/16"] {
        assert_eq!(plan[&refused.parse().unwrap()], RouteState::Unreachable);
    }
}

#[test]
fn a_removed_members_prefix_is_held_until_somebody_else_has_all_of_it() {
    let [whole, half, other] =
        ["10.3.0.0/16", "10.3.0.0/17", "10.4.0.0/16"].map(|text| text.parse::<Prefix>().unwrap());
    let before = BTreeSet::from([whole]);
    let held_beside = |beta: Prefix| {
        let config = config(&["10.1.0.0/16".parse().unwrap()], &[beta], &[]);
        held(&config, &rule(&config, &[], &Default::default()), &before)
    };
    assert_eq!(held_beside(other), [whole, other].into());
    assert_eq!(held_beside(half), [whole, half].into());
    assert_eq!(held_beside(whole), [whole].into());

    let taken_over_by_us = config(&[whole], &[], &[]);
    let rulings = rule(&taken_over_by_us, &[], &Default::default());
    assert_eq!(held(&taken_over_by_us, &rulings, &before), [].into());
}

proptest! {
    #[test]
    fn no_private_prefix_is_ever_without_a_route_and_no_local_one_has_any(
        own in prefixes(),
        beta in prefixes(),
        gamma in prefixes(),
        networks in prefixes(),
        removed in prefixes(),
        up in prop::collection::vec(any::<bool>(), 16),
    ) {
        let config = config(&own, &beta, &gamma);
        let connected: Vec<Connected> = networks
            .iter()
            .map(|prefix| Connected { prefix: *prefix, interface: "eth0".into() })
            .collect();
        let rulings = rule(&config, &connected, &Default::default());
        // As the mesh does: only available prefixes of other sites have sessions.
        let tunnelled: Tunnelled = rulings
            .iter()
            .zip(up)
            .filter(|(ruling, up)| *up && ruling.is_available() && ruling.org != config.id.org)
            .map(|(ruling, _)| (ruling.prefix, Some(1280)))
            .collect();

        let is_available = |prefix: &Prefix| {
            let mut rulings = rulings.iter();
            rulings.any(|ruling| ruling.prefix == *prefix && ruling.is_available())
        };
        let removed: BTreeSet<Prefix> = removed.into_iter().collect();
        let held = held(&config, &rulings, &removed);
        let situation = Situation {
            config: &config,
            rulings: &rulings,
            connected: &connected,
            links: &Links::default(),
            held: &held,
        };
        let plan = plan_routes(&situation, &tunnelled);
        let spec = guard(&situation);

        for prefix in beta.iter().chain(&gamma) {
            let state = plan.get(prefix);
            if is_local(prefix, &own, &connected) {
                let as_own = own.contains(prefix).then_some(&RouteState::Site);
                prop_assert_eq!(state, as_own, "{}", prefix);
            } else if tunnelled.contains_key(prefix) {
                prop_assert!(matches!(state, Some(RouteState::Tunnel { .. })), "{}", prefix);
            } else if is_available(prefix) {
                prop_assert!(matches!(state, Some(RouteState::Down { .. })), "{}", prefix);
            } else {
                prop_assert_eq!(state, Some(&RouteState::Unreachable), "{}", prefix);
            }
        }
        for prefix in removed.iter().filter(|prefix| !is_local(prefix, &own, &connected)) {
            let is_owned = rulings.iter().any(|ruling| ruling.prefix.covers(prefix));
            prop_assert!(is_owned || plan.contains_key(prefix), "{} was a member's", prefix);
        }
        for prefix in &own {
            prop_assert_eq!(plan.get(prefix), Some(&RouteState::Site), "{}", prefix);
        }
        for prefix in plan.keys() {
            let is_anybodys = [&beta, &gamma, &own].iter().any(|list| list.contains(prefix))
                || removed.contains(prefix);
            prop_assert!(is_anybodys, "{}", prefix);
            // What has a route of ours is guarded, and nothing of this host's is.
            prop_assert_eq!(spec.members.contains(prefix), plan[prefix] != RouteState::Site);
        }
        prop_assert!(spec.members.iter().all(|prefix| plan.contains_key(prefix)));
    }

    #[test]
    fn the_sites_interfaces_are_those_with_a_way_to_it(
        own in prefixes(),
        routes in prop::collection::vec((prefixes(), 0u8..4), 0..6),
    ) {
        let routes: Vec<HostRoute> = routes
            .iter()
            .flat_map(|(prefixes, number)| prefixes.iter().map(move |prefix| HostRoute {
                prefix: *prefix,
                interface: format!("eth{number}"),
                gateway: None,
                is_live: true,
            }))
            .collect();
        let site = Links::default()
            .with_routes(routes.iter().cloned())
            .site_interfaces(&own);

        for number in 0..4 {
            let name = format!("eth{number}");
            let leads = routes
                .iter()
                .filter(|route| route.interface == name)
                .any(|route| own.iter().any(|own| own.overlaps(&route.prefix)));
            prop_assert_eq!(site.contains(&name), leads);
        }
    }
}
