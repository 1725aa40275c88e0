//! Announcements, and the handling of the peer's claims.

use ringway_core::{
    Action, Message, PolicyEnvelope, PolicyMessage, PolicyVerdict, Refuse, RefuseReason, Role,
    ZoneMessage,
};

use crate::bench::{Bench, SECOND, hello, id, membership, prefix, prefixes};

fn announced(messages: &[Message]) -> Vec<&Message> {
    messages
        .iter()
        .filter(|m| matches!(m, Message::Announce { .. } | Message::Withdraw { .. }))
        .collect()
}

#[test]
fn a_peer_learns_our_prefixes_and_another_gateway_of_our_site_an_empty_set() {
    let mut bench = Bench::new();
    for (peer, expected) in [
        ("gw.a", prefixes(&["10.1.0.0/16"])),
        ("gw2.m", prefixes(&[])),
    ] {
        let conn = bench.connect(peer, Role::Accepter);
        bench.receive(conn, hello(1, 0));
        let sent = bench.sent(conn);
        let [Message::Announce { prefixes, .. }] = announced(&sent)[..] else {
            panic!("{sent:?}")
        };
        assert_eq!(*prefixes, expected, "{peer}");
    }
}

#[test]
fn no_route_leads_through_another_gateway_of_our_site() {
    let mut bench = Bench::new();
    bench.tunnel("gw2.m", &["10.1.0.0/16", "10.1.7.0/24"]);
    assert!(bench.fib.routes.is_empty());
    assert_eq!(
        bench.status("gw2.m").refused[&prefix("10.1.7.0/24")],
        RefuseReason::LocalSite
    );
}

#[test]
fn a_change_of_our_prefixes_is_announced_as_a_difference_with_growing_serials() {
    let mut bench = Bench::new();
    let conn = bench.tunnel("gw.a", &[]);
    let mut moved = membership();
    let home = ("m".parse().unwrap(), "home".parse().unwrap());
    moved.authorized.insert(home, vec![prefix("10.8.0.0/16")]);
    bench.mesh.handle_membership(moved, bench.now);
    bench.collect();
    let sent = bench.sent(conn);
    let [
        Message::Announce { serial: first, .. },
        Message::Withdraw {
            serial: second,
            prefixes: lost,
        },
        Message::Announce {
            serial: third,
            prefixes: gained,
        },
    ] = announced(&sent)[..]
    else {
        panic!("{sent:?}")
    };
    assert!(first < second && second < third);
    assert_eq!(
        (lost, gained),
        (&prefixes(&["10.1.0.0/16"]), &prefixes(&["10.8.0.0/16"]))
    );
    assert_eq!(bench.fib.local, [prefix("10.8.0.0/16")]);
}

#[test]
fn a_prefix_without_a_route_is_withdrawn_until_there_is_one_again() {
    let mut bench = Bench::new();
    let conn = bench.tunnel("gw.a", &["10.2.0.0/16"]);
    let first = bench.actions.len();
    bench.mesh.handle_unannounced(prefixes(&["10.1.0.0/16"]));
    bench.collect();
    bench.mesh.handle_unannounced(prefixes(&["10.1.0.0/16"]));
    bench.collect();
    // A new session starts without the claim, and with an announcement all the same: the routes
    // move to it only then.
    let next = bench.connect("gw.z", Role::Accepter);
    bench.receive(next, hello(1, 0));
    bench.mesh.handle_unannounced(prefixes(&[]));
    bench.collect();

    bench.actions.drain(..first);
    let ours = prefixes(&["10.1.0.0/16"]);
    let sent = bench.sent(conn);
    let [
        Message::Withdraw { prefixes: lost, .. },
        Message::Announce {
            prefixes: gained, ..
        },
    ] = announced(&sent)[..]
    else {
        panic!("{sent:?}")
    };
    assert_eq!((lost, gained), (&ours, &ours));
    let sent = bench.sent(next);
    let [
        Message::Announce { prefixes: none, .. },
        Message::Announce {
            prefixes: gained, ..
        },
    ] = announced(&sent)[..]
    else {
        panic!("{sent:?}")
    };
    assert_eq!((none, gained), (&prefixes(&[]), &ours));

    // It stays ours: nobody else becomes the way to it, and its packets are still taken.
    assert_eq!(bench.fib.local, [prefix("10.1.0.0/16")]);
    assert_eq!(bench.route("10.2.0.0/16"), Some(conn));
}

