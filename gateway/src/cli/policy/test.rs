//! `ringway policy test`: the verdict about a connection, by the function that judges packets.

use std::path::Path;
use std::process::ExitCode;

use ringway_config::{Party, Policy, Service};
use ringway_filter::Explanation;
use ringway_intent::Remedy;
use serde::Serialize;

use super::Test;
use super::files::Files;
use super::show::rule_at;
use super::wanted::Wanted;
use crate::admin::socket;
use crate::cli::{Failure, answer, answer_json, remedy};
use crate::policy::ends::{Ends, Unresolved};
use crate::policy::judge::{Asking, Case, Judge, Judgement};
use crate::policy::tests::list;

/// The parsed question.
struct Question<'a> {
    from: Party,
    to: Party,
    wanted: &'a Wanted,
    services: Vec<Service>,
}

/// Runs `ringway policy test`. The exit code is 0 if everything is allowed, else 1.
pub(super) fn run(args: &Test) -> Result<ExitCode, Failure> {
    let words = args.wanted.words()?;
    let files = Files::load(&args.config.path)?;
    let question = Question {
        from: party(&files, &args.from)?,
        to: party(&files, &args.to)?,
        wanted: &args.wanted,
        services: words.services(&files.config.policy)?,
    };

    let judge = files.judge_with_names();
    let ends = judge
        .ends(&question.from, &question.to)
        .map_err(|error| usage(&error))?;
    let judgement = judge
        .judge(&ends, &question.services)
        .map_err(|error| Failure::Usage(error.to_string()))?;

    let verdict = Verdict::of(&judgement);
    let running = InForce::ask(&files.config.socket, &judgement);
    if args.json {
        let report = Report::of(verdict, &judgement, &judge, running);
        answer_json(&report)?;
    } else {
        let mut text = describe(&question, &ends, &judgement, &judge, &files.config.policy);
        if running == InForce::Differs {
            let reload = remedy::for_gateway(&Remedy::ringway("reload"), &args.config.path);
            text.push_str(&format!(
                "  the running gateway judges otherwise: it has not read these files: {reload}\n"
            ));
        }
        answer(text)?;
    }
    Ok(match verdict {
        Verdict::Allow => ExitCode::SUCCESS,
        Verdict::Deny | Verdict::Partly => ExitCode::FAILURE,
    })
}

fn party(files: &Files, text: &str) -> Result<Party, Failure> {
    let party = files.config.party(text);
    party.map_err(|error| Failure::Usage(error.to_string()))
}

fn usage(error: &Unresolved) -> Failure {
    Failure::Usage(error.to_string())
}

/// The verdict about all of the connections together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Allow,
    Deny,
    Partly,
}

impl Verdict {
    fn of(judgement: &Judgement) -> Verdict {
        match (&judgement.allowed, &judgement.denied) {
            (Some(_), None) => Verdict::Allow,
            (Some(_), Some(_)) => Verdict::Partly,
            // Without a common family they cannot communicate.
            (None, _) => Verdict::Deny,
        }
    }
}

/// Whether the running gateway judges as the files do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum InForce {
    /// It does.
    Agrees,
    /// It has not read the files.
    Differs,
    /// None runs, or it does not say.
    Unknown,
}

impl InForce {
    fn ask(socket: &Path, judgement: &Judgement) -> InForce {
        let cases = judgement.allowed.iter().chain(&judgement.denied);
        let mut running = InForce::Unknown;

        for case in cases {
            let Ok(rules) = socket::ask_rules(socket, &case.opening) else {
                return InForce::Unknown;
            };
            if rules.is_allowed != case.explanation.is_allowed() {
                return InForce::Differs;
            }
            running = InForce::Agrees;
        }
        running
    }
}

fn describe(
    question: &Question<'_>,
    ends: &Ends,
    judgement: &Judgement,
    judge: &Judge<'_>,
    policy: &Policy,
) -> String {
    let verdict = match Verdict::of(judgement) {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
        Verdict::Partly => "partly",
    };
    let mut text = format!(
        "{verdict}: {} to {}, {}\n",
        question.from,
        question.to,
        list(&question.services)
    );

    for (word, case) in [
        ("allowed", &judgement.allowed),
        ("denied", &judgement.denied),
    ] {
        if let Some(case) = case {
            text.push_str(&describe_case(word, case, judge, policy));
        }
    }
    if judgement.allowed.is_none() && judgement.denied.is_none() {
        text.push_str("  the two ends have no address family in common\n");
    }
    text.push_str(&meaning(question, ends, judgement));
    text
}

