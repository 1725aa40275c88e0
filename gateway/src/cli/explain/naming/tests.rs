//! Each reason why an end has no address.

use super::*;
use crate::admin::report::{FragmentReport, RecordDriftReport, RouteReport, TunnelReport};
use crate::explain::State;

const APEX: &str = "beta.consortium.example";

fn zone() -> ZoneReport {
    ZoneReport {
        apex: APEX.into(),
        serial: Some(7),
        complete: true,
        ..ZoneReport::default()
    }
}

fn cause(zones: Vec<ZoneReport>, unresolved: &Unresolved) -> (Verdict, String) {
    let report = Report {
        zones,
        ..Report::default()
    };
    let step = unknown_end(unresolved, &report);

    assert_eq!(step.state, State::Bad);
    assert!(!step.remedy.is_empty(), "{step:?}");
    (step.verdict, step.text)
}

#[test]
fn a_name_without_an_address_says_what_is_known_of_its_zone() {
    let name = Unresolved::NoAddress(format!("peer0.{APEX}").parse().unwrap());
    for (zone, verdict, expected) in [
        (
            zone(),
            Verdict::NameMissing,
            "has no such name with an address",
        ),
        (
            ZoneReport {
                serial: None,
                ..zone()
            },
            Verdict::ZoneNeverReceived,
            "were never received",
        ),
        (
            ZoneReport {
                stale: true,
                ..zone()
            },
            Verdict::ZoneTooOld,
            "are too old",
        ),
        (
            ZoneReport {
                refused: Some("too many records".into()),
                ..zone()
            },
            Verdict::ZoneRefused,
            "were refused: too many records",
        ),
        (
            ZoneReport {
                complete: false,
                ..zone()
            },
            Verdict::ZoneIncomplete,
            "not every gateway's names are here",
        ),
    ] {
        let (found, text) = cause(vec![zone], &name);
        assert_eq!(found, verdict);
        assert!(text.contains(expected), "{text}");
        assert!(text.starts_with("peer0.beta."), "{text}");
    }
    let left_out = format!("peer0.{APEX}. A of gw: an address outside the prefixes");
    let fragment = |left_out: &str| FragmentReport {
        gateway: "gw.beta".into(),
        state: "held".into(),
        records: Some(1),
        refused: None,
        left_out: vec![left_out.to_owned()],
    };
    let zone_with = |left_out: &str| ZoneReport {
        fragments: vec![fragment(left_out)],
        ..zone()
    };
    assert_eq!(
        cause(vec![zone_with(&left_out)], &name),
        (
            Verdict::NameLeftOut,
            format!("peer0.{APEX} is not answered: {left_out}")
        )
    );
    let (other, _) = cause(vec![zone_with(&format!("x{left_out}"))], &name);
    assert_eq!(other, Verdict::NameMissing);
    assert_eq!(
        cause(Vec::new(), &name),
        (
            Verdict::ZoneOfNobody,
            format!("peer0.{APEX} belongs to no member")
        )
    );
}

#[test]
fn an_end_that_is_no_host_and_in_no_site_is_the_cause() {
    let label = Unresolved::Nobody("peer0".parse().unwrap());
    assert_eq!(
        cause(Vec::new(), &label),
        (
            Verdict::NameOfNobody,
            "peer0 is no member, and no name of our zone".to_owned()
        )
    );
    let prefix = Unresolved::NoPrefix("10.9.0.1/32".parse().unwrap());
    assert_eq!(
        cause(Vec::new(), &prefix),
        (
            Verdict::PrefixOfNobody,
            "10.9.0.1 is in no member's site".to_owned()
        )
    );
}

#[test]
fn an_end_in_a_prefix_that_is_not_used_says_why() {
    let step = |change: fn(&mut RouteReport)| {
        let mut route = RouteReport {
            prefix: "10.2.0.0/24".into(),
            org: "beta".into(),
            site: "west".into(),
            ..RouteReport::default()
        };
        change(&mut route);
        let report = Report {
            routes: vec![route],
            ..Report::default()
        };
        let step = unknown_end(
            &Unresolved::NoPrefix("10.2.0.11/32".parse().unwrap()),
            &report,
        );
        (step.verdict, step.text)
    };

    assert_eq!(
        step(|route| route.conflict_with = Some("10.2.0.0/24 of eth0".into())),
        (
            Verdict::PrefixConflicted,
            "10.2.0.11: 10.2.0.0/24 has no route, because it overlaps 10.2.0.0/24 of eth0"
                .to_owned()
        )
    );
    assert_eq!(
        step(|route| route.refused = Some("gamma does not consent".into())),
        (
            Verdict::PrefixRefused,
            "10.2.0.11: 10.2.0.0/24 of beta/west has no route: gamma does not consent".to_owned()
        )
    );
    let (verdict, text) = step(|_| {});
    assert_eq!(verdict, Verdict::PrefixUnread);
    assert!(text.ends_with("has 10.2.0.0/24 of beta/west"), "{text}");
    // An attached node does not know whose it is.
    let (verdict, _) = step(|route| route.org.clear());
    assert_eq!(verdict, Verdict::PrefixOfNobody);
}

#[test]
fn an_address_that_is_left_out_is_why_no_family_is_in_common() {
    let name = format!("peer0.{APEX}");
    let ends = [
        Party::Prefix("10.1.0.11/32".parse().unwrap()),
        Party::Name(name.parse().unwrap()),
    ];
    let mut report = Report {
        zones: vec![zone()],
        ..Report::default()
    };
    assert!(no_family(&ends, &report).is_err());

    report.zones[0].fragments = vec![FragmentReport {
        gateway: "gw.beta".into(),
        state: "held".into(),
        records: Some(1),
        refused: None,
        left_out: vec![format!("{name}. A of gw: an address outside the prefixes")],
    }];
    let step = no_family(&ends, &report).unwrap();
    assert_eq!(step.verdict, Verdict::NameLeftOut);
    assert!(step.remedy.starts_with("the operator of beta.consortium"));

    // Our copy of the record is old.
    report.tunnels = vec![TunnelReport {
        peer: "gw.beta".into(),
        org: "beta".into(),
        record_drift: vec![RecordDriftReport {
            org: "beta".into(),
            kind: "we-are-older".into(),
            ours: None,
            theirs: None,
            what: String::new(),
        }],
        ..TunnelReport::default()
    }];
    let step = no_family(&ends, &report).unwrap();
    assert!(
        step.remedy
            .starts_with("get the newest record of beta; here, "),
        "{}",
        step.remedy
    );
}

#[test]
fn a_name_that_is_known_says_where_it_comes_from() {
    let report = Report {
        zones: vec![zone()],
        ..Report::default()
    };
    let party = Party::Name(format!("peer0.{APEX}").parse().unwrap());
    let step = named(&party, "10.2.0.11".parse().unwrap(), &report).unwrap();
    assert_eq!(step.verdict, Verdict::NameFound);
    assert_eq!(
        step.text,
        format!("peer0.{APEX} is 10.2.0.11, by zone {APEX}, serial 7")
    );

    let address = Party::Prefix("10.2.0.11/32".parse().unwrap());
    assert_eq!(named(&address, "10.2.0.11".parse().unwrap(), &report), None);
}
