//! Each verdict that a step can give, and that nothing else is blamed for it.

use super::*;
use crate::admin::RoleReport;
use crate::admin::report::{AttentionReport, CheckReport};
use crate::admin::site::SiblingReport;
use ringway_intent::Remedy;

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
        ..Report::default()
    }
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

fn steps(report: &Report, rules: &RulesReport) -> Vec<Step> {
    let diagnosis = Diagnosis {
        opening: opening(),
        arrives: false,
        report,
        rules,
        prefix_place: Some("beta.toml:9:3"),
        policy_place: "gateway.toml:4:1",
        obstructions: None,
        node: None,
    };
    diagnosis.steps()
}

/// The only step that is bad, as `<name>: <text>`.
fn cause(report: &Report, rules: &RulesReport) -> String {
    let steps = steps(report, rules);
    let mut bad = steps.iter().filter(|step| step.state == State::Bad);
    let cause = bad
        .next()
        .map(|step| format!("{}: {}", step.name, step.text));

    assert_eq!(bad.next(), None, "one cause, and nothing else is blamed");
    cause.expect("a cause")
}

#[test]
fn a_way_on_which_all_is_well_has_no_cause() {
    let steps = steps(&report(), &rules());
    let lines: Vec<String> = steps
        .iter()
        .map(|step| format!("{:?} {}: {}", step.state, step.name, step.text))
        .collect();

    assert_eq!(
        lines,
        [
            "Good prefix: 10.2.0.0/16 of beta/west (beta.toml:9:3)",
            "Good tunnel: gw.beta is up, round trip 1.2 ms, outer packets up to 1420 bytes",
            "Good our rules: [policy] egress lets it leave (gateway.toml:4:1)",
            "Good their rules: gw.beta allows it",
        ]
    );
}

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
        "prefix: 10.2.0.0/16 of beta/west (beta.toml:9:3) is not used: it overlaps 10.2.0.0/15 \
         (org gamma, site east, gamma.toml:9:3)"
    );

    report.routes[0].verdict = "refused".into();
    report.routes[0].refused = Some("gamma does not consent".into());
    assert_eq!(
        cause(&report, &RulesReport::default()),
        "prefix: 10.2.0.0/16 of beta/west (beta.toml:9:3) is not used: gamma does not consent"
    );

    report.routes.clear();
    assert_eq!(
        cause(&report, &RulesReport::default()),
        "prefix: no member's site has 10.2.0.21"
    );
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
        "tunnel: gw.beta is down: no answer from 203.0.113.9:4600"
    );

    report.tunnels[0].state = "up".into();
    assert_eq!(
        cause(&report, &silent),
        "tunnel: gw.beta is up, but does not announce 10.2.0.0/16"
    );

    let refused = [("10.2.0.0/16".to_owned(), "not in its record".to_owned())];
    report.tunnels[0].refused = refused.into();
    assert_eq!(
        cause(&report, &silent),
        "tunnel: gw.beta announces 10.2.0.0/16, refused: not in its record"
    );

    report.tunnels.clear();
    assert_eq!(
        cause(&report, &silent),
        "tunnel: beta has no gateway in its record"
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
}

#[test]
fn a_route_that_the_kernel_does_not_have_is_the_cause() {
    let mut report = report();
    report.routes[0].installed = false;
    assert_eq!(
        cause(&report, &rules()),
        "tunnel: gw.beta serves 10.2.0.0/16, but the kernel has no route"
    );
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
        "our rules: no rule allows it (gateway.toml:4:1)"
    );

    let theirs = RulesReport {
        theirs: PeerVerdict::Denied,
        ..rules()
    };
    assert_eq!(
        cause(&report(), &theirs),
        "their rules: gw.beta does not let it in"
    );

    for told in [
        PeerVerdict::NotTold,
        PeerVerdict::Older,
        PeerVerdict::NoAnswer,
    ] {
        let rules = RulesReport {
            theirs: told,
            ..rules()
        };
        let steps = steps(&report(), &rules);
        assert_eq!(steps[3].state, State::Unknown, "{told:?}");
        assert!(
            steps.iter().all(|step| step.state != State::Bad),
            "{told:?}"
        );
    }
}

#[test]
fn what_other_programs_do_is_a_cause_only_for_the_prefix_that_it_is_about() {
    let mut report = report();
    let item = |what: &str| AttentionReport {
        kind: "foreign-route".into(),
        name: "route".into(),
        what: what.into(),
        since: String::new(),
        remedy: "ip rule del pref 100".into(),
        fix: Remedy::command("ip rule del pref 100"),
    };
    report.attention = vec![item("10.3.0.0/16 leads to eth0 by rule 100")];
    let steps = steps(&report, &rules());
    assert!(steps.iter().all(|step| step.state != State::Bad));

    report
        .attention
        .push(item("10.2.0.0/16 leads to eth0 by rule 100"));
    assert_eq!(
        cause(&report, &rules()),
        "host: 10.2.0.0/16 leads to eth0 by rule 100"
    );
}

