//! Sessions: how they start, which of two wins, how they end.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use ringway_core::{
    Action, Aead, ByeCode, ConnId, ConnectionError, DialError, ExternalText, Lane, Message, Role,
    SessionIndex, Settings, TrustError, TunnelState,
};

use crate::bench::{Bench, SECOND, hello, prefixes};

#[test]
fn the_opening_keys_are_installed_before_our_hello_is_sent() {
    let mut bench = Bench::new();
    let conn = bench.connect("gw.a", Role::Accepter);
    let installed = bench
        .actions
        .iter()
        .position(|action| matches!(action, Action::InstallOpening { .. }));
    let sent = bench
        .actions
        .iter()
        .position(|action| matches!(action, Action::Send { .. }));
    assert!(installed.unwrap() < sent.unwrap());

    let Some(Message::Hello(hello)) = bench.sent(conn).into_iter().next() else {
        panic!("no hello")
    };
    assert_eq!(
        bench.actions[installed.unwrap()],
        Action::InstallOpening {
            conn,
            lanes: hello.lanes
        }
    );
}

#[test]
fn an_index_is_congruent_to_its_lane_whatever_the_peers_number_of_lanes() {
    let lanes = NonZeroU32::new(3).unwrap();
    let mut bench = Bench::with(Settings {
        lanes,
        ..Settings::default()
    });
    let conns = ["gw.a", "gw.z"].map(|peer| bench.connect(peer, Role::Accepter));
    let mut indexes = BTreeSet::new();
    for conn in conns {
        let Some(Message::Hello(hello)) = bench.sent(conn).into_iter().next() else {
            panic!("no hello")
        };
        for (number, lane) in (0..).zip(&hello.lanes) {
            assert!(
                lane.index.0 % lanes == number && indexes.insert(lane.index),
                "{lane:?}"
            );
        }
    }
    assert_eq!(indexes.len(), 6);

    let Message::Hello(mut theirs) = hello(1, 0) else {
        panic!("a hello")
    };
    let more = (1..5).map(|n| Lane {
        index: SessionIndex(n),
        aead: Aead::ChaCha20Poly1305,
    });
    theirs.lanes.extend(more);
    bench.receive(conns[0], Message::Hello(theirs.clone()));
    assert!(bench.actions.contains(&Action::InstallSealing {
        conn: conns[0],
        lanes: theirs.lanes
    }));
}

#[test]
fn a_session_is_up_and_its_packets_sealed_only_after_the_peers_hello() {
    let mut bench = Bench::new();
    let conn = bench.connect("gw.a", Role::Accepter);
    assert!(!bench.is_up("gw.a") && bench.live.is_empty());

    bench.receive(conn, hello(1, 0));
    assert!(bench.is_up("gw.a") && bench.live.contains(&conn));

    let lanes = vec![Lane {
        index: SessionIndex(77),
        aead: Aead::Aes256Gcm,
    }];
    let seal = Action::InstallSealing { conn, lanes };
    assert!(bench.actions.contains(&seal));
}

#[test]
fn of_two_dials_with_the_same_predecessor_the_lower_identitys_wins() {
    // We are higher than gw.a and lower than gw.z; each end has dialled knowing of nothing.
    for (peer, winner) in [("gw.a", Role::Accepter), ("gw.z", Role::Dialler)] {
        for first in [Role::Dialler, Role::Accepter] {
            let mut bench = Bench::new();
            bench.pass(SECOND / 4, &[]);
            let second = if first == Role::Dialler {
                Role::Accepter
            } else {
                Role::Dialler
            };
            let conns = [first, second].map(|role| (role, bench.connect(peer, role)));
            for (_, conn) in conns {
                bench.receive(conn, hello(1, 0));
                bench.receive(
                    conn,
                    Message::Announce {
                        serial: 1,
                        prefixes: [].into(),
                    },
                );
            }
            bench.pass(SECOND / 10, &conns.map(|(_, conn)| conn));
            let expected = conns.iter().find(|(role, _)| *role == winner).unwrap().1;
            assert_eq!(
                bench.status(peer).conn,
                Some(expected),
                "{peer}, {first:?} first"
            );
        }
    }
}

