//! The prefixes of both ends.

use super::*;

#[test]
fn prefixes_that_are_not_used_are_the_only_cause() {
    let mut report = report();
    let route = &mut report.routes[0];
    route.verdict = "conflicted".into();
    route.conflict_with = Some("10.2.0.0/15 (org gamma, site east, gamma.toml:9:3)".into());
    route.gateway = None;
    route.installed = false;
    assert_eq!(
        cause(&report, &RulesReport::default()),
        "PrefixConflicted: 10.2.0.0/16 of beta/west (beta.toml:9:3) is not used: it overlaps \
         10.2.0.0/15 (org gamma, site east, gamma.toml:9:3)"
    );

    report.routes[0].verdict = "refused".into();
    report.routes[0].refused = Some("gamma does not consent".into());
    assert_eq!(
        cause(&report, &RulesReport::default()),
        "PrefixRefused: 10.2.0.0/16 of beta/west (beta.toml:9:3) is not used: gamma does not \
         consent"
    );

    report.routes.clear();
    let step = bad(&report, &RulesReport::default());
    assert_eq!(step.verdict, Verdict::PrefixUnread);
    assert_eq!(step.remedy, "ringway reload");

    report.gateway = "node:db1.acme".into();
    let step = bad(&report, &RulesReport::default());
    assert_eq!(step.verdict, Verdict::PrefixOfNobody);
    assert_eq!(
        step.text,
        "no gateway of this node offers a prefix with 10.2.0.21"
    );
}

const OUTSIDE: &str = "outside the site's authorized prefixes";

#[test]
fn a_member_that_refuses_our_prefix_is_the_cause_with_the_record_that_differs() {
    let rules = rules();
    let refuses = |prefix: &str, reason: &str, drift: Vec<RecordDriftReport>| {
        let mut report = report();
        report.tunnels[0].refused_by_peer = [(prefix.to_owned(), reason.to_owned())].into();
        report.tunnels[0].record_drift = drift;
        report
    };

    for (reason, drift, text, remedy) in [
        (
            OUTSIDE,
            vec![difference("gamma", 1, 2), difference("acme", 60, 64)],
            "gw.beta refuses our 10.1.0.0/16: outside the site's authorized prefixes; gw.beta \
             holds acme's record with serial 60, we hold one with serial 64",
            "at gw.beta: ringway member add acme.member.toml with the newest record, then ringway \
             reload",
        ),
        (
            OUTSIDE,
            vec![difference("acme", 64, 60)],
            "gw.beta refuses our 10.1.0.0/16: outside the site's authorized prefixes; gw.beta \
             holds acme's record with serial 64, we hold one with serial 60",
            "this gateway holds an old copy of our own record: put the newest acme.member.toml in \
             its place, then ringway reload",
        ),
        (
            OUTSIDE,
            Vec::new(),
            "gw.beta refuses our 10.1.0.0/16: outside the site's authorized prefixes",
            "beta must have our newest record: there, ringway member add, then ringway reload",
        ),
        (
            "in conflict with another claim (see `ringway check`)",
            vec![difference("acme", 60, 64)],
            "gw.beta refuses our 10.1.0.0/16: in conflict with another claim (see `ringway \
             check`)",
            "at gw.beta, ringway check names what it overlaps",
        ),
    ] {
        let step = bad(&refuses("10.1.0.0/16", reason, drift), &rules);
        assert_eq!(step.verdict, Verdict::OurPrefixRefused);
        assert_eq!((step.text.as_str(), step.remedy.as_str()), (text, remedy));
    }

    // Another prefix of ours, or a wider one beside the one that it accepts, says nothing.
    for other in ["10.9.0.0/16", "10.0.0.0/8"] {
        let steps = steps(&refuses(other, OUTSIDE, Vec::new()), &rules);
        assert!(
            steps.iter().all(|step| step.state == State::Good),
            "{steps:?}"
        );
    }
}

#[test]
fn a_claim_that_no_record_here_has_is_refused_and_not_missing() {
    let mut report = report();
    report.routes.clear();
    report.tunnels[0].refused = [("10.2.0.0/16".to_owned(), OUTSIDE.to_owned())].into();
    report.tunnels[0].record_drift = vec![difference("beta", 64, 60)];

    let step = bad(&report, &rules());
    assert_eq!(step.verdict, Verdict::ClaimRefused);
    assert_eq!(
        step.text,
        "gw.beta announces 10.2.0.0/16, refused: outside the site's authorized prefixes; gw.beta \
         holds beta's record with serial 64, we hold one with serial 60"
    );
    assert!(
        step.remedy
            .starts_with("get the newest record of beta; here,")
    );
    let far = "10.9.0.1/32".parse().unwrap();
    assert_eq!(announced_by(&report, far), None);
}

#[test]
fn of_two_records_with_one_prefix_the_one_in_use_counts() {
    let mut report = report();
    let mut loser = route("10.2.0.0/16", "gamma", None);
    loser.verdict = "conflicted".into();
    report.routes.push(loser);

    let first = &steps(&report, &rules())[0];
    assert_eq!(first.text, "10.2.0.0/16 of beta/west (beta.toml:9:3)");
}
