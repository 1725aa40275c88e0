//! A change of membership acts on the difference only, and at once.

use ringway_config::{Digest, Host, OrgId};
use ringway_core::{Action, ByeCode, Drift, HeldRecord, Message, RecordDrift, RefuseReason, Role};

use crate::bench::{Bench, SECOND, hello, id, membership, prefix, prefixes};

#[test]
fn a_removed_gateway_loses_all_its_sessions_and_no_other_is_touched() {
    let mut bench = Bench::new();
    let draining = bench.tunnel("gw.a", &["10.2.0.0/16"]);
    let active = bench.connect("gw.a", Role::Accepter);
    bench.receive(active, hello(1, 1));
    bench.receive(
        active,
        Message::Announce {
            serial: 9,
            prefixes: prefixes(&["10.2.0.0/16"]),
        },
    );
    bench.pass(SECOND / 10, &[draining, active]);
    let handshaking = bench.connect("gw.a", Role::Accepter);
    let other = bench.tunnel("gw.z", &["10.3.0.0/16"]);
    bench.actions.clear();
    let mut without = membership();
    without.gateways.remove(&id("gw.a"));
    bench.mesh.handle_membership(without, bench.now);
    bench.collect();
    for conn in [draining, active, handshaking] {
        assert_eq!(bench.closed(conn), Some(ByeCode::UnknownGateway));
    }
    assert_eq!(bench.live, [other].into());
    assert_eq!(bench.route("10.3.0.0/16"), Some(other));
    assert!(
        !bench
            .actions
            .iter()
            .any(|action| matches!(action, Action::Close { conn, .. } if *conn == other))
    );
    assert!(bench.sent(other).is_empty(), "the others receive nothing");
}

#[test]
fn a_stranger_learns_whether_its_org_or_only_the_gateway_is_unknown() {
    let mut bench = Bench::new();
    let of_no_member = bench.connect("gw.q", Role::Accepter);
    assert_eq!(bench.closed(of_no_member), Some(ByeCode::UnknownOrg));
    let of_a_member = bench.connect("gw7.a", Role::Accepter);
    assert_eq!(bench.closed(of_a_member), Some(ByeCode::UnknownGateway));
}

#[test]
fn claims_are_evaluated_again_when_the_authorization_changes() {
    let mut bench = Bench::new();
    let conn = bench.tunnel("gw.a", &["10.2.0.0/16", "10.9.0.0/16"]);
    assert_eq!(bench.route("10.9.0.0/16"), None);
    assert_eq!(
        bench.status("gw.a").refused,
        [(prefix("10.9.0.0/16"), RefuseReason::NotAuthorized)].into()
    );

    let mut wider = membership();
    let east = ("a".parse().unwrap(), "east".parse().unwrap());
    wider.authorized.insert(east, vec![prefix("10.9.0.0/16")]);
    bench.mesh.handle_membership(wider, bench.now);
    bench.collect();
    assert_eq!(
        (bench.route("10.9.0.0/16"), bench.route("10.2.0.0/16")),
        (Some(conn), None)
    );

    let Some(Message::Refuse(refuse)) = bench.sent(conn).pop() else {
        panic!("no answer")
    };
    assert_eq!(
        refuse.refused,
        [(prefix("10.2.0.0/16"), RefuseReason::NotAuthorized)].into()
    );
}

#[test]
fn an_added_gateway_is_dialled_and_new_endpoints_are_tried_at_once() {
    let mut bench = Bench::new();
    let mut more = membership();
    let info = more.gateways[&id("gw.a")].clone();
    let moved_to = Host::Address([198, 51, 100, 7].into());
    more.gateways.insert(id("gw.y"), info);
    more.gateways.get_mut(&id("gw.a")).unwrap().endpoints[0].host = moved_to.clone();
    bench.pass(SECOND / 4, &[]);
    bench.actions.clear();
    bench.mesh.handle_membership(more, bench.now);
    bench.pass(SECOND / 2, &[]);
    assert!(bench.last_dial("gw.y").is_some());

    let mut dials = bench.actions.iter().filter_map(|action| match action {
        Action::Dial { endpoints, .. } => Some(&endpoints[0].host),
        _ => None,
    });
    assert!(dials.any(|host| *host == moved_to));
    assert_eq!(bench.last_dial("gw.z"), None, "its dial is still under way");
}