#[test]
fn a_session_that_names_its_predecessor_wins_even_if_the_higher_identity_dialled() {
    let mut bench = Bench::new();
    bench.pass(SECOND / 4, &[]);
    let old = bench.connect("gw.z", Role::Dialler);
    bench.receive(old, hello(1, 0));
    // gw.z is higher, but its dial names ours (number 1) as the one it replaces.
    let new = bench.connect("gw.z", Role::Accepter);
    bench.receive(new, hello(1, 1));
    bench.receive(
        new,
        Message::Announce {
            serial: 2,
            prefixes: [].into(),
        },
    );
    bench.pass(SECOND / 10, &[old, new]);
    assert_eq!(bench.status("gw.z").conn, Some(new));
}

#[test]
fn a_silent_session_stays_in_use_until_its_replacement_is_ready() {
    let mut bench = Bench::new();
    let old = bench.tunnel("gw.a", &["10.2.0.0/16"]);
    bench.pass(2 * SECOND, &[old]);
    let dials = bench.dials("gw.a");
    bench.mesh.handle_silent(old, bench.now);
    bench.pass(SECOND / 10, &[old]);
    assert_eq!(
        (bench.dials("gw.a"), bench.route("10.2.0.0/16")),
        (dials + 1, Some(old))
    );

    let new = bench.connect("gw.a", Role::Dialler);
    bench.receive(new, hello(1, 1));
    let claims = prefixes(&["10.2.0.0/16"]);
    bench.pass(SECOND / 10, &[old, new]);
    let route = bench.route("10.2.0.0/16");
    assert_eq!(route, Some(old), "packets pass, but nothing is announced");
    bench.receive(
        new,
        Message::Announce {
            serial: 9,
            prefixes: claims,
        },
    );
    bench.pass(SECOND / 10, &[old, new]);
    assert_eq!(bench.route("10.2.0.0/16"), Some(new));

    // A replaced session may be silent.
    bench.mesh.handle_silent(old, bench.now);
    bench.pass(5 * SECOND, &[old, new]);
    assert_eq!(bench.dials("gw.a"), dials + 1);
}

#[test]
fn a_peer_that_moved_is_dialled_again_if_we_had_dialled_it() {
    for (role, again) in [(Role::Dialler, 1), (Role::Accepter, 0)] {
        let mut bench = Bench::new();
        bench.pass(SECOND / 4, &[]);
        let conn = bench.connect("gw.z", role);
        bench.receive(conn, hello(1, 0));
        bench.receive(
            conn,
            Message::Announce {
                serial: 1,
                prefixes: [].into(),
            },
        );
        bench.pass(2 * SECOND, &[conn]);
        let dials = bench.dials("gw.z");
        let index = bench.index(conn);
        bench.mesh.handle_moved(index, bench.now);
        bench.pass(SECOND / 10, &[conn]);
        assert_eq!(bench.dials("gw.z"), dials + again, "{role:?}");
        assert_eq!(bench.status("gw.z").conn, Some(conn), "it stays in use");
    }
}

fn unreachable() -> DialError {
    DialError::Local {
        endpoint: "203.0.113.5:4600".parse().unwrap(),
        error: ExternalText::new("network is unreachable"),
    }
}

#[test]
fn a_change_of_the_host_ends_the_back_off_but_no_session_and_no_dial() {
    let pause = 60 * SECOND;
    let mut bench = Bench::with(Settings {
        backoff_min: pause,
        backoff_max: pause,
        dial_patience: pause,
        dial_timeout: pause,
        ..Settings::default()
    });
    let conn = bench.tunnel("gw.a", &[]);
    bench.pass(SECOND, &[conn]);
    let fail = |bench: &mut Bench| {
        let dial = bench.last_dial("gw.z").unwrap();
        bench
            .mesh
            .handle_dial_failed(dial, unreachable(), bench.now);
    };
    fail(&mut bench);
    bench.pass(SECOND, &[conn]);
    assert_eq!(
        (bench.dials("gw.a"), bench.dials("gw.z")),
        (0, 1),
        "it waits"
    );

    for dials in 2..5 {
        for _ in 0..10 {
            bench.mesh.handle_host_changed(bench.now);
            bench.pass(SECOND / 5, &[conn]);
        }
        assert_eq!(
            (bench.dials("gw.a"), bench.dials("gw.z")),
            (0, dials),
            "only one at a time"
        );
        fail(&mut bench);
    }
    for _ in 0..2 {
        bench.mesh.handle_host_changed(bench.now);
        bench.pass(SECOND, &[conn]);
    }
    bench.connect("gw.z", Role::Dialler);
    bench.pass(2 * SECOND, &[conn]);
    assert_eq!(bench.dials("gw.z"), 5, "it waits for the hello");
    assert_eq!(bench.status("gw.a").conn, Some(conn));
}

