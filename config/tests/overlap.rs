//! The laws of overlap and of the incumbent rule, against naive models that compare every pair.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Instant;

use proptest::collection::vec;
use proptest::prelude::*;
use ringway_config::{
    Claim, Config, Connected, Digest, Member, Overlap, Owner, Place, PlacedPrefix, Prefix, Ruling,
    Site, Verdict, ZoneName, accepted, claims, conflicts, overlaps, rule,
};

/// Prefixes of few bits, so that they often meet: nested, equal, of both families.
fn any_prefix() -> impl Strategy<Value = Prefix> {
    let v4 =
        (any::<u8>(), 8..=16u8).prop_map(|(bits, len)| (Ipv4Addr::new(10, bits, 0, 0).into(), len));
    let v6 = (any::<u8>(), 8..=16u8).prop_map(|(bits, len)| {
        (
            Ipv6Addr::new(0xfd00 | u16::from(bits), 0, 0, 0, 0, 0, 0, 0).into(),
            len,
        )
    });
    prop_oneof![v4, v6]
        .prop_map(|(address, len): (IpAddr, u8)| Prefix::holding(address, len).unwrap())
}

fn any_owner() -> impl Strategy<Value = Owner> {
    prop_oneof![
        8 => (0..4u8, 0..2u8).prop_map(|(org, site)| owner(org, site)),
        1 => Just(Owner::Reserved),
        1 => (0..2u8).prop_map(|n| Owner::Connected { interface: format!("eth{n}") }),
    ]
}

fn owner(org: u8, site: u8) -> Owner {
    Owner::Site {
        org: format!("org{org}").parse().unwrap(),
        site: format!("site{site}").parse().unwrap(),
    }
}

fn any_claims() -> impl Strategy<Value = Vec<Claim>> {
    let claim = (any_owner(), any_prefix());
    vec(
        claim.prop_map(|(owner, prefix)| Claim {
            owner,
            prefix,
            place: nowhere(),
        }),
        0..40,
    )
}

fn nowhere() -> Place {
    Place::whole(Path::new("x"))
}

/// The table at the head of overlap.rs, by addresses: two ranges meet if neither ends before the
/// other begins.
fn clash(a: &Claim, b: &Claim, this_site: &Owner) -> bool {
    let is_site = |claim: &Claim| matches!(claim.owner, Owner::Site { .. });
    let meet = a.prefix.is_ipv4() == b.prefix.is_ipv4()
        && a.prefix.address() <= b.prefix.last()
        && b.prefix.address() <= a.prefix.last();
    let differ = match (is_site(a), is_site(b)) {
        (true, true) => a.owner != b.owner,
        (true, false) => a.owner != *this_site,
        (false, true) => b.owner != *this_site,
        (false, false) => false,
    };
    meet && differ
}

