//! What the text says about the steps of both families.

use super::*;

fn explanation(bad: &[Verdict]) -> Explanation {
    let mut explanation = Explanation {
        from: "peer0.acme".into(),
        to: "peer0.beta".into(),
        source: None,
        destination: None,
        service: "tcp 7051".into(),
        works: Some(true),
        families: Vec::new(),
        steps: Vec::new(),
    };

    for (index, [source, destination]) in [["fd00:1::11", "fd00:2::11"], ["10.1.0.11", "10.2.0.11"]]
        .into_iter()
        .enumerate()
    {
        let way = Way {
            family: Family::of(source.parse().unwrap()),
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            between: Between::Leaving,
            is_this_host: false,
            works: None,
        };
        let mut step = Step::new(bad[index], "said");
        step.family = Some(way.family);
        explanation.add_way(way, vec![step]);
    }
    explanation
}

#[test]
fn each_family_has_its_steps_and_a_failing_one_is_named() {
    let one = explanation(&[Verdict::TheirsDenyEntry, Verdict::TheirsAllow]);
    assert_eq!(one.works, Some(false));
    assert_eq!(
        text(&one),
        "peer0.acme (fd00:1::11) to peer0.beta (fd00:2::11), tcp 7051\n\
         \x20 NO  their rules  said\n\n\
         peer0.acme (10.1.0.11) to peer0.beta (10.2.0.11), tcp 7051\n\
         \x20 ok  their rules  said\n\n\
         IPv6 does not work: their rules.\nNothing is against IPv4.\n\
         The names have addresses of both families. Most programs try IPv6 first (the C \
         library's\norder), others IPv4; some try no other one.\n"
    );
    let json = serde_json::to_value(&one).unwrap();
    assert_eq!(json["source"], "fd00:1::11");
    assert_eq!(json["families"][0]["works"], false);
    assert_eq!(json["families"][1]["works"], true);
    assert_eq!(json["steps"][0]["family"], "IPv6");
    assert_eq!(json["steps"][1]["family"], "IPv4");

    let both = explanation(&[Verdict::OursDenyExit, Verdict::Silent]);
    let shown = text(&both);
    assert!(
        shown.contains("IPv6 does not work: our rules.\nIPv4 does not work: connection.\n"),
        "{shown}"
    );
}

#[test]
fn a_client_that_is_down_is_the_cause_if_nothing_else_is() {
    let quiet = explanation(&[Verdict::NodeQuiet, Verdict::NodeQuiet]);
    assert_eq!(quiet.works, Some(false));
    let shown = text(&quiet);
    assert!(
        shown.ends_with(
            "\nIt does not work now: node. Nothing else on the way is certainly against it.\n"
        ),
        "{shown}"
    );
    let mut both = explanation(&[Verdict::NodeQuiet, Verdict::NodeQuiet]);
    both.add(Step::new(Verdict::TunnelDown, ""));
    let shown = text(&both);
    assert!(shown.ends_with("\nIt does not work: tunnel.\n"), "{shown}");
}

#[test]
fn what_may_be_the_cause_keeps_it_from_saying_that_nothing_is() {
    for doubt in [
        Verdict::HostMayStop,
        Verdict::DnsPartlyUnreachable,
        Verdict::OtherGatewayDown,
        Verdict::NodeUnknown,
        Verdict::Standby,
        Verdict::TheirsUntold,
        Verdict::TheirsUntoldToNodes,
        Verdict::TheirsUnreachable,
        Verdict::TheirsOlder,
        Verdict::TheirsSilent,
    ] {
        let shown = text(&explanation(&[doubt, Verdict::TunnelUp]));
        assert!(
            shown.contains("\nNothing on the way is certainly against it; look"),
            "{shown}"
        );
    }

    // Where a connection was made, the rules of the far end allow it.
    for (doubt, sure) in [(Verdict::TheirsSilent, true), (Verdict::Standby, false)] {
        let shown = text(&explanation(&[doubt, Verdict::Connected]));
        let is_sure = shown.contains("\nNothing on the way is against it");
        assert_eq!(is_sure, sure, "{shown}");
    }

    let quiet = text(&explanation(&[
        Verdict::FarNodeQuiet,
        Verdict::FarNodeQuiet,
    ]));
    assert!(quiet.contains("\nIt does not work now: node."), "{quiet}");
}

#[test]
fn an_end_that_is_this_host_is_not_sent_to_look_at_its_route() {
    let mut here = explanation(&[Verdict::TunnelUp, Verdict::TunnelUp]);
    here.families[0].is_this_host = true;
    let shown = text(&here);
    assert!(shown.contains("and fd00:1::11 is this host. "), "{shown}");
    assert!(!shown.contains("ip route get"), "{shown}");
}

#[test]
fn what_is_about_every_family_is_said_once() {
    let mut good = explanation(&[Verdict::TunnelUp, Verdict::TunnelUp]);
    assert_eq!(good.works, Some(true));
    assert!(text(&good).contains("\nNothing on the way is against it."));

    good.add(Step::new(Verdict::DnsUnreachable, "a chain drops them"));
    assert_eq!(good.works, Some(false));
    let shown = text(&good);
    assert!(shown.ends_with("\nIt does not work: name.\n"), "{shown}");
    assert_eq!(shown.matches("a chain drops them").count(), 1, "{shown}");
}
