//! The tunnel that leads to the far end.

use super::*;

#[test]
fn a_tunnel_that_is_down_is_the_cause_and_not_the_peers_silence() {
    let mut report = report();
    report.routes[0].gateway = None;
    report.routes[0].installed = false;
    report.tunnels[0].state = "down".into();
    report.tunnels[0].last_error = Some("no answer from 203.0.113.9:4600".into());
    let silent = RulesReport {
        theirs: PeerVerdict::NoTunnel,
        peer: None,
        ..rules()
    };
    assert_eq!(
        cause(&report, &silent),
        "TunnelDown: gw.beta is down: no answer from 203.0.113.9:4600"
    );

    report.tunnels[0].state = "up".into();
    assert_eq!(
        cause(&report, &silent),
        "NotAnnounced: gw.beta is up, but does not announce 10.2.0.0/16"
    );

    let refused = [("10.2.0.0/16".to_owned(), "not in its record".to_owned())];
    report.tunnels[0].refused = refused.into();
    assert_eq!(
        cause(&report, &silent),
        "ClaimRefused: gw.beta announces 10.2.0.0/16, refused: not in its record"
    );

    // Its own copy of the record has another prefix, or ours has.
    let claimed = report.tunnels[0].refused.remove("10.2.0.0/16").unwrap();
    report.tunnels[0]
        .refused
        .insert("10.2.0.0/15".into(), claimed);
    assert_eq!(
        cause(&report, &silent),
        "ClaimRefused: gw.beta announces 10.2.0.0/15, refused: not in its record"
    );
    report.tunnels[0].refused.clear();
    report.tunnels[0].record_drift = vec![difference("beta", 60, 64)];
    let step = bad(&report, &silent);
    assert_eq!(
        step.text,
        "gw.beta is up, but does not announce 10.2.0.0/16; gw.beta holds beta's record with serial \
         60, we hold one with serial 64"
    );
    assert!(
        step.remedy
            .starts_with("gw.beta holds an old copy of the record of its own organization: ")
    );

    report.tunnels.clear();
    assert_eq!(
        cause(&report, &silent),
        "NoGateway: beta has no gateway in its record"
    );
}

#[test]
fn what_is_served_from_here_needs_no_tunnel() {
    let mut report = report();
    let route = &mut report.routes[0];
    route.served_here = true;
    route.gateway = None;
    route.via = Some("west".into());
    let none = RulesReport {
        peer: None,
        theirs: PeerVerdict::NoTunnel,
        ..rules()
    };

    let steps = steps(&report, &none);
    let lines: Vec<&str> = steps.iter().map(|step| step.text.as_str()).collect();
    assert!(
        steps.iter().all(|step| step.state == State::Good),
        "{lines:?}"
    );
    assert_eq!(lines[1], "10.2.0.0/16 lies behind this host");
    assert_eq!(lines[3], "its site has no gateway of its own");
    let verdicts = [steps[1].verdict, steps[3].verdict];
    assert_eq!(verdicts, [Verdict::ServedHere, Verdict::TheirsNone]);
}

#[test]
fn a_route_that_the_kernel_does_not_have_is_the_cause() {
    let mut report = report();
    report.routes[0].installed = false;
    assert_eq!(
        cause(&report, &rules()),
        "RouteMissing: gw.beta serves 10.2.0.0/16, but the kernel has no route"
    );
}

#[test]
fn gateways_of_other_sites_say_nothing_about_a_prefix() {
    let mut report = report();
    report.routes[0].gateway = None;
    report.routes[0].installed = false;
    report.tunnels[0].state = "down".into();
    report.tunnels.push(TunnelReport {
        peer: "gw.beta-east".into(),
        org: "beta".into(),
        state: "up".into(),
        ..TunnelReport::default()
    });
    let rules = rules();
    let diagnosis = Diagnosis {
        far_gateways: &["gw.beta".into()],
        ..diagnosis(&report, &rules)
    };

    let steps = diagnosis.steps();
    assert_eq!(steps[1].verdict, Verdict::TunnelDown, "{steps:?}");
    assert_eq!(steps[1].text, "gw.beta is down");
}

#[test]
fn an_attached_node_names_its_gateways_that_are_down() {
    let mut report = report();
    report.gateway = "node:db1.acme".into();
    report.routes = vec![route("10.2.0.0/16", "", None)];
    report.tunnels[0].peer = "gw.acme".into();
    report.tunnels[0].org = "acme".into();
    report.tunnels[0].state = "down".into();

    let step = bad(&report, &rules());
    assert_eq!(step.verdict, Verdict::TunnelDown);
    assert_eq!(step.text, "gw.acme is down");
    assert_eq!(step.remedy, "ringway status");
}

#[test]
fn another_gateway_of_the_far_site_without_a_tunnel_is_named_and_not_blamed() {
    let mut report = report();
    report.tunnels.push(TunnelReport {
        peer: "gw2.beta".into(),
        org: "beta".into(),
        state: "down".into(),
        last_error: Some("no answer from 203.0.113.9:4600".into()),
        ..TunnelReport::default()
    });
    let rules = rules();
    let gateways = ["gw.beta", "gw2.beta"].map(str::to_owned);
    let with = |report: &Report| {
        let diagnosis = Diagnosis {
            far_gateways: &gateways,
            ..diagnosis(report, &rules)
        };
        let steps = diagnosis.steps();
        assert!(steps.iter().all(|step| step.state != State::Bad));
        let mut steps = steps.into_iter();
        steps.find(|step| step.verdict == Verdict::OtherGatewayDown)
    };

    let step = with(&report).expect("a step");
    assert_eq!(
        step.text,
        "gw2.beta is down: no answer from 203.0.113.9:4600; if it is the active gateway of that \
         site, it must pass packets of the hosts there on to gw.beta"
    );
    assert_eq!(
        step.remedy,
        "at gw2.beta: ringway explain 10.1.0.11 10.2.0.21 --port 7050"
    );
    report.tunnels[1].state = "up".into();
    assert_eq!(with(&report), None);
}

#[test]
fn a_way_by_another_gateway_of_this_site_names_it_and_is_no_cause() {
    let mut report = report();
    report.tunnels[0].state = "down".into();
    report.tunnels[0].last_error = Some("no answer from 203.0.113.9:4600".into());
    let route = &mut report.routes[0];
    route.gateway = Some("gw2.acme".into());
    route.by_sibling = true;
    let rules = RulesReport {
        theirs: PeerVerdict::NoTunnel,
        ..rules()
    };

    let steps = steps(&report, &rules);
    let said = |verdict: Verdict| {
        let mut steps = steps.iter();
        let step = steps.find(|step| step.verdict == verdict);
        step.map(|step| step.text.as_str())
    };
    assert!(steps.iter().all(|step| step.state != State::Bad));
    assert_eq!(
        said(Verdict::BySibling),
        Some(
            "gw.beta is down: no answer from 203.0.113.9:4600; gw2.acme, of this site, passes \
             packets on"
        )
    );
    assert_eq!(
        said(Verdict::TheirsUnreachable),
        Some("only gw2.acme has a tunnel there to ask")
    );
}
