//! Whether a host of this site answers members.

use super::*;

/// The step, for a connection that arrives.
fn silence(report: &Report, unanswered: u64, of_all: Option<u64>) -> Option<Step> {
    let rules = RulesReport {
        unanswered,
        ..rules()
    };
    let diagnosis = arriving(report, &rules);

    diagnosis.silence(of_all)
}

#[test]
fn a_host_that_answers_this_gateway_and_no_member_is_the_cause() {
    let mut report = report();
    for (unanswered, of_all, begin) in [
        (
            1,
            None,
            "1 connection of 10.2.0.21 went to 10.1.0.11, and no answer ",
        ),
        (
            3,
            None,
            "3 connections of 10.2.0.21 went to 10.1.0.11, and no answer ",
        ),
        (
            0,
            Some(2),
            "2 connections of members went to 10.1.0.11, and no answer ",
        ),
    ] {
        let step = silence(&report, unanswered, of_all).expect("a step");
        assert_eq!(step.verdict, Verdict::AnswersNobody);
        assert!(step.text.starts_with(begin), "{}", step.text);
        assert!(
            step.remedy
                .starts_with("on 10.1.0.11: ip route get 10.2.0.21 ")
        );
    }
    assert_eq!(silence(&report, 0, None), None);

    // At a standby, answers do not come by, whatever the host does.
    stand_by(&mut report);
    let step = silence(&report, 1, None).expect("a step");
    assert_eq!(step.verdict, Verdict::AnswersElsewhere);
    assert!(
        step.text.contains("go to gw2.acme, the active gateway"),
        "{}",
        step.text
    );
    assert!(
        step.remedy
            .starts_with("at gw2.acme: ringway explain 10.2.0.21 10.1.0.11 ")
    );
}
