//! The meet never grants what either side does not, and takes nothing that both grant and it can
//! say.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod any;
mod reference;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use ringway_config::{Gateway, Survey, Transit, Via, meet, taken};

use any::{BASE, ORGS, any_config, any_record, place, whole};
use reference::grants;

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