#[test]
fn filters_of_others_are_a_cause_if_they_stop_this_connection() {
    let mut report = report();
    let drops = "nftables chain inet f c drops packets from lan0 to ringway0";
    report.attention = vec![AttentionReport {
        kind: "foreign-firewall".into(),
        name: "foreign filter inet f c".into(),
        what: drops.into(),
        since: String::new(),
        remedy: String::new(),
        fix: Remedy::None,
    }];
    let with = |found: Option<&[Finding]>| {
        let diagnosis = Diagnosis {
            opening: opening(),
            arrives: false,
            report: &report,
            rules: &rules(),
            prefix_place: None,
            policy_place: "gateway.toml",
            obstructions: found,
            node: None,
        };
        let steps = diagnosis.steps();
        let host = steps.into_iter().filter(|step| step.name == "host");
        host.map(|step| step.state).collect::<Vec<_>>()
    };

    // Without the right to look closer, nobody knows.
    assert_eq!(with(None), [State::Unknown]);
    // It drops something else.
    assert_eq!(with(Some(&[])), []);
    let finding = Finding {
        name: "foreign filter inet f c".into(),
        what: drops.into(),
        remedy: Remedy::None,
    };
    assert_eq!(with(Some(&[finding])), [State::Bad]);
}

#[test]
fn what_cuts_every_host_off_is_a_cause() {
    for (kind, name) in [
        ("kernel-state", "forwarding off"),
        ("site-network", "site network"),
    ] {
        let mut report = report();
        report.attention = vec![AttentionReport {
            kind: kind.into(),
            name: name.into(),
            what: "the hosts are cut off".into(),
            since: String::new(),
            remedy: String::new(),
            fix: Remedy::None,
        }];
        assert_eq!(cause(&report, &rules()), "host: the hosts are cut off");
    }
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
    let step = |report: &Report| {
        let diagnosis = Diagnosis {
            opening: opening(),
            arrives: false,
            report,
            rules: &rules(),
            prefix_place: None,
            policy_place: "gateway.toml",
            obstructions: None,
            node: Some("node:db1.acme"),
        };
        let steps = diagnosis.steps();
        let mut bad = steps.iter().filter(|step| step.state == State::Bad);
        (steps[0].state, bad.next().map(|step| step.text.clone()))
    };

    let down = "node:db1.acme is down: peer shut down";
    for (state, wireguard, expected) in [
        ("up", false, (State::Good, None)),
        ("down", false, (State::Bad, Some(down.to_owned()))),
        ("down", true, (State::Unknown, None)),
    ] {
        report.nodes = vec![node(state, wireguard)];
        assert_eq!(step(&report), expected, "{state} {wireguard}");
    }
    report.nodes.clear();
    assert_eq!(step(&report), (State::Unknown, None));
}

#[test]
fn a_standby_names_the_active_gateway_as_the_one_to_ask() {
    let mut report = report();
    report.role = Some(RoleReport {
        role: "standby".into(),
        ..RoleReport::default()
    });
    report.site.siblings = vec![SiblingReport {
        gateway: "gw2.acme".into(),
        role: Some("active".into()),
        ..SiblingReport::default()
    }];

    let first = &steps(&report, &rules())[0];
    assert_eq!((first.name, first.state), ("role", State::Unknown));
    assert_eq!(first.remedy, "run this command at gw2.acme");
}

#[test]
fn a_host_of_ours_whose_check_fails_is_the_cause() {
    let mut report = report();
    report.checks = vec![CheckReport {
        host: "peer0.acme.example".into(),
        address: "10.1.0.11:7051".into(),
        state: "failed".into(),
        since: String::new(),
        error: Some("connection refused".into()),
    }];
    let diagnosis = Diagnosis {
        opening: Opening {
            source: opening().destination,
            destination: opening().source,
            service: Asked::Tcp(7051),
        },
        arrives: true,
        report: &report,
        rules: &rules(),
        prefix_place: None,
        policy_place: "gateway.toml:4:1",
        obstructions: None,
        node: None,
    };

    let steps = diagnosis.steps();
    let bad: Vec<_> = steps.iter().filter(|it| it.state == State::Bad).collect();
    assert_eq!(bad.len(), 1);
    assert_eq!(
        bad[0].text,
        "peer0.acme.example's check of 10.1.0.11:7051 fails: connection refused"
    );
}

#[test]
fn a_probe_says_who_answered() {
    let to = "10.2.0.21:7050".parse().unwrap();
    let states = [
        (
            Probe::Connected(std::time::Duration::from_millis(2)),
            State::Good,
        ),
        (Probe::Refused, State::Bad),
        (Probe::Silent, State::Bad),
        (Probe::NotTried("--no-probe".into()), State::Unknown),
    ];
    for (probe, state) in states {
        assert_eq!(probe.step(to, None).state, state, "{probe:?}");
    }
    assert_eq!(
        Probe::Refused.step(to, None).text,
        "10.2.0.21 answers, but refuses port 7050"
    );
}