#[test]
fn routes_move_only_when_the_new_session_has_carried_a_packet_and_the_claims() {
    let mut bench = Bench::new();
    let old = bench.tunnel("gw.a", &["10.2.0.0/16"]);
    let new = bench.connect("gw.a", Role::Accepter);
    bench.receive(new, hello(1, 1));
    bench.pass(SECOND / 10, &[old, new]);
    assert_eq!(
        bench.route("10.2.0.0/16"),
        Some(old),
        "nothing is announced on the new session yet"
    );

    let claims = prefixes(&["10.2.0.0/16"]);
    bench.receive(
        new,
        Message::Announce {
            serial: 9,
            prefixes: claims,
        },
    );
    assert_eq!(bench.route("10.2.0.0/16"), Some(new));
    assert!(
        bench.live.contains(&old),
        "packets are still received on it"
    );

    bench.pass(9 * SECOND, &[old, new]);
    assert!(!bench.retired(old));

    bench.pass(2 * SECOND, &[old, new]);
    assert!(bench.retired(old) && !bench.live.contains(&old));
}

#[test]
fn a_draining_session_serves_again_if_its_replacement_dies() {
    let mut bench = Bench::new();
    let old = bench.tunnel("gw.a", &["10.2.0.0/16"]);
    let new = bench.connect("gw.a", Role::Accepter);
    bench.receive(new, hello(1, 1));
    bench.receive(
        new,
        Message::Announce {
            serial: 9,
            prefixes: [].into(),
        },
    );
    bench.pass(SECOND / 10, &[old, new]);
    assert_eq!(bench.route("10.2.0.0/16"), None);

    bench.disconnect(new);
    assert_eq!(bench.route("10.2.0.0/16"), Some(old));

    bench.pass(20 * SECOND, &[old]);
    assert!(bench.is_up("gw.a"));
}

#[test]
fn a_new_boot_id_retires_every_older_session_of_the_peer() {
    let mut bench = Bench::new();
    let old = bench.tunnel("gw.a", &["10.2.0.0/16"]);
    let other = bench.tunnel("gw.z", &["10.3.0.0/16"]);
    let new = bench.connect("gw.a", Role::Accepter);
    bench.receive(new, hello(2, 0));
    assert_eq!(bench.closed(old), Some(ByeCode::Replaced));
    assert_eq!(bench.status("gw.a").conn, Some(new));
    assert_eq!(bench.route("10.3.0.0/16"), Some(other));
}

#[test]
fn silence_on_the_data_path_ends_the_session_within_1_75_s_and_redials() {
    let mut bench = Bench::new();
    let conn = bench.tunnel("gw.a", &["10.2.0.0/16"]);
    bench.pass(5 * SECOND, &[conn]);
    bench.actions.clear();
    let silent_since = bench.now;
    bench.pass(Duration::from_millis(1750), &[]);
    assert_eq!(bench.closed(conn), Some(ByeCode::DataPathDead));
    assert_eq!(bench.route("10.2.0.0/16"), None);

    bench.pass(SECOND / 4, &[]);
    assert!(
        bench.last_dial("gw.a").is_some(),
        "redialled within {:?}",
        bench.now - silent_since
    );
    assert_eq!(
        bench.error("gw.a"),
        "no data packets came back from the peer"
    );
}

