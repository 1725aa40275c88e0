//! Attached nodes, and the role of this gateway.

use super::*;

#[test]
fn a_node_that_only_a_sibling_lists_is_the_cause() {
    let mut report = report();
    report.site.siblings = vec![SiblingReport {
        gateway: "gw2.acme".into(),
        ..SiblingReport::default()
    }];
    report.tunnels.push(TunnelReport {
        peer: "gw2.acme".into(),
        refused: [(
            "10.1.0.11/32".to_owned(),
            ringway_core::RefuseReason::LocalSite.to_string(),
        )]
        .into(),
        ..TunnelReport::default()
    });
    let rules = rules();
    let no_route = Finding {
        name: "way to 10.1.0.11".into(),
        what: "this host has no route to 10.1.0.11".into(),
        remedy: Remedy::None,
    };
    let no_route = Obstructions {
        certain: vec![no_route],
        ..Obstructions::default()
    };
    let bad = |report: &Report| {
        let diagnosis = Diagnosis {
            obstructions: Some(&no_route),
            ..diagnosis(report, &rules)
        };
        let steps = diagnosis.steps();
        let bad = steps.iter().filter(|step| step.state == State::Bad);
        bad.map(|step| step.verdict).collect::<Vec<_>>()
    };
    assert_eq!(bad(&report), [Verdict::NodeUnlisted]);

    // Any other gateway's claim says nothing about this site.
    report.site.siblings.clear();
    assert_eq!(bad(&report), [Verdict::HostStops]);
}

#[test]
fn a_node_that_is_not_attached_is_the_cause() {
    let mut report = report();
    let node = |state: &str, wireguard| TunnelReport {
        peer: "node:db1.acme".into(),
        state: state.into(),
        wireguard,
        last_error: Some("peer shut down".into()),
        ..TunnelReport::default()
    };
    let rules = rules();
    let step = |report: &Report| {
        let diagnosis = Diagnosis {
            node: Some("node:db1.acme"),
            ..diagnosis(report, &rules)
        };
        let steps = diagnosis.steps();
        let mut bad = steps.iter().filter(|step| step.state == State::Bad);
        (steps[0].verdict, bad.next().map(|step| step.text.clone()))
    };

    let down = "node:db1.acme is down: peer shut down";
    for (state, wireguard, expected) in [
        ("up", false, (Verdict::NodeUp, None)),
        ("down", false, (Verdict::NodeDown, Some(down.to_owned()))),
        ("down", true, (Verdict::NodeQuiet, None)),
    ] {
        report.nodes = vec![node(state, wireguard)];
        assert_eq!(step(&report), expected, "{state} {wireguard}");
    }
    // It has a session with the other gateway of the site, which sends its packets here.
    report.nodes[0].attached_to = Some("gw2.acme".into());
    assert_eq!(step(&report), (Verdict::NodeElsewhere, None));
    assert!(!is_quiet(&report, Some("node:db1.acme")));

    report.nodes.clear();
    assert_eq!(step(&report), (Verdict::NodeUnknown, None));
}

#[test]
fn a_standby_names_the_active_gateway_as_the_one_to_ask() {
    let mut report = report();
    stand_by(&mut report);

    let first = &steps(&report, &rules())[0];
    assert_eq!(first.verdict, Verdict::Standby);
    assert_eq!(first.remedy, "run this command at gw2.acme");
}

#[test]
fn a_node_of_the_far_end_that_is_down_is_the_cause_and_not_its_service() {
    let mut rules = rules();
    rules.their_node = Some(PeerNode::Down);
    let step = bad(&report(), &rules);
    assert_eq!(step.verdict, Verdict::FarNodeDown);
    assert_eq!(
        step.text,
        "gw.beta says that 10.2.0.21 is an attached node that is down"
    );
    assert_eq!(
        step.remedy,
        "at gw.beta: ringway explain 10.1.0.11 10.2.0.21 --port 7050"
    );

    rules.their_node = Some(PeerNode::Silent);
    let steps = steps(&report(), &rules);
    let quiet = steps.iter().find(|step| step.state != State::Good);
    assert_eq!(quiet.expect("a step").verdict, Verdict::FarNodeQuiet);
}

#[test]
fn a_client_that_is_away_has_not_answered_whatever_the_probe_got() {
    let to = "10.1.0.77:5201".parse().unwrap();
    let failed = std::io::ErrorKind::HostUnreachable.into();
    for probe in [Probe::Refused, Probe::Silent, Probe::Failed(failed)] {
        let step = probe.step_to_quiet(to);
        assert_eq!(step.verdict, Verdict::NotAttached);
        assert_eq!(
            step.text,
            "10.1.0.77:5201 is not reached: the client has not answered"
        );
    }

    let connected = Probe::Connected(std::time::Duration::from_millis(2));
    assert_eq!(connected.step_to_quiet(to).verdict, Verdict::Connected);
    let mut steps = [Verdict::NodeQuiet, Verdict::FarNodeQuiet, Verdict::TunnelUp]
        .map(|verdict| Step::new(verdict, "said"));
    has_answered(&mut steps);
    let verdicts = steps.each_ref().map(|step| step.verdict);
    assert_eq!(
        verdicts,
        [Verdict::NodeUp, Verdict::NodeUp, Verdict::TunnelUp]
    );
    assert_eq!(steps[0].text, "said; it answers now");
}
