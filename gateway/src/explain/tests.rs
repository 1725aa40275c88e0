//! Each verdict that a step can give, and that nothing else is blamed for it.

mod beside;
mod verdicts;

use super::*;
use crate::admin::RoleReport;
use crate::admin::report::{AttentionReport, CheckReport};
use crate::admin::site::SiblingReport;
use ringway_intent::{Finding, Remedy};

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
    }
}

fn steps(report: &Report, rules: &RulesReport) -> Vec<Step> {
    diagnosis(report, rules).steps()
}

/// The only step that is bad, as `<verdict>: <text>`.
fn cause(report: &Report, rules: &RulesReport) -> String {
    let steps = steps(report, rules);
    let mut bad = steps.iter().filter(|step| step.state == State::Bad);
    let cause = bad
        .next()
        .map(|step| format!("{:?}: {}", step.verdict, step.text));

    assert_eq!(bad.next(), None, "one cause, and nothing else is blamed");
    cause.expect("a cause")
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
            "OursAllow our rules: [policy] egress lets it leave (gateway.toml:4:1)",
            "TheirsAllow their rules: gw.beta allows it",
        ]
    );
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
        "PrefixConflicted: 10.2.0.0/16 of beta/west (beta.toml:9:3) is not used: it overlaps \
         10.2.0.0/15 (org gamma, site east, gamma.toml:9:3)"
    );

    report.routes[0].verdict = "refused".into();
    report.routes[0].refused = Some("gamma does not consent".into());
    assert_eq!(
        cause(&report, &RulesReport::default()),
        "PrefixRefused: 10.2.0.0/16 of beta/west (beta.toml:9:3) is not used: gamma does not \
         consent"
    );

    report.routes.clear();
    assert_eq!(
        cause(&report, &RulesReport::default()),
        "PrefixOfNobody: no member's site has 10.2.0.21"
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

/// The steps about the rules, if a host of the other site opens something here.
fn arriving(report: &Report, rules: &RulesReport) -> [Verdict; 2] {
    let diagnosis = Diagnosis {
        opening: Opening {
            source: opening().destination,
            destination: opening().source,
            service: Asked::Tcp(7051),
        },
        arrives: true,
        ..diagnosis(report, rules)
    };

    let steps = diagnosis.steps();
    [steps[2].verdict, steps[3].verdict]
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
    assert_eq!(arriving(&report, &ours)[0], Verdict::OursDenyEntry);
    assert_eq!(arriving(&report, &theirs)[1], Verdict::TheirsDenyExit);

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
        assert_eq!(arriving(&report, &theirs)[1], verdict);
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
    assert_eq!(steps[3].verdict, Verdict::TheirsUntoldToNodes);
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
        "HostStops: 10.2.0.0/16 leads to eth0 by rule 100"
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
    let rules = rules();
    let with = |found: Option<&Obstructions>| {
        let diagnosis = Diagnosis {
            obstructions: found,
            ..diagnosis(&report, &rules)
        };
        let steps = diagnosis.steps();
        let host = steps.into_iter().filter(|step| step.name == "host");
        host.map(|step| step.verdict).collect::<Vec<_>>()
    };

    // Without the right to look closer, nobody knows.
    assert_eq!(with(None), [Verdict::HostMayStop]);
    // It drops something else.
    assert_eq!(with(Some(&Obstructions::default())), []);
    let finding = Finding {
        name: "foreign filter inet f c".into(),
        what: drops.into(),
        remedy: Remedy::None,
    };
    let certain = Obstructions {
        certain: vec![finding.clone()],
        possible: Vec::new(),
    };
    assert_eq!(with(Some(&certain)), [Verdict::HostStops]);
    // It has a rule that cannot be judged.
    let possible = Obstructions {
        certain: Vec::new(),
        possible: vec![finding],
    };
    assert_eq!(with(Some(&possible)), [Verdict::HostMayStop]);
}

#[test]
fn an_interface_that_is_down_is_the_only_cause_that_no_route_leads_into_the_site() {
    let mut report = report();
    let no_carrier = AttentionReport {
        kind: "site-network".into(),
        name: "site network".into(),
        what: "lan0 has no carrier".into(),
        since: String::new(),
        remedy: String::new(),
        fix: Remedy::None,
    };
    let certain = ["route IPv4 from ringway0", "way to 10.1.0.11"].map(|name| Finding {
        name: name.into(),
        what: "go nowhere".into(),
        remedy: Remedy::None,
    });
    let found = Obstructions {
        certain: certain.into(),
        possible: Vec::new(),
    };
    let texts = |report: &Report| {
        let rules = rules();
        let diagnosis = Diagnosis {
            obstructions: Some(&found),
            ..diagnosis(report, &rules)
        };
        let steps = diagnosis.steps().into_iter();
        let host = steps.filter(|step| step.name == "host");
        host.map(|step| step.text).collect::<Vec<_>>()
    };

    assert_eq!(texts(&report), ["go nowhere", "go nowhere"]);
    report.attention = vec![no_carrier.clone()];
    assert_eq!(texts(&report), ["lan0 has no carrier"]);
    // That of the other family explains nothing here.
    report.attention[0].name = "site network IPv6".into();
    assert_eq!(texts(&report), ["go nowhere", "go nowhere"]);
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
        assert_eq!(cause(&report, &rules()), "HostStops: the hosts are cut off");
    }
}