#[test]
fn a_session_that_drains_dies_with_the_one_in_use() {
    let mut bench = Bench::new();
    let old = bench.tunnel("gw.a", &["10.2.0.0/16"]);
    let new = replace(&mut bench, old);
    bench.pass(2 * SECOND, &[old, new]);

    bench.pass(Duration::from_millis(1750), &[]);
    assert!(!bench.is_up("gw.a"), "no second wait for echoes");
    assert_eq!(bench.closed(new), Some(ByeCode::DataPathDead));
    assert_eq!(bench.route("10.2.0.0/16"), None);

    // Only the path of the newer one is broken: the other serves until a dial has succeeded.
    let mut bench = Bench::new();
    let old = bench.tunnel("gw.a", &["10.2.0.0/16"]);
    let new = replace(&mut bench, old);
    bench.pass(Duration::from_millis(1750), &[old]);
    assert_eq!(bench.closed(new), Some(ByeCode::DataPathDead));
    assert_eq!(bench.route("10.2.0.0/16"), Some(old));
    bench.pass(20 * SECOND, &[old]);
    assert!(bench.is_up("gw.a"));
}

#[test]
fn a_session_that_drains_and_comes_to_life_again_carries_the_tunnel() {
    let mut bench = Bench::new();
    let old = bench.tunnel("gw.a", &["10.2.0.0/16"]);
    replace(&mut bench, old);
    bench.pass(3 * SECOND, &[]);
    assert!(!bench.is_up("gw.a"));

    bench.pass(SECOND, &[old]);
    assert_eq!(bench.route("10.2.0.0/16"), Some(old));
}

/// A second session with gw.a that is ready, so that `old` drains.
fn replace(bench: &mut Bench, old: ConnId) -> ConnId {
    let new = bench.connect("gw.a", Role::Accepter);
    bench.receive(new, hello(1, 1));
    let claims = Message::Announce {
        serial: 9,
        prefixes: prefixes(&["10.2.0.0/16"]),
    };
    bench.receive(new, claims);
    bench.pass(SECOND / 10, &[old, new]);
    assert_eq!(bench.route("10.2.0.0/16"), Some(new));
    new
}

#[test]
fn a_session_is_closed_when_the_peers_certificate_expires() {
    let mut bench = Bench::new();
    let conn = bench.connect_until("gw.a", Role::Accepter, bench.now + 60 * SECOND);
    bench.receive(conn, hello(1, 0));
    bench.pass(59 * SECOND, &[conn]);
    assert_eq!(bench.closed(conn), None);
    bench.pass(SECOND, &[conn]);
    assert_eq!(bench.closed(conn), Some(ByeCode::Expired));
    let late = bench.connect_until("gw.a", Role::Accepter, bench.now);
    assert_eq!(bench.closed(late), Some(ByeCode::Expired));
}

#[test]
fn a_session_whose_chain_is_no_longer_trusted_is_closed() {
    let mut bench = Bench::new();
    let conn = bench.tunnel("gw.a", &["10.2.0.0/16"]);
    let revoked = TrustError::Certificate(ExternalText::new("key revoked"));
    bench.mesh.handle_untrusted(conn, revoked, bench.now);
    bench.collect();
    assert_eq!(bench.closed(conn), Some(ByeCode::Untrusted));
    assert_eq!(
        (bench.route("10.2.0.0/16"), bench.error("gw.a")),
        (None, "key revoked".into())
    );
}

#[test]
fn the_dialler_replaces_its_session_after_an_hour_give_or_take_a_tenth() {
    let mut bench = Bench::new();
    bench.pass(SECOND / 4, &[]);
    let conn = bench.connect("gw.a", Role::Dialler);
    bench.receive(conn, hello(1, 0));
    bench.receive(
        conn,
        Message::Announce {
            serial: 1,
            prefixes: [].into(),
        },
    );
    bench.actions.clear();
    bench.pass(53 * 60 * SECOND, &[conn]);
    assert_eq!(bench.last_dial("gw.a"), None);

    bench.pass(14 * 60 * SECOND, &[conn]);
    assert!(bench.last_dial("gw.a").is_some() && bench.status("gw.a").conn == Some(conn));
}