fn describe_case(word: &str, case: &Case, judge: &Judge<'_>, policy: &Policy) -> String {
    let opening = &case.opening;
    let site = |address| match judge.site_of(address) {
        Some(site) => format!("{address} ({site})"),
        None => address.to_string(),
    };
    let connection = format!(
        "{} to {}, {}",
        site(opening.source),
        site(opening.destination),
        Asking(opening.service)
    );

    format!("  {word}: {connection}\n    {}\n", reason(case, policy))
}

fn reason(case: &Case, policy: &Policy) -> String {
    match &case.explanation {
        Explanation::Rule(place) | Explanation::EgressRule(place) => {
            format!("{place}: {}", rule_at(policy, place))
        }
        Explanation::Dns => "this host answers DNS there ([dns] listen)".into(),
        Explanation::Echo => "without [policy], echo is allowed".into(),
        Explanation::Egress => "[policy] egress lets this host open it".into(),
        Explanation::NotOurs => "no site has one of the addresses".into(),
        Explanation::Denied => "no rule allows it".into(),
    }
}

/// What the verdict means for the other direction and for the other gateway.
fn meaning(question: &Question<'_>, ends: &Ends, judgement: &Judgement) -> String {
    let Question {
        from, to, wanted, ..
    } = question;
    let is_stateless = question
        .services
        .iter()
        .any(|service| matches!(service, Service::Protocol(_)));

    match (ends.arrives, &judgement.allowed) {
        (true, Some(_)) if is_stateless => format!(
            "  a protocol by its number has no connections: {to} may send to {from} too, and the \
             gateway of {from} needs a rule of its own\n"
        ),
        (true, Some(_)) => format!(
            "  answers of {to} leave by the same rule; what {to} opens at {from} is asked by: \
             ringway policy test {to} {from} {wanted}\n"
        ),
        (true, None) if is_stateless => format!(
            "  to allow it: ringway policy allow --from {from} --to {to} {wanted}; what {to} sends \
             to {from} is judged by the other gateway's rules\n"
        ),
        (false, Some(_)) if is_stateless => format!(
            "  a protocol by its number has no connections: what {to} sends back needs a rule of \
             ours; whether {to} lets it in is decided by the rules of {to}\n"
        ),
        (false, None) if is_stateless => {
            "  to allow it, add a [[policy.allow-egress]]\n".to_owned()
        }
        (true, None) => format!(
            "  to allow it: ringway policy allow --from {from} --to {to} {wanted}; answers to what \
             {to} opens at {from} come back without a rule\n"
        ),
        (false, Some(_)) => format!(
            "  answers come back without a rule; whether {to} lets it in is decided by the rules \
             of {to}\n"
        ),
        (false, None) => format!(
            "  to allow it, add a [[policy.allow-egress]]; answers of {from} to what {to} opened \
             here leave without one\n"
        ),
    }
}

/// The output of `policy test --json`.
#[derive(Debug, Serialize)]
struct Report {
    verdict: Verdict,
    allowed: Option<CaseReport>,
    denied: Option<CaseReport>,
    running: InForce,
}

#[derive(Debug, Serialize)]
struct CaseReport {
    source: String,
    source_site: Option<String>,
    destination: String,
    destination_site: Option<String>,
    service: String,
    rule: Option<String>,
    reason: &'static str,
}

impl Report {
    fn of(verdict: Verdict, judgement: &Judgement, judge: &Judge<'_>, running: InForce) -> Report {
        let report = |case: &Case| CaseReport::of(case, judge);
        Report {
            verdict,
            allowed: judgement.allowed.as_ref().map(report),
            denied: judgement.denied.as_ref().map(report),
            running,
        }
    }
}

impl CaseReport {
    fn of(case: &Case, judge: &Judge<'_>) -> CaseReport {
        let (reason, rule) = match &case.explanation {
            Explanation::Rule(place) => ("rule", Some(place)),
            Explanation::EgressRule(place) => ("egress-rule", Some(place)),
            Explanation::Dns => ("dns", None),
            Explanation::Echo => ("echo", None),
            Explanation::Egress => ("egress", None),
            Explanation::NotOurs => ("not-ours", None),
            Explanation::Denied => ("denied", None),
        };
        CaseReport {
            source: case.opening.source.to_string(),
            source_site: judge.site_of(case.opening.source),
            destination: case.opening.destination.to_string(),
            destination_site: judge.site_of(case.opening.destination),
            service: Asking(case.opening.service).to_string(),
            rule: rule.map(ToString::to_string),
            reason,
        }
    }
}
