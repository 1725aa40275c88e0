//! A bad peer may lose its session, but does not affect other tunnels.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use ringway_core::{
    Action, ByeCode, ConnId, Connected, ConnectionError, DialId, FieldError, Kind, Message, Refuse,
    RefuseReason, Role, SessionIndex, TrustError, VersionMismatch,
};

use crate::bench::{Bench, SECOND, hello, id, membership, prefixes};

#[test]
fn a_peer_that_sends_no_hello_is_disconnected_after_five_seconds() {
    let mut bench = Bench::new();
    let conn = bench.connect("gw.a", Role::Accepter);
    bench.pass(SECOND * 49 / 10, &[]);
    assert_eq!(bench.closed(conn), None);
    bench.pass(SECOND / 10, &[]);
    assert_eq!(bench.closed(conn), Some(ByeCode::HelloTimeout));
}

#[test]
fn half_open_sessions_are_capped_per_peer() {
    let mut bench = Bench::new();
    let conns: Vec<ConnId> = (0..6)
        .map(|_| bench.connect("gw.a", Role::Accepter))
        .collect();
    let closed: Vec<_> = conns.iter().map(|conn| bench.closed(*conn)).collect();
    assert_eq!(closed[..4], [None; 4]);
    assert_eq!(closed[4..], [Some(ByeCode::TooMany); 2]);
    let other = bench.connect("gw.z", Role::Accepter);
    assert_eq!(bench.closed(other), None);
}

#[test]
fn sessions_are_capped_per_peer_however_often_they_are_replaced() {
    let mut bench = Bench::new();
    let mut conns = vec![bench.tunnel("gw.a", &[])];
    for number in 1..100 {
        conns.push(bench.connect("gw.a", Role::Accepter));
        bench.receive(conns[number], hello(1, number as u64));
        bench.receive(
            conns[number],
            Message::Announce {
                serial: 1,
                prefixes: [].into(),
            },
        );
        bench.pass(SECOND / 100, &conns);
        assert!(bench.live.len() <= 8);
    }
}

#[test]
fn another_first_message_than_hello_or_a_second_hello_breaks_the_protocol() {
    let mut bench = Bench::new();
    let early = bench.connect("gw.a", Role::Accepter);
    bench.receive(
        early,
        Message::Announce {
            serial: 1,
            prefixes: prefixes(&["10.2.0.0/16"]),
        },
    );
    assert_eq!(bench.closed(early), Some(ByeCode::Protocol));

    let twice = bench.tunnel("gw.a", &[]);
    bench.receive(twice, hello(1, 0));
    assert_eq!(bench.closed(twice), Some(ByeCode::Protocol));
    assert_eq!(bench.error("gw.a"), "unexpected Hello");
}

#[test]
fn a_hello_of_another_version_is_refused_with_both_versions_named() {
    let mut bench = Bench::new();
    let conn = bench.connect("gw.a", Role::Accepter);
    let error = FieldError::Version(VersionMismatch { newest: 3 });
    bench
        .mesh
        .handle_malformed(conn, Kind::Hello, error, bench.now);
    bench.collect();
    assert_eq!(bench.closed(conn), Some(ByeCode::Version));
    assert_eq!(
        bench.error("gw.a"),
        "peer runs protocol version 3, we speak 1"
    );
}

#[test]
fn a_malformed_announcement_withdraws_and_is_answered_but_the_session_goes_on() {
    let mut bench = Bench::new();
    let conn = bench.tunnel("gw.a", &["10.2.0.0/16"]);
    for _ in 0..100 {
        bench
            .mesh
            .handle_malformed(conn, Kind::Announce, FieldError::Truncated, bench.now);
    }
    bench.collect();
    assert!(bench.is_up("gw.a") && bench.route("10.2.0.0/16").is_none());

    let refuse = Refuse {
        whole: Some(RefuseReason::Malformed),
        ..Refuse::default()
    };
    assert_eq!(bench.sent(conn).pop(), Some(Message::Refuse(refuse)));
    assert_eq!(bench.alarms().len(), 8, "the number of alarms is bounded");

    bench.receive(
        conn,
        Message::Announce {
            serial: 2,
            prefixes: prefixes(&["10.2.0.0/16"]),
        },
    );
    assert_eq!(bench.route("10.2.0.0/16"), Some(conn));
}

#[test]
fn a_peer_that_drops_every_session_is_not_dialled_in_a_loop() {
    let mut bench = Bench::new();
    bench.pass(SECOND / 4, &[]);
    bench.actions.clear();
    let mut dials = 0;
    for _ in 0..1000 {
        bench.pass(SECOND / 100, &[]);
        if bench.last_dial("gw.a").is_some() {
            dials += 1;
            let conn = bench.connect("gw.a", Role::Dialler);
            bench.receive(conn, hello(1, 0));
            bench.pass(SECOND / 100, &[conn]);
            bench.receive(
                conn,
                Message::Bye {
                    code: ByeCode::Shutdown,
                },
            );
            bench.actions.clear();
        }
    }
    assert!((5..=20).contains(&dials), "{dials} dials in about 10 s");
}