#[test]
fn drift_is_reported_once_with_the_holder_of_the_older_record_and_when_it_ends() {
    let mut bench = Bench::new();
    let conn = bench.connect("gw.a", Role::Accepter);
    let z: OrgId = "z".parse().unwrap();
    let mut records = membership().records;
    records.insert(z.clone(), held(3, b"older"));
    let Message::Hello(mut first) = hello(1, 0) else {
        panic!()
    };
    first.records = records.clone();
    bench.receive(conn, Message::Hello(first));

    records.insert(z.clone(), held(4, b"newer"));
    let joined = ringway_core::Membership {
        records: records.clone(),
        ..membership()
    };
    bench.actions.clear();
    bench.mesh.handle_membership(joined, bench.now);
    bench.collect();
    let drift = RecordDrift {
        org: z,
        ours: Some(held(4, b"newer")),
        theirs: Some(held(3, b"older")),
    };
    assert_eq!(drift.kind(), Drift::PeerIsOlder);
    assert_eq!(
        bench.status("gw.a").records_differ,
        std::slice::from_ref(&drift)
    );
    assert_eq!(told(&bench), [vec![drift]]);

    let again = records.clone();
    bench.receive(conn, Message::Records { records: again });
    assert_eq!(
        told(&bench).last(),
        Some(&vec![]),
        "both hold the newer one"
    );
    assert_eq!(told(&bench).len(), 2);
    bench.receive(conn, Message::Records { records });
    assert_eq!(told(&bench).len(), 2, "nothing has changed");
}

#[test]
fn a_peer_whose_records_change_without_end_does_not_fill_the_log() {
    let mut bench = Bench::new();
    let conn = bench.tunnel("gw.a", &["10.2.0.0/16"]);
    bench.actions.clear();
    for serial in 1..1000 {
        let mut records = membership().records;
        records.insert("z".parse().unwrap(), held(serial, b"another"));
        bench.receive(conn, Message::Records { records });
    }

    let count = told(&bench).len();
    assert!((1..=8).contains(&count), "{count}");
    let shown = bench.status("gw.a").records_differ;
    assert_eq!(shown[0].theirs, Some(held(999, b"another")));

    // The last difference follows later, its end at once.
    bench.pass(SECOND * 61, &[conn]);
    let last = told(&bench).pop().expect("it was told");
    assert_eq!(last[0].theirs, Some(held(999, b"another")));
    assert_eq!(told(&bench).len(), count + 1);
    let records = membership().records;
    bench.receive(conn, Message::Records { records });
    assert_eq!(told(&bench).last(), Some(&vec![]));
}

#[test]
fn records_held_by_a_removed_members_gateway_are_no_drift() {
    let mut bench = Bench::new();
    let conn = bench.tunnel("gw.a", &["10.2.0.0/16"]);
    let mut records = membership().records;
    records.insert("z".parse().unwrap(), held(3, b"another"));
    bench.receive(conn, Message::Records { records });
    assert_eq!(told(&bench).last().map(Vec::len), Some(1));

    let mut without = membership();
    without.gateways.remove(&id("gw.a"));
    bench.mesh.handle_membership(without, bench.now);
    bench.collect();
    assert_eq!(told(&bench).last(), Some(&vec![]));
}

fn drift(bench: &Bench) -> Vec<String> {
    let differ = bench.status("gw.a").records_differ;
    differ.iter().map(|drift| drift.org.to_string()).collect()
}

/// What the operator was told about the records of `gw.a`.
fn told(bench: &Bench) -> Vec<Vec<RecordDrift>> {
    let told = bench.actions.iter().filter_map(|action| match action {
        Action::RecordsDiffer { peer, drift } if *peer == id("gw.a") => Some(drift.clone()),
        _ => None,
    });
    told.collect()
}

fn held(serial: u64, text: &[u8]) -> HeldRecord {
    HeldRecord {
        serial,
        digest: Digest::of(text),
    }
}

#[test]
fn drift_between_records_shows_until_one_end_says_otherwise() {
    let mut bench = Bench::new();
    let conn = bench.connect("gw.a", Role::Accepter);
    let mut records = membership().records;
    records.insert("q".parse().unwrap(), Digest::of(b"q").into());
    records.insert("z".parse().unwrap(), Digest::of(b"another").into());
    let Message::Hello(mut first) = hello(1, 0) else {
        panic!()
    };
    first.records = records.clone();
    bench.receive(conn, Message::Hello(first));
    assert_eq!(drift(&bench), ["q", "z"]);

    records.insert("z".parse().unwrap(), Digest::of(b"z").into());
    bench.receive(
        conn,
        Message::Records {
            records: records.clone(),
        },
    );
    assert_eq!(drift(&bench), ["q"]);

    let joined = ringway_core::Membership {
        records: records.clone(),
        ..membership()
    };
    bench.mesh.handle_membership(joined, bench.now);
    bench.collect();
    assert!(bench.status("gw.a").records_differ.is_empty());
    assert_eq!(bench.sent(conn).pop(), Some(Message::Records { records }));
}
