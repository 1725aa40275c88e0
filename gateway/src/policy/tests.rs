//! [`TestResults`]: what became of every `[[policy.test]]`.
//!
//! Tests judge rules. They say nothing about who is a member: one about an organization or a site
//! that is gone is skipped, and what a shorter record no longer has is not judged.

use ringway_config::{Config, Expectation, Fault, Faults, PolicyTest, Service};
use ringway_intent::Remedy;

use super::judge::{Case, Judge, Judgement};

/// The name of what needs attention while a test fails, and what fixes it.
pub(crate) const FAILED: &str = "policy-test";
pub(crate) fn remedy() -> Remedy {
    Remedy::ringway("check   # names the test; correct it or the rules").then_reload()
}

/// The results of all tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestResults {
    /// How many the rules pass.
    pub passed: usize,
    /// Those that the rules fail.
    pub failed: Faults,
    /// Those that say nothing now, and why.
    pub skipped: Faults,
}

impl TestResults {
    /// Judges every test of `config`.
    pub fn of(config: &Config, judge: &Judge<'_>) -> TestResults {
        let mut failed = Vec::new();
        let mut skipped = Vec::new();
        let mut passed = 0;
        for test in &config.policy.tests {
            let fault = |message| Fault {
                place: test.place.clone(),
                message,
            };
            match run(test, judge) {
                Outcome::Passed => passed += 1,
                Outcome::Failed(message) => failed.push(fault(message)),
                Outcome::Skipped(message) => skipped.push(fault(message)),
            }
        }

        TestResults {
            passed,
            failed: Faults::from(failed),
            skipped: Faults::from(skipped),
        }
    }
}

enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

fn run(test: &PolicyTest, judge: &Judge<'_>) -> Outcome {
    let ends = match judge.ends(&test.from, &test.to) {
        Ok(ends) => ends,
        Err(error) => return Outcome::Skipped(format!("the test is skipped: {error}")),
    };
    match judge.judge(&ends, &test.services) {
        Ok(judgement) => compare(test, &judgement),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

fn compare(test: &PolicyTest, judgement: &Judgement) -> Outcome {
    let meant = format!("{} to {}, {}", test.from, test.to, list(&test.services));
    match (test.expect, &judgement.allowed, &judgement.denied) {
        // Nothing was asked.
        (_, None, None) => {
            Outcome::Skipped("the test is skipped: its ends have no common family".into())
        }
        (Expectation::Allow, _, Some(denied)) => Outcome::Failed(format!(
            "{meant}: expected allow, but {denied} is denied; add a rule that allows it"
        )),
        (Expectation::Deny, Some(allowed), _) => Outcome::Failed(format!(
            "{meant}: expected deny, but {allowed} is allowed {}; narrow what allows it",
            by(allowed)
        )),
        (Expectation::Allow, Some(_), None) | (Expectation::Deny, None, Some(_)) => Outcome::Passed,
    }
}

/// What allows a case.
pub(crate) fn by(case: &Case) -> String {
    use ringway_filter::Explanation;

    match &case.explanation {
        Explanation::Rule(place) | Explanation::EgressRule(place) => format!("by {place}"),
        Explanation::Dns => "because this host answers DNS there".into(),
        Explanation::Echo => "because there is no [policy], which allows echo".into(),
        Explanation::Egress => "by [policy] egress".into(),
        Explanation::NotOurs | Explanation::Denied => "by nothing".into(),
    }
}

pub(crate) fn list(services: &[Service]) -> String {
    let texts: Vec<String> = services.iter().map(Service::to_string).collect();
    texts.join(", ")
}