/// Any input, possible or not.
#[derive(Debug, Clone)]
enum Input {
    Connect {
        peer: usize,
        role: bool,
        dial: Option<u64>,
    },
    Message {
        conn: u64,
        kind: usize,
        number: u64,
    },
    Malformed {
        conn: u64,
    },
    Gone {
        conn: u64,
    },
    Untrusted {
        conn: u64,
    },
    DialFailed {
        dial: u64,
    },
    Echo {
        session: u32,
        probe: u64,
    },
    Membership {
        without: usize,
    },
    ClockJump,
    HostChange,
    Identity,
    Pass {
        millis: u64,
        echoing: bool,
    },
}

fn input() -> impl Strategy<Value = Input> {
    use Input::{
        ClockJump, Connect, DialFailed, Echo, Gone, HostChange, Identity, Malformed, Membership,
        Pass, Untrusted,
    };
    let connect = (0usize..4, any::<bool>(), proptest::option::of(0u64..9));
    prop_oneof![
        4 => connect.prop_map(|(peer, role, dial)| Connect { peer, role, dial }),
        8 => (0u64..30, 0usize..7, 0u64..5)
            .prop_map(|(conn, kind, number)| Input::Message { conn, kind, number }),
        1 => (0u64..30).prop_map(|conn| Malformed { conn }),
        1 => (0u64..30).prop_map(|conn| Gone { conn }),
        1 => (0u64..30).prop_map(|conn| Untrusted { conn }),
        1 => (0u64..9).prop_map(|dial| DialFailed { dial }),
        1 => (any::<u32>(), 0u64..9).prop_map(|(session, probe)| Echo { session, probe }),
        1 => (0usize..4).prop_map(|without| Membership { without }),
        1 => Just(ClockJump),
        1 => Just(HostChange),
        1 => Just(Identity),
        4 => (0u64..4000, any::<bool>()).prop_map(|(millis, echoing)| Pass { millis, echoing }),
    ]
}

fn message(kind: usize, number: u64) -> Message {
    match kind {
        0 | 1 => hello(number as u8, number),
        2 => hello(1, u64::MAX),
        3 => Message::Announce {
            serial: number,
            prefixes: prefixes(&["10.2.0.0/16", "10.3.0.0/16"]),
        },
        4 => Message::Withdraw {
            serial: number,
            prefixes: prefixes(&["10.2.0.0/16"]),
        },
        5 => Message::Bye {
            code: ByeCode::from(number as u16),
        },
        _ => Message::Records { records: [].into() },
    }
}

fn feed(bench: &mut Bench, next: &mut u64, input: Input) {
    let mesh = &mut bench.mesh;
    let now = bench.now;

    match input {
        Input::Connect { peer, role, dial } => {
            *next += 1;
            let peer = id(["gw.a", "gw.z", "gw2.m", "gw.q"][peer]);
            let role = if role { Role::Dialler } else { Role::Accepter };
            let connected = Connected {
                peer,
                role,
                dial: dial.map(DialId),
                expires: now + SECOND * 30,
                rtt: SECOND / 100,
            };
            mesh.handle_connected(ConnId(*next), connected, now);
        }
        Input::Message { conn, kind, number } => {
            mesh.handle_message(ConnId(conn), message(kind, number), now)
        }
        Input::Malformed { conn } => {
            mesh.handle_malformed(ConnId(conn), Kind::Announce, FieldError::Truncated, now);
        }
        Input::Gone { conn } => bench.disconnect(ConnId(conn)),
        Input::Untrusted { conn } => {
            mesh.handle_untrusted(ConnId(conn), TrustError::SiteChanged, now);
        }
        Input::DialFailed { dial } => {
            mesh.handle_dial_failed(DialId(dial), ConnectionError::Reset.into(), now);
        }
        Input::Echo { session, probe } => mesh.handle_echo(SessionIndex(session), probe, now),
        Input::Membership { without } => {
            let mut membership = membership();
            if let Some(id) = membership.gateways.keys().nth(without).cloned() {
                membership.gateways.remove(&id);
            }
            mesh.handle_membership(membership, now);
        }
        Input::ClockJump => mesh.handle_clock_jump(now),
        Input::HostChange => mesh.handle_host_changed(now),
        Input::Identity => mesh.handle_identity_changed(now),
        Input::Pass { millis, echoing } => {
            let echoing: Vec<_> = (1..=if echoing { *next } else { 0 }).map(ConnId).collect();
            bench.pass(Duration::from_millis(millis), &echoing);
        }
    }
    bench.collect();
}

proptest! {
    #[test]
    fn no_sequence_of_inputs_breaks_the_mesh(inputs in proptest::collection::vec(input(), 0..120)) {
        let mut bench = Bench::new();
        let mut next = 0;
        let mut ended = BTreeSet::new();

        for input in inputs {
            bench.actions.clear();
            feed(&mut bench, &mut next, input);
            for action in &bench.actions {
                let conn = match action {
                    Action::Close { conn, .. } | Action::Retire { conn } => {
                        prop_assert!(ended.insert(*conn), "{conn:?} ended twice");
                        continue;
                    }
                    Action::Send { conn, .. } => conn,
                    Action::Probe { conn, .. } => conn,
                    Action::InstallOpening { conn, .. } => conn,
                    Action::InstallSealing { conn, .. } => conn,
                    _ => continue,
                };
                prop_assert!(!ended.contains(conn), "an action about {conn:?} after its end");
            }
            let routes = &bench.fib.routes;
            prop_assert!(routes.values().all(|(_, conn)| bench.live.contains(conn)));
        }
    }
}