fn naive_overlaps(claims: &[Claim], this_site: &Owner) -> BTreeSet<(usize, usize)> {
    let pairs = (0..claims.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
    pairs
        .filter(|&(a, b)| clash(&claims[a], &claims[b], this_site))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn finds_every_clashing_pair_once(claims in any_claims()) {
        let this_site = owner(0, 0);
        let found: Vec<Overlap> = overlaps(&claims, &this_site).collect();
        let pairs: BTreeSet<_> = found.iter().map(|pair| (pair.a, pair.b)).collect();
        prop_assert_eq!(pairs.len(), found.len());
        prop_assert_eq!(pairs, naive_overlaps(&claims, &this_site));
    }

    #[test]
    fn names_exactly_the_range_that_two_claims_share(claims in any_claims()) {
        for Overlap { a, b, range } in overlaps(&claims, &owner(0, 0)) {
            let (a, b) = (claims[a].prefix, claims[b].prefix);
            prop_assert_eq!(range.address(), a.address().max(b.address()));
            prop_assert_eq!(range.last(), a.last().min(b.last()));
        }
    }
}

/// A consortium of up to four organizations with two sites each; the gateway serves site0 of org0.
fn any_config() -> impl Strategy<Value = Config> {
    let site = || vec(any_prefix(), 0..5);
    let orgs = vec((site(), site()), 1..5);
    (orgs, vec(any_prefix(), 0..3)).prop_map(|(orgs, reserved)| {
        let mut records = orgs
            .into_iter()
            .zip(0..)
            .map(|((first, second), org)| record(org, [first, second]));
        let own = records.next().unwrap();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/gateway.toml");
        let reserved = reserved.into_iter().map(placed).collect();
        let site = "site0".parse().unwrap();
        Config {
            own,
            site,
            reserved,
            members: records.collect(),
            ..Config::load(&example).unwrap()
        }
    })
}

fn record(org: u8, sites: [Vec<Prefix>; 2]) -> Member {
    let sites = sites.into_iter().zip(0..).map(|(prefixes, site)| Site {
        name: format!("site{site}").parse().unwrap(),
        prefixes: prefixes.into_iter().map(placed).collect(),
        via: None,
    });
    Member {
        org: format!("org{org}").parse().unwrap(),
        serial: 1,
        domain: "consortium.example".parse::<ZoneName>().unwrap(),
        roots: Vec::new(),
        sites: sites.collect(),
        gateways: Vec::new(),
        transit: Vec::new(),
        revoked: Default::default(),
        digest: Digest([org; 32]),
        place: nowhere(),
    }
}

fn placed(prefix: Prefix) -> PlacedPrefix {
    PlacedPrefix {
        prefix,
        place: nowhere(),
    }
}

fn any_connected() -> impl Strategy<Value = Vec<Connected>> {
    vec(
        any_prefix().prop_map(|prefix| Connected {
            prefix,
            interface: "eth0".into(),
        }),
        0..3,
    )
}

/// Any of the records that [`any_config`] makes.
fn any_accepted() -> impl Strategy<Value = BTreeSet<Digest>> {
    proptest::collection::btree_set((0..5u8).prop_map(|org| Digest([org; 32])), 0..4)
}

fn claim_of(ruling: &Ruling) -> Claim {
    let owner = Owner::Site {
        org: ruling.org.clone(),
        site: ruling.site.clone(),
    };
    Claim {
        owner,
        prefix: ruling.prefix,
        place: nowhere(),
    }
}

/// False for claims of the host.
fn is_newcomer(claim: &Claim, config: &Config, accepted: &BTreeSet<Digest>) -> bool {
    match &claim.owner {
        Owner::Site { org, .. } => !accepted.contains(&config.record(org).unwrap().digest),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_prefix_is_conflicted_exactly_if_it_clashes_with_one_that_does_not_give_way(
        config in any_config(), connected in any_connected(), accepted in any_accepted(),
    ) {
        let all = claims(&config, &connected);
        let this_site = Owner::this_site(&config);
        for ruling in rule(&config, &connected, &accepted) {
            let mine = claim_of(&ruling);
            let yields_to_all = is_newcomer(&mine, &config, &accepted);
            let mut rivals = all.iter().filter(|other| {
                clash(&mine, other, &this_site)
                    && (yields_to_all || !is_newcomer(other, &config, &accepted))
            });
            let is_right = match &ruling.verdict {
                Verdict::Available => rivals.next().is_none(),
                Verdict::Conflicted { with, theirs, .. } => {
                    rivals.any(|rival| rival.owner == *with && rival.prefix == *theirs)
                }
                // No site here is served via another one.
                Verdict::Unserved(_) => false,
            };
            prop_assert!(is_right, "{ruling:?} among {all:?}");
        }
    }

    #[test]
    fn no_newcomer_takes_anything_from_an_incumbent(
        mut config in any_config(), newcomer in (vec(any_prefix(), 0..5), vec(any_prefix(), 0..5)),
    ) {
        let before = rule(&config, &[], &BTreeSet::new());
        let accepted = accepted::after(&config, &before, &BTreeSet::new());
        let accepted: BTreeSet<Digest> = accepted.into_keys().collect();
        let settled = rule(&config, &[], &accepted);
        config.members.push(record(9, [newcomer.0, newcomer.1]));
        for ruling in rule(&config, &[], &accepted) {
            if accepted.contains(&config.record(&ruling.org).unwrap().digest) {
                prop_assert!(settled.contains(&ruling), "{ruling:?} was different before");
            }
        }
    }

    #[test]
    fn a_record_that_was_accepted_stays_accepted_over_a_restart(
        config in any_config(), connected in any_connected(),
    ) {
        let rulings = rule(&config, &connected, &BTreeSet::new());
        let first = accepted::after(&config, &rulings, &BTreeSet::new());
        let kept: BTreeSet<Digest> = first.keys().copied().collect();
        let rulings = rule(&config, &connected, &kept);
        for record in config.records().filter(|record| kept.contains(&record.digest)) {
            let lost = rulings
                .iter()
                .any(|ruling| ruling.org == record.org && is_lost_to_a_site(ruling));
            prop_assert!(!lost, "{} lost a prefix", record.org);
        }
        let again = accepted::after(&config, &rulings, &kept);
        prop_assert!(first.keys().all(|digest| again.contains_key(digest)));
    }

    #[test]
    fn a_fault_is_reported_exactly_if_two_claims_clash(
        config in any_config(), connected in any_connected(),
    ) {
        let all = claims(&config, &connected);
        let this_site = Owner::this_site(&config);
        let faults = conflicts(&config, &connected, &BTreeSet::new());
        prop_assert_eq!(faults.is_empty(), naive_overlaps(&all, &this_site).is_empty());
    }
}

fn is_lost_to_a_site(ruling: &Ruling) -> bool {
    matches!(
        ruling.verdict,
        Verdict::Conflicted {
            with: Owner::Site { .. },
            ..
        }
    )
}

#[test]
fn fifty_thousand_claims_are_ruled_without_comparing_every_pair() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/gateway.toml");
    let mut config = Config::load(&example).unwrap();
    let everything: Prefix = "10.0.0.0/8".parse().unwrap();
    let nested = |n: u32| Prefix::holding(Ipv4Addr::from(0x0a00_0000 | n << 8).into(), 24).unwrap();
    let members = (1..=100u8).map(|org| {
        let part = (0..500).map(|n| nested(u32::from(org) * 500 + n)).collect();
        record(org, [part, vec![everything]])
    });
    config.members = members.collect();
    let start = Instant::now();
    let rulings = rule(&config, &[], &BTreeSet::new());
    assert_eq!(
        rulings
            .iter()
            .filter(|ruling| !ruling.is_available())
            .count(),
        rulings.len() - 2
    );
    assert_eq!(conflicts(&config, &[], &BTreeSet::new()).0.len(), 201);
    // All pairs would be more than a billion comparisons.
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}
