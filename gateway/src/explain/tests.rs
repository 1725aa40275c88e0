//! Each verdict that a step can give, and that nothing else is blamed for it.

mod answers;
mod beside;
mod host;
mod node;
mod prefix;
mod probe;
mod rules;
mod tunnel;
mod verdicts;

use ringway_config::Asked;
use ringway_intent::{Finding, Remedy};

use super::*;
use crate::admin::RoleReport;
use crate::admin::report::{AttentionReport, CheckReport, HeldRecordReport, RecordDriftReport};
use crate::admin::rules::{PeerNode, PeerVerdict};
use crate::admin::site::SiblingReport;

fn opening() -> Opening {
    Opening {
        source: "10.1.0.11".parse().unwrap(),
        destination: "10.2.0.21".parse().unwrap(),
        service: Asked::Tcp(7050),
    }
}

fn rules() -> RulesReport {
    RulesReport {
        is_allowed: true,
        reason: "[policy] egress lets it leave".into(),
        peer: Some("gw.beta".into()),
        theirs: PeerVerdict::Allowed,
        ..RulesReport::default()
    }
}

/// All is well: gw.beta serves 10.2.0.0/16.
fn report() -> Report {
    Report {
        tunnels: vec![TunnelReport {
            peer: "gw.beta".into(),
            org: "beta".into(),
            state: "up".into(),
            rtt_us: Some(1200),
            path_mtu: 1420,
            ..TunnelReport::default()
        }],
        routes: vec![
            route("10.2.0.0/16", "beta", Some("gw.beta")),
            route("10.3.0.0/16", "gamma", None),
        ],
        gateway: "gw.acme".into(),
        ..Report::default()
    }
}

/// The only step that is bad.
fn bad(report: &Report, rules: &RulesReport) -> Step {
    let steps = steps(report, rules).into_iter();
    let bad: Vec<Step> = steps.filter(|step| step.state == State::Bad).collect();

    assert_eq!(bad.len(), 1, "{bad:?}");
    bad.into_iter().next().expect("one")
}

fn route(prefix: &str, org: &str, gateway: Option<&str>) -> RouteReport {
    RouteReport {
        prefix: prefix.into(),
        org: org.into(),
        site: "west".into(),
        gateway: gateway.map(str::to_owned),
        verdict: "available".into(),
        installed: gateway.is_some(),
        ..RouteReport::default()
    }
}

fn diagnosis<'a>(report: &'a Report, rules: &'a RulesReport) -> Diagnosis<'a> {
    Diagnosis {
        opening: opening(),
        arrives: false,
        report,
        rules,
        prefix_place: Some("beta.toml:9:3"),
        policy_place: "gateway.toml:4:1",
        by_file: None,
        obstructions: None,
        node: None,
        near_prefix: Some("10.1.0.0/16".parse().unwrap()),
        far_gateways: &[],
    }
}

/// As [`diagnosis`], of a connection that the host of the other site opens.
fn arriving<'a>(report: &'a Report, rules: &'a RulesReport) -> Diagnosis<'a> {
    Diagnosis {
        opening: Opening {
            source: opening().destination,
            destination: opening().source,
            service: Asked::Tcp(7051),
        },
        arrives: true,
        ..diagnosis(report, rules)
    }
}

/// Makes this gateway a standby, whose sibling is active.
fn stand_by(report: &mut Report) {
    report.role = Some(RoleReport {
        role: "standby".into(),
        ..RoleReport::default()
    });
    report.site.siblings = vec![SiblingReport {
        gateway: "gw2.acme".into(),
        role: Some("active".into()),
        ..SiblingReport::default()
    }];
}

fn steps(report: &Report, rules: &RulesReport) -> Vec<Step> {
    diagnosis(report, rules).steps()
}

/// The only step that is bad, as `<verdict>: <text>`.
fn cause(report: &Report, rules: &RulesReport) -> String {
    let step = bad(report, rules);

    format!("{:?}: {}", step.verdict, step.text)
}

/// The other end holds the record of `org` with the serial `theirs`, and we hold the serial `ours`.
fn difference(org: &str, theirs: u64, ours: u64) -> RecordDriftReport {
    let held = |serial| {
        Some(HeldRecordReport {
            serial,
            digest: String::new(),
        })
    };
    let kind = if theirs < ours {
        "peer-is-older"
    } else {
        "we-are-older"
    };

    RecordDriftReport {
        org: org.into(),
        kind: kind.into(),
        ours: held(ours),
        theirs: held(theirs),
        what: String::new(),
    }
}

#[test]
fn a_way_on_which_all_is_well_has_no_cause() {
    let steps = steps(&report(), &rules());
    let lines: Vec<String> = steps
        .iter()
        .map(|step| format!("{:?} {}: {}", step.verdict, step.name, step.text))
        .collect();

    assert_eq!(
        lines,
        [
            "PrefixInUse prefix: 10.2.0.0/16 of beta/west (beta.toml:9:3)",
            "TunnelUp tunnel: gw.beta is up, round trip 1.2 ms, outer packets up to 1420 bytes",
            "OurPrefixAccepted our prefix: gw.beta accepts 10.1.0.0/16",
            "OursAllow our rules: [policy] egress lets it leave (gateway.toml:4:1)",
            "TheirsAllow their rules: gw.beta allows it",
        ]
    );
}
