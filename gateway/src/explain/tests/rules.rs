//! The rules of both ends.

use super::*;

fn named<'s>(steps: &'s [Step], name: &str) -> &'s Step {
    steps.iter().find(|step| step.name == name).expect("a step")
}

/// The steps about the rules, if a host of the other site opens something here.
fn rules_of_an_arrival(report: &Report, rules: &RulesReport) -> [Verdict; 2] {
    let diagnosis = arriving(report, rules);

    let steps = diagnosis.steps();
    ["our rules", "their rules"].map(|name| named(&steps, name).verdict)
}

#[test]
fn rules_of_either_end_are_named_by_whose_they_are() {
    let ours = RulesReport {
        is_allowed: false,
        reason: "no rule allows it".into(),
        ..rules()
    };
    assert_eq!(
        cause(&report(), &ours),
        "OursDenyExit: no rule allows it (gateway.toml:4:1)"
    );

    let theirs = RulesReport {
        theirs: PeerVerdict::Denied,
        ..rules()
    };
    assert_eq!(
        cause(&report(), &theirs),
        "TheirsDenyEntry: gw.beta does not let it in"
    );

    let report = report();
    assert_eq!(
        rules_of_an_arrival(&report, &ours)[0],
        Verdict::OursDenyEntry
    );
    assert_eq!(
        rules_of_an_arrival(&report, &theirs)[1],
        Verdict::TheirsDenyExit
    );

    for (told, verdict) in [
        (PeerVerdict::NotTold, Verdict::TheirsUntold),
        (PeerVerdict::Older, Verdict::TheirsOlder),
        (PeerVerdict::NoAnswer, Verdict::TheirsSilent),
        (PeerVerdict::NoTunnel, Verdict::TheirsUnreachable),
    ] {
        let theirs = RulesReport {
            theirs: told,
            ..rules()
        };
        assert_eq!(rules_of_an_arrival(&report, &theirs)[1], verdict);
        assert_eq!(verdict.state(), State::Unknown);
    }
    let untold = RulesReport {
        theirs: PeerVerdict::NotTold,
        ..rules()
    };
    let report = Report {
        gateway: "node:db1.acme".into(),
        ..report
    };
    let steps = steps(&report, &untold);
    assert_eq!(
        named(&steps, "their rules").verdict,
        Verdict::TheirsUntoldToNodes
    );
}

#[test]
fn a_rule_that_is_not_reloaded_yet_is_the_cause_and_not_its_absence() {
    let report = report();
    let denied = RulesReport {
        is_allowed: false,
        reason: "no rule allows it".into(),
        ..rules()
    };
    let by_file = RulesReport {
        rule: Some("gateway.toml:30:1".into()),
        ..rules()
    };
    let with = |by_file: &RulesReport| {
        let diagnosis = Diagnosis {
            by_file: Some(by_file),
            ..diagnosis(&report, &denied)
        };
        named(&diagnosis.steps(), "our rules").clone()
    };

    let step = with(&by_file);
    assert_eq!(step.verdict, Verdict::OursUnread);
    assert_eq!(
        step.text,
        "gateway.toml allows it (gateway.toml:30:1), but the running gateway has not read it: no \
         rule allows it"
    );
    assert_eq!(step.remedy, "ringway reload");
    assert_eq!(with(&denied).verdict, Verdict::OursDenyExit);
}