#[test]
fn a_session_that_nothing_replaces_ends_after_90_minutes() {
    let mut bench = Bench::new();
    let conn = bench.tunnel("gw.a", &[]);
    bench.pass(89 * 60 * SECOND, &[conn]);
    assert!(bench.is_up("gw.a"));
    bench.pass(2 * 60 * SECOND, &[conn]);
    assert!(!bench.is_up("gw.a"));
    assert_eq!(bench.closed(conn), Some(ByeCode::KeysTooOld));
}

#[test]
fn the_path_mtu_is_reported_once_and_outlives_the_session() {
    let mut bench = Bench::new();
    let conn = bench.tunnel("gw.a", &[]);
    bench.pass(60 * SECOND, &[conn]);
    let sizes = bench.actions.iter().filter_map(|action| match action {
        Action::PathMtu { size, .. } => Some(*size),
        _ => None,
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [1500]);

    bench.disconnect(conn);
    assert_eq!(
        (bench.is_up("gw.a"), bench.status("gw.a").path_mtu),
        (false, 1500)
    );
}

#[test]
fn a_new_certificate_of_ours_replaces_every_session_within_seconds() {
    let mut bench = Bench::new();
    let conns = ["gw.a", "gw.z"].map(|peer| bench.tunnel(peer, &[]));
    bench.pass(2 * SECOND, &conns);
    bench.actions.clear();
    bench.mesh.handle_identity_changed(bench.now);
    bench.pass(5 * SECOND, &conns);
    assert!(
        ["gw.a", "gw.z"]
            .iter()
            .all(|peer| bench.last_dial(peer).is_some() && bench.is_up(peer))
    );
}

#[test]
fn a_session_that_comes_up_after_our_certificate_changed_is_replaced() {
    let mut bench = Bench::new();
    let conn = bench.connect("gw.a", Role::Accepter);
    bench.mesh.handle_identity_changed(bench.now);
    bench.receive(conn, hello(1, 0));
    assert!(bench.is_up("gw.a"));

    bench.actions.clear();
    bench.pass(5 * SECOND, &[conn]);
    assert!(bench.last_dial("gw.a").is_some());
}

#[test]
fn the_last_error_says_why_there_is_no_tunnel() {
    let mut bench = Bench::new();
    bench.pass(SECOND / 4, &[]);
    assert_eq!(bench.status("gw.a").state, TunnelState::Connecting);

    let dial = bench.last_dial("gw.a").unwrap();
    bench.mesh.handle_dial_failed(
        dial,
        ConnectionError::TlsAlert {
            meaning: "peer does not know our org",
        }
        .into(),
        bench.now,
    );
    assert_eq!(bench.error("gw.a"), "peer does not know our org");
    assert_eq!(bench.status("gw.a").state, TunnelState::Down);

    bench.pass(4 * SECOND, &[]);
    assert_eq!(bench.error("gw.a"), "no answer from 203.0.113.5:4600");

    let conn = bench.connect("gw.a", Role::Accepter);
    bench.receive(
        conn,
        Message::Bye {
            code: ByeCode::UnknownOrg,
        },
    );
    assert_eq!(bench.error("gw.a"), "peer does not know our org");
    assert!(bench.retired(conn));
}

#[test]
fn shutdown_withdraws_then_says_bye_then_has_drained() {
    let mut bench = Bench::new();
    let conn = bench.tunnel("gw.a", &["10.2.0.0/16"]);
    bench.mesh.handle_shutdown(bench.now);
    bench.collect();
    assert!(matches!(
        bench.sent(conn).last(),
        Some(Message::Withdraw { .. })
    ));
    assert!(
        bench.closed(conn).is_none(),
        "the peer has time to use another gateway"
    );

    let late = bench.connect("gw.z", Role::Accepter);
    assert_eq!(bench.closed(late), Some(ByeCode::Shutdown));

    bench.pass(SECOND, &[conn]);
    assert_eq!(bench.closed(conn), Some(ByeCode::Shutdown));
    assert_eq!(bench.actions.last(), Some(&Action::Drained));
    assert_eq!(bench.mesh.poll_timeout(), None);
}