#[test]
fn what_is_about_the_other_family_is_no_cause() {
    let item = |kind: &str, name: &str| AttentionReport {
        kind: kind.into(),
        name: name.into(),
        what: "something".into(),
        since: String::new(),
        remedy: String::new(),
        fix: Remedy::None,
    };
    let v6 = Opening {
        source: "fd00:1::11".parse().unwrap(),
        destination: "fd00:2::21".parse().unwrap(),
        ..opening()
    };
    let rules = rules();

    for (kind, name, is_of_v4, is_of_v6) in [
        ("site-network", "site network IPv4", true, false),
        ("site-network", "site network IPv6", false, true),
        ("site-network", "site network", true, true),
        ("kernel-state", "ipv6", false, true),
        (
            "foreign-firewall",
            "foreign filter ip filter FORWARD",
            true,
            false,
        ),
        (
            "foreign-firewall",
            "foreign filter ip6 filter FORWARD",
            false,
            true,
        ),
        ("foreign-firewall", "foreign filter inet f c", true, true),
        (
            "foreign-firewall",
            "foreign filter ip6tables-legacy FORWARD",
            false,
            true,
        ),
        ("foreign-route", "route IPv4 10.2.0.0/16", true, false),
        ("foreign-route", "route IPv6 fd00:2::/64", false, true),
    ] {
        let mut report = report();
        report
            .routes
            .push(route("fd00:2::/64", "beta", Some("gw.beta")));
        report.attention = vec![item(kind, name)];

        for (opening, expected) in [(opening(), is_of_v4), (v6, is_of_v6)] {
            let diagnosis = Diagnosis {
                opening,
                ..diagnosis(&report, &rules)
            };
            let steps = diagnosis.steps();
            let is_named = steps.iter().any(|step| step.name == "host");
            assert_eq!(is_named, expected, "{name}: {steps:?}");
        }
    }
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
        diagnosis.steps().remove(2)
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
    report.nodes.clear();
    assert_eq!(step(&report), (Verdict::NodeUnknown, None));
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
    assert_eq!(first.verdict, Verdict::Standby);
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
    let rules = rules();
    let diagnosis = Diagnosis {
        opening: Opening {
            source: opening().destination,
            destination: opening().source,
            service: Asked::Tcp(7051),
        },
        arrives: true,
        ..diagnosis(&report, &rules)
    };

    let steps = diagnosis.steps();
    let bad: Vec<_> = steps.iter().filter(|it| it.state == State::Bad).collect();
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].verdict, Verdict::CheckFails);
    assert_eq!(
        bad[0].text,
        "peer0.acme.example's check of 10.1.0.11:7051 fails: connection refused"
    );
}

#[test]
fn a_probe_says_who_answered_or_why_it_was_not_tried() {
    let to = "10.2.0.21:7050".parse().unwrap();
    let moment = std::time::Duration::from_millis(2);
    let failed = std::io::ErrorKind::HostUnreachable.into();
    let [meant, here] = ["10.1.0.11", "10.1.0.1"].map(|address| address.parse().unwrap());
    let not_let_in = NotTried::NotLetIn { meant, here };
    let stopped = NotTried::StoppedHere("a chain drops them".into());

    for (probe, verdict, text) in [
        (
            Probe::Connected(moment),
            Verdict::Connected,
            "10.2.0.21:7050 accepts connections, 2.0 ms",
        ),
        (
            Probe::Refused,
            Verdict::Refused,
            "10.2.0.21 answers, but refuses port 7050",
        ),
        (
            Probe::Silent,
            Verdict::Silent,
            "10.2.0.21:7050 does not answer within 5 s",
        ),
        (
            Probe::Failed(failed),
            Verdict::Failed,
            "10.2.0.21:7050: host unreachable",
        ),
        (
            Probe::NotTried(NotTried::NotWanted),
            Verdict::NotWanted,
            "not tried: --no-probe",
        ),
        (
            Probe::NotTried(NotTried::NotTcp),
            Verdict::NotTcp,
            "not tried: only TCP can be tried from here",
        ),
        (
            Probe::NotTried(NotTried::NoAddressInSite),
            Verdict::NoAddressInSite,
            "not tried: this host has no address in the site",
        ),
        (
            Probe::NotTried(not_let_in),
            Verdict::NotLetIn,
            "not tried: the far end lets 10.1.0.11 in, but not this host (10.1.0.1)",
        ),
        (
            Probe::NotTried(stopped),
            Verdict::StoppedHere,
            "not tried: a chain drops them",
        ),
    ] {
        let step = probe.step(to, None);
        assert_eq!((step.verdict, step.text.as_str()), (verdict, text));
    }

    // A gateway on the way may refuse it for an attached node: nobody has answered for certain.
    let there = "at gw.beta: ringway explain 10.1.0.11 10.2.0.21";
    let step = Probe::Refused.step(to, Some(there));
    assert_eq!(step.text, "10.2.0.21:7050 is refused");
    assert!(step.remedy.ends_with(&format!("it may be down: {there}")));
}
