//! Sites that the gateways of another one serve: gamma's data centre (3), and beta's own (4), both
//! via beta's east.

use super::*;
use crate::packet::tcp_flags::{ACK, SYN};

const IDC: u32 = 3;
const OWN_IDC: u32 = 4;

fn spec_with_via(from: Origin) -> RulesSpec {
    let mut rule = allow(tcp_ports(7051, 7051));
    rule.from = vec![from];
    let mut spec = spec(Some(vec![rule]));

    for (number, org, v4, v6) in [
        (IDC, "gamma", "10.9.0.0/16", "fd09::/32"),
        (OWN_IDC, "beta", "10.8.0.0/16", "fd08::/32"),
    ] {
        spec.sites.push(RemoteSite {
            number,
            org: org.parse().unwrap(),
            site: "idc".parse().unwrap(),
            prefixes: vec![prefix(v4), prefix(v6)],
            has_gateways: org == "beta",
            via: Some(BETA),
        });
    }
    spec
}

fn org(name: &str) -> Origin {
    Origin::Org(name.parse().unwrap())
}

fn syn(from: &str) -> Vec<u8> {
    between(from, "10.1.0.9").tcp(40000, 7051, SYN, 0)
}

#[test]
fn the_rules_that_count_are_those_for_the_site_of_the_source() {
    let named = Origin::Site("gamma".parse().unwrap(), "idc".parse().unwrap());
    for (rule, passing) in [
        (org("beta"), &["10.2.0.9", "10.8.0.9"][..]),
        (org("gamma"), &[]),
        (named, &["10.9.0.9"]),
        (Origin::Prefix(prefix("10.9.0.0/24")), &["10.9.0.9"]),
        (Origin::All, &["10.2.0.9", "10.8.0.9", "10.9.0.9"]),
    ] {
        let world = World::of(&spec_with_via(rule.clone()));
        for source in ["10.2.0.9", "10.8.0.9", "10.9.0.9"] {
            let expected = if passing.contains(&source) {
                PASS
            } else {
                dropped(Reason::Denied)
            };
            assert_eq!(
                world.arrives(BETA, &syn(source)),
                expected,
                "{rule} {source}"
            );
        }
    }
}

#[test]
fn what_is_denied_counts_for_the_organization_of_the_source() {
    let world = World::of(&spec_with_via(org("beta")));
    world.arrives(BETA, &syn("10.9.0.9"));

    let denied = world.filter.denied(&world.rules);
    assert_eq!(denied[0].org, Some("gamma".parse().unwrap()));
    let counts = world.rules.orgs();
    let counts: Vec<_> = counts
        .iter()
        .map(|org| (org.org.as_str(), org.denied))
        .collect();
    assert_eq!(counts, [("beta", 0), ("gamma", 1)]);
}

#[test]
fn a_gateway_speaks_for_its_own_site_and_those_via_it_alone() {
    let world = World::of(&spec_with_via(Origin::All));
    let stranger = dropped(Reason::Stranger);

    assert_eq!(world.arrives(GAMMA, &syn("10.3.0.9")), PASS);
    assert_eq!(world.arrives(BETA, &syn("10.3.0.9")), stranger);
    assert_eq!(world.arrives(BETA, &syn("10.77.0.9")), stranger);
    // What another gateway of our site has received is judged alike.
    let out = between("10.1.0.9", "10.9.0.9");
    world.leaves(&out.tcp(1000, 443, SYN, 0));
    let answer = out.back().tcp(443, 1000, SYN | ACK, 1);
    let handed = world.filter.answers(&world.rules, BETA, &answer, world.now);
    assert_eq!(handed, PASS);
    let opening = syn("10.9.0.9");
    let handed = world
        .filter
        .answers(&world.rules, GAMMA, &opening, world.now);
    assert_ne!(handed, PASS);
}

#[test]
fn a_router_reports_about_its_own_site_or_one_that_its_gateways_serve() {
    let world = World::of(&spec_with_via(org("beta")));
    let to_idc = between("10.1.0.9", "10.9.0.9").tcp(1000, 443, SYN, 0);
    let to_beta = between("10.1.0.9", "10.2.0.9").tcp(1000, 443, SYN, 0);
    let to_gamma = between("10.1.0.9", "10.3.0.9").tcp(1000, 443, SYN, 0);
    for sent in [&to_idc, &to_beta, &to_gamma] {
        assert_eq!(world.leaves(sent), PASS);
    }

    let report = |from: &str, about: &[u8]| {
        let error = between(from, "10.1.0.9").icmp_error(3, about);
        world.arrives(BETA, &error)
    };
    let refused = dropped(Reason::IcmpError);
    assert_eq!(report("10.9.0.1", &to_idc), PASS);
    assert_eq!(report("10.2.0.1", &to_idc), PASS, "the gateway of both");
    assert_eq!(report("10.2.0.1", &to_beta), PASS);
    assert_eq!(report("10.9.0.1", &to_beta), refused, "one site of another");
    assert_eq!(report("10.8.0.1", &to_idc), refused, "two sites via one");
    assert_eq!(report("10.2.0.1", &to_gamma), refused);
    assert_eq!(report("10.9.0.1", &to_gamma), refused);
}