#[test]
fn a_refused_claim_is_answered_and_shown_at_both_ends() {
    let mut bench = Bench::new();
    let conn = bench.tunnel("gw.a", &["10.3.0.0/16"]);
    assert!(bench.fib.routes.is_empty());

    let refused = [(prefix("10.3.0.0/16"), RefuseReason::NotAuthorized)].into();
    let answer = Message::Refuse(Refuse {
        whole: None,
        refused,
    });
    assert!(bench.sent(conn).contains(&answer));
    assert!(
        bench.alarms()[0]
            .to_string()
            .contains("1 claims of gw.a refused, first 10.3.0.0/16")
    );

    // The peer refuses a claim of ours.
    let refused = [(prefix("10.1.0.0/16"), RefuseReason::NotAuthorized)].into();
    bench.receive(
        conn,
        Message::Refuse(Refuse {
            whole: None,
            refused,
        }),
    );
    assert_eq!(
        bench.status("gw.a").refused_by_peer[&prefix("10.1.0.0/16")],
        RefuseReason::NotAuthorized
    );
}

#[test]
fn a_withdrawn_claim_is_no_route_any_more() {
    let mut bench = Bench::new();
    let conn = bench.tunnel("gw.a", &["10.2.0.0/17", "10.2.128.0/17"]);
    bench.receive(
        conn,
        Message::Withdraw {
            serial: 2,
            prefixes: prefixes(&["10.2.0.0/17"]),
        },
    );
    assert_eq!(
        (bench.route("10.2.0.0/17"), bench.route("10.2.128.0/17")),
        (None, Some(conn))
    );

    bench.receive(
        conn,
        Message::Announce {
            serial: 1,
            prefixes: prefixes(&["10.2.0.0/17"]),
        },
    );
    assert_eq!(
        bench.route("10.2.0.0/17"),
        None,
        "an old serial changes nothing"
    );
}

#[test]
fn status_lists_every_remote_prefix_reachable_or_not() {
    let mut bench = Bench::new();
    bench.tunnel("gw.a", &["10.2.4.0/24"]);
    let routes = bench.mesh.status(bench.now).routes;
    let lines: Vec<_> = routes
        .into_iter()
        .map(|route| (route.prefix, route.gateway))
        .collect();
    let expected = [
        (prefix("10.2.0.0/16"), None),
        (prefix("10.2.4.0/24"), Some(id("gw.a"))),
        (prefix("10.3.0.0/16"), None),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn zone_messages_are_passed_on_once_the_session_is_up() {
    let mut bench = Bench::new();
    let conn = bench.tunnel("gw.a", &[]);
    let message = ZoneMessage::Fetch {
        apex: "m.consortium.example".parse().unwrap(),
        serial: 4,
        have: None,
    };
    bench.receive(conn, Message::Zone(message.clone()));
    assert!(bench.actions.contains(&Action::ZoneMessage {
        peer: id("gw.a"),
        conn,
        message
    }));
}

#[test]
fn questions_about_the_policy_are_passed_on_once_the_session_is_up() {
    let mut bench = Bench::new();
    let message = PolicyMessage::Answer {
        number: 7,
        verdict: PolicyVerdict::Allowed,
        node: None,
    };
    let conn = bench.tunnel("gw.a", &[]);
    bench.receive(conn, Message::Policy(message));
    let letter = PolicyEnvelope {
        peer: id("gw.a"),
        conn,
        message,
    };
    assert!(bench.actions.contains(&Action::Policy(letter)));
}

#[test]
fn a_table_is_published_only_when_it_differs() {
    let mut bench = Bench::new();
    let conn = bench.tunnel("gw.a", &["10.2.0.0/16"]);
    bench.actions.clear();
    bench.receive(
        conn,
        Message::Announce {
            serial: 3,
            prefixes: prefixes(&["10.2.0.0/16"]),
        },
    );
    bench.mesh.handle_membership(membership(), bench.now);
    bench.pass(SECOND * 3, &[conn]);
    assert!(
        !bench
            .actions
            .iter()
            .any(|action| matches!(action, Action::Publish(_)))
    );
}
