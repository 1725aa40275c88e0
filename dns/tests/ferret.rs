//! Case files (zone, question, accepted answers) against the answer logic, both read through text.
//!
//! `cases.jsonl` beside this file holds cases of our own. `RINGWAY_FERRET=FILE` scores another file of the
//! same format, such as the FerretDataset's, where a case in a thousand may be disputed: it must reach
//! [`FERRET_SCORE`], and every case that fails is printed. Every question is answered twice, with what is
//! ready and by the algorithm alone, and both are scored.
//!
//! A case is met when code, AA, the answer section and the authority section (as sets; an NS set beside an
//! answer ignored) equal those of one accepted answer.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "read/answer.rs"]
mod read;

use read::{Answer, Section};
use ringway_dns::zones::ZoneSet;
use ringway_dns::{Name, Outcome, Transport, Zone, answer, answer_in_full, rdata};
use serde_json::Value;

/// What NSD reaches.
const FERRET_SCORE: f64 = 0.985;

/// One of a case's accepted answers.
fn accepted(answer: &Value) -> Answer {
    let texts = |key: &str| {
        answer[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap())
    };
    scored(Answer {
        rcode: answer["rcode"].as_str().unwrap().to_uppercase(),
        authoritative: texts("flags").any(|flag| flag == "AA"),
        answer: texts("ans").map(str::to_lowercase).collect(),
        authority: texts("auth").map(str::to_lowercase).collect(),
        additional: Section::new(),
    })
}

/// Without what is not scored: servers differ on whether they name themselves beside an answer (RFC 1034
/// leaves it open), and on what else they know.
fn scored(mut answer: Answer) -> Answer {
    if !answer.answer.is_empty()
        && answer
            .authority
            .iter()
            .all(|record| record.contains(" in ns "))
    {
        answer.authority.clear();
    }
    answer.additional.clear();
    answer
}

/// What the answer logic says to the case's question, with what is ready and without.
fn given(case: &Value) -> [Answer; 2] {
    let text = |key: &str| case[key].as_str().unwrap();
    let zone = Zone::from_text(text("zone"), None).unwrap();
    let qname = Name::from_text(text("q")).unwrap();
    let qtype = rdata::kind_from_text(text("t")).unwrap();
    let header = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let message = [&header[..], qname.as_wire(), &qtype.to_be_bytes(), &[0, 1]].concat();
    let zones = ZoneSet::of([zone]);
    [answer, answer_in_full].map(|answer| {
        let mut response = Vec::new();
        let outcome = answer(&zones, &message, Transport::Tcp, &mut response);
        assert!(matches!(outcome, Outcome::Answered(_)));
        scored(Answer::read(&response))
    })
}

/// The number of cases, and a description of each that is not met.
fn score(cases: &str) -> (usize, Vec<String>) {
    let cases: Vec<Value> = cases
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let unmet = cases.iter().filter_map(|case| {
        let given = given(case);
        let accepted: Vec<_> = case["ex"]
            .as_array()
            .unwrap()
            .iter()
            .map(accepted)
            .collect();
        let (i, q, t) = (&case["i"], &case["q"], &case["t"]);
        (!given.iter().all(|given| accepted.contains(given)))
            .then(|| format!("{i}: {q} {t}\n got {given:?}\n not {accepted:?}"))
    });
    (cases.len(), unmet.collect())
}

#[test]
fn every_case_of_our_own_is_met() {
    let (count, unmet) = score(include_str!("cases.jsonl"));
    assert!(
        count >= 60 && unmet.is_empty(),
        "{} of {count} not met:\n{}",
        unmet.len(),
        unmet.join("\n")
    );
}

#[test]
fn an_answer_that_differs_in_anything_is_not_met() {
    let case = include_str!("cases.jsonl").lines().next().unwrap();
    assert_eq!(score(case).1.len(), 0);
    for (right, wrong) in [
        ("NOERROR", "NXDOMAIN"),
        ("\"AA\", ", ""),
        ("in a 10.0.0.1\"", "in a 10.0.0.2\""),
    ] {
        assert!(
            case.contains(right),
            "the first case is an A record at 10.0.0.1"
        );
        assert_eq!(score(&case.replace(right, wrong)).1.len(), 1, "{wrong}");
    }
}

#[test]
fn a_case_file_that_is_named_scores_what_nsd_does() {
    let Some(path) = std::env::var_os("RINGWAY_FERRET") else {
        return;
    };
    let (count, unmet) = score(&std::fs::read_to_string(path).unwrap());
    let met = (count - unmet.len()) as f64 / count as f64;
    println!(
        "{:.2} % of {count} cases; not met:\n{}",
        met * 100.0,
        unmet.join("\n")
    );
    assert!(met >= FERRET_SCORE);
}
