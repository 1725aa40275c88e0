//! What this host does to the packets.

use super::*;

#[test]
fn what_other_programs_do_is_a_cause_only_for_the_prefix_that_it_is_about() {
    let mut report = report();
    let item = |what: &str| AttentionReport {
        kind: "foreign-route".into(),
        name: "route".into(),
        what: what.into(),
        since: String::new(),
        remedy: "ip rule del pref 100".into(),
        fix: Remedy::command("ip rule del pref 100"),
    };
    report.attention = vec![item("10.3.0.0/16 leads to eth0 by rule 100")];
    let steps = steps(&report, &rules());
    assert!(steps.iter().all(|step| step.state != State::Bad));

    report
        .attention
        .push(item("10.2.0.0/16 leads to eth0 by rule 100"));
    assert_eq!(
        cause(&report, &rules()),
        "HostStops: 10.2.0.0/16 leads to eth0 by rule 100"
    );
}

#[test]
fn filters_of_others_are_a_cause_if_they_stop_this_connection() {
    let mut report = report();
    let drops = "nftables chain inet f c drops packets from lan0 to ringway0";
    report.attention = vec![AttentionReport {
        kind: "foreign-firewall".into(),
        name: "foreign filter inet f c".into(),
        what: drops.into(),
        since: String::new(),
        remedy: String::new(),
        fix: Remedy::None,
    }];
    let rules = rules();
    let with = |found: Option<&Obstructions>| {
        let diagnosis = Diagnosis {
            obstructions: found,
            ..diagnosis(&report, &rules)
        };
        let steps = diagnosis.steps();
        let host = steps.into_iter().filter(|step| step.name == "host");
        host.map(|step| step.verdict).collect::<Vec<_>>()
    };

    // Without the right to look closer, nobody knows.
    assert_eq!(with(None), [Verdict::HostMayStop]);
    // It drops something else.
    assert_eq!(with(Some(&Obstructions::default())), []);
    let finding = Finding {
        name: "foreign filter inet f c".into(),
        what: drops.into(),
        remedy: Remedy::None,
    };
    let certain = Obstructions {
        certain: vec![finding.clone()],
        possible: Vec::new(),
    };
    assert_eq!(with(Some(&certain)), [Verdict::HostStops]);
    // It has a rule that cannot be judged.
    let possible = Obstructions {
        certain: Vec::new(),
        possible: vec![finding],
    };
    assert_eq!(with(Some(&possible)), [Verdict::HostMayStop]);
}

#[test]
fn what_cuts_every_host_off_is_a_cause() {
    for (kind, name) in [
        ("kernel-state", "forwarding off"),
        ("site-network", "site network"),
    ] {
        let mut report = report();
        report.attention = vec![AttentionReport {
            kind: kind.into(),
            name: name.into(),
            what: "the hosts are cut off".into(),
            since: String::new(),
            remedy: String::new(),
            fix: Remedy::None,
        }];
        assert_eq!(cause(&report, &rules()), "HostStops: the hosts are cut off");
    }
}

#[test]
fn what_is_about_the_other_family_is_no_cause() {
    let item = |kind: &str, name: &str| AttentionReport {
        kind: kind.into(),
        name: name.into(),
        what: "something".into(),
        since: String::new(),
        remedy: String::new(),
        fix: Remedy::None,
    };
    let v6 = Opening {
        source: "fd00:1::11".parse().unwrap(),
        destination: "fd00:2::21".parse().unwrap(),
        ..opening()
    };
    let rules = rules();

    for (kind, name, is_of_v4, is_of_v6) in [
        ("site-network", "site network IPv4", true, false),
        ("site-network", "site network IPv6", false, true),
        ("site-network", "site network", true, true),
        ("kernel-state", "ipv6", false, true),
        (
            "foreign-firewall",
            "foreign filter ip filter FORWARD",
            true,
            false,
        ),
        (
            "foreign-firewall",
            "foreign filter ip6 filter FORWARD",
            false,
            true,
        ),
        ("foreign-firewall", "foreign filter inet f c", true, true),
        (
            "foreign-firewall",
            "foreign filter ip6tables-legacy FORWARD",
            false,
            true,
        ),
        ("foreign-route", "route IPv4 10.2.0.0/16", true, false),
        ("foreign-route", "route IPv6 fd00:2::/64", false, true),
    ] {
        let mut report = report();
        report
            .routes
            .push(route("fd00:2::/64", "beta", Some("gw.beta")));
        report.attention = vec![item(kind, name)];

        for (opening, expected) in [(opening(), is_of_v4), (v6, is_of_v6)] {
            let diagnosis = Diagnosis {
                opening,
                ..diagnosis(&report, &rules)
            };
            let steps = diagnosis.steps();
            let is_named = steps.iter().any(|step| step.name == "host");
            assert_eq!(is_named, expected, "{name}: {steps:?}");
        }
    }
}

#[test]
fn a_host_of_ours_whose_check_fails_is_the_cause() {
    let mut report = report();
    report.checks = vec![CheckReport {
        host: "peer0.acme.example".into(),
        address: "10.1.0.11:7051".into(),
        state: "failed".into(),
        since: String::new(),
        error: Some("connection refused".into()),
    }];
    let rules = rules();
    let diagnosis = arriving(&report, &rules);

    let steps = diagnosis.steps();
    let bad: Vec<_> = steps.iter().filter(|it| it.state == State::Bad).collect();
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].verdict, Verdict::CheckFails);
    assert_eq!(
        bad[0].text,
        "peer0.acme.example's check of 10.1.0.11:7051 fails: connection refused"
    );
}
