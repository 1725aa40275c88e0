//! Cases from files (zone, question, accepted answers) against the answer logic. Zones are parsed
//! from text and responses by the tests' own reader, not by our types.
//!
//! `cases.jsonl` beside this file has cases of our own. `RINGWAY_FERRET=FILE` scores another file
//! of the same format, such as the FerretDataset's. A case in a thousand may be disputed there, so
//! such a file must reach [`FERRET_SCORE`], and every case that fails is printed. Every question is
//! answered twice, by the fast path and by the algorithm of RFC 1034 alone, and both must be right.
//!
//! An answer is right if rcode, AA, answer section and authority section equal those of one
//! accepted answer. Sections are compared as sets, and an NS set beside an answer is ignored.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "read/answer.rs"]
mod read;

use read::{Answer, Section};
use ringway_dns::zones::ZoneSet;
use ringway_dns::{Name, Outcome, Transport, Zone, answer, answer_in_full, rdata};
use serde_json::Value;

/// The score of NSD.
const FERRET_SCORE: f64 = 0.985;

/// Reads one accepted answer of a case.
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

/// Removes what is not compared. Servers may add their NS set to an answer (RFC 1034 leaves it
/// open), and differ in what they put into the additional section.
fn scored(mut answer: Answer) -> Answer {
    let mut authority = answer.authority.iter();
    if !answer.answer.is_empty() && authority.all(|record| record.contains(" in ns ")) {
        answer.authority.clear();
    }
    answer.additional.clear();
    answer
}

/// Our answers to the case's question: by the fast path, and without it.
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

/// The number of cases, and a description of each that fails.
fn score(cases: &str) -> (usize, Vec<String>) {
    let mut count = 0;
    let mut failures = Vec::new();
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        count += 1;
        failures.extend(failure(&case));
    }
    (count, failures)
}

fn failure(case: &Value) -> Option<String> {
    let given = given(case);
    let accepted: Vec<Answer> = case["ex"]
        .as_array()
        .unwrap()
        .iter()
        .map(accepted)
        .collect();
    if given.iter().all(|given| accepted.contains(given)) {
        return None;
    }
    Some(format!(
        "{}: {} {}\n got {given:?}\n not {accepted:?}",
        case["i"], case["q"], case["t"]
    ))
}

#[test]
fn every_case_of_our_own_passes() {
    let (count, failures) = score(include_str!("cases.jsonl"));
    assert!(count >= 60);
    assert!(
        failures.is_empty(),
        "{} of {count} fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn an_answer_that_differs_in_rcode_aa_or_data_fails() {
    let case = include_str!("cases.jsonl").lines().next().unwrap();
    assert!(score(case).1.is_empty());

    for (right, wrong) in [
        ("NOERROR", "NXDOMAIN"),
        ("\"AA\", ", ""),
        ("in a 10.0.0.1\"", "in a 10.0.0.2\""),
    ] {
        assert!(
            case.contains(right),
            "the first case must be about an A record, 10.0.0.1"
        );
        assert_eq!(score(&case.replace(right, wrong)).1.len(), 1, "{wrong}");
    }
}

#[test]
fn the_file_in_ringway_ferret_reaches_the_score_of_nsd() {
    let Some(path) = std::env::var_os("RINGWAY_FERRET") else {
        return;
    };
    let (count, failures) = score(&std::fs::read_to_string(path).unwrap());
    let share = (count - failures.len()) as f64 / count as f64;
    println!(
        "{:.2} % of {count} cases; failures:\n{}",
        share * 100.0,
        failures.join("\n")
    );
    assert!(share >= FERRET_SCORE);
}
