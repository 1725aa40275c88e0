//! Which of the gateways of another site is used, and what is passed on between them.

use std::time::Duration;

use ringway_core::{ConnId, GatewayInfo, Hello, Membership, Message, Rank, Relay};

use crate::bench::{Bench, SECOND, id, membership};
use crate::siblings::{join, settings};

const RANGE: &str = "10.2.0.0/16";

/// `gw.m` with two gateways of org a at its site east.
fn with_a_pair() -> (Bench, ConnId, ConnId) {
    let mut bench = Bench::with(settings());
    bench.mesh.handle_membership(pair(), bench.now);
    bench.collect();
    let first = join(&mut bench, "gw.a", &[RANGE]);
    let second = join(&mut bench, "gw2.a", &[RANGE]);
    (bench, first, second)
}

fn pair() -> Membership {
    let mut membership = membership();
    let info = membership.gateways[&id("gw.a")].clone();
    let elsewhere = GatewayInfo {
        site: "elsewhere".parse().unwrap(),
        ..info.clone()
    };
    membership.gateways.insert(id("gw2.a"), info);
    membership.gateways.insert(id("gw3.a"), elsewhere);
    membership
}

fn rank(epoch: u64) -> Message {
    Message::Rank(Rank {
        epoch,
        preference: 100,
    })
}

#[test]
fn a_takeover_moves_the_route_at_once_and_back_only_with_the_next() {
    let (mut bench, first, second) = with_a_pair();
    assert_eq!(bench.route(RANGE), Some(first));

    bench.receive(second, rank(1));
    assert_eq!(bench.route(RANGE), Some(second));
    bench.receive(first, rank(1));
    assert_eq!(bench.route(RANGE), Some(second), "an equal epoch waits");
    bench.receive(first, rank(2));
    assert_eq!(bench.route(RANGE), Some(first));
}

#[test]
fn a_takeover_during_a_rekey_moves_the_route_in_any_order_of_messages() {
    for new_is_first in [true, false] {
        let (mut bench, first, second) = with_a_pair();
        bench.receive(second, rank(3));
        bench.receive(first, rank(4));
        assert_eq!(bench.route(RANGE), Some(first));

        let new = bench.connect("gw2.a", ringway_core::Role::Accepter);
        let Message::Hello(hello) = crate::siblings::new_hello(1) else {
            panic!("a hello");
        };
        let replaces = Hello {
            replaces: 1,
            ..hello
        };
        bench.receive(new, Message::Hello(replaces));
        bench.receive(new, rank(3));
        let prefixes = crate::bench::prefixes(&[RANGE]);
        let claims = Message::Announce {
            serial: 9,
            prefixes,
        };
        bench.receive(new, claims);
        bench.pass(SECOND / 10, &[first, second, new]);
        assert_eq!(bench.route(RANGE), Some(first));

        let order = if new_is_first {
            [new, second]
        } else {
            [second, new]
        };
        for conn in order {
            bench.receive(conn, rank(5));
        }
        assert_eq!(bench.route(RANGE), Some(new), "new first: {new_is_first}");
    }
}

#[test]
fn an_active_gateway_that_was_lost_gets_its_route_back_after_a_minute() {
    let (mut bench, first, second) = with_a_pair();
    bench.receive(first, rank(7));
    bench.disconnect(first);
    assert_eq!(bench.route(RANGE), Some(second));

    let back = bench.connect("gw.a", ringway_core::Role::Accepter);
    bench.receive(back, crate::siblings::new_hello(1));
    bench.receive(back, rank(7));
    let prefixes = crate::bench::prefixes(&[RANGE]);
    bench.receive(
        back,
        Message::Announce {
            serial: 9,
            prefixes,
        },
    );
    bench.pass(59 * SECOND, &[back, second]);
    assert_eq!(bench.route(RANGE), Some(second));
    bench.pass(2 * SECOND, &[back, second]);
    assert_eq!(bench.route(RANGE), Some(back));
}

#[test]
fn an_epoch_means_nothing_to_another_site() {
    let (mut bench, first, second) = with_a_pair();
    let third = join(&mut bench, "gw.z", &[RANGE, "10.3.0.0/16"]);
    bench.receive(third, rank(u64::MAX));
    assert_eq!(bench.route(RANGE), Some(first));

    bench.receive(second, rank(1));
    assert_eq!(bench.route(RANGE), Some(second));
}

#[test]
fn messages_are_passed_on_between_gateways_of_one_site_only_and_few() {
    let (mut bench, first, second) = with_a_pair();
    let third = join(&mut bench, "gw.z", &["10.3.0.0/16"]);
    let question = |from: &str, to: &str| {
        Message::Relay(Relay {
            org: id(from).org,
            from: id(from).name,
            to: id(to).name,
            nonce: [1; 16],
            answer: None,
        })
    };
    let passed = |bench: &Bench, conn| {
        let sent = bench.sent(conn).into_iter();
        sent.filter(|message| matches!(message, Message::Relay(_)))
            .count()
    };

    bench.receive(first, question("gw.a", "gw2.a"));
    assert_eq!(passed(&bench, second), 1);
    // To another site, to itself, in another's name, from another organization, to us who are no
    // sibling.
    let fourth = join(&mut bench, "gw3.a", &[]);
    bench.receive(first, question("gw.a", "gw3.a"));
    bench.receive(fourth, question("gw3.a", "gw2.a"));
    bench.receive(first, question("gw.a", "gw.a"));
    bench.receive(first, question("gw4.a", "gw2.a"));
    bench.receive(third, question("gw.z", "gw2.a"));
    bench.receive(third, question("gw4.a", "gw.m"));
    let all = [first, second, third, fourth].map(|conn| passed(&bench, conn));
    assert_eq!(all, [0, 1, 0, 0]);

    for _ in 0..100 {
        bench.receive(first, question("gw.a", "gw2.a"));
    }
    assert!(passed(&bench, second) <= 41);
    bench.pass(Duration::from_secs(1), &[first, second, third]);
    bench.receive(first, question("gw.a", "gw2.a"));
    assert!(passed(&bench, second) <= 42);
}
