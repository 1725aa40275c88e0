//! What siblings reach of other sites, and pass on for each other.

use std::collections::BTreeSet;
use std::time::Duration;

use ringway_config::Prefix;
use ringway_core::message::{SIBLING_ROUTES, SIBLINGS};
use ringway_core::{ConnId, Message, Role, Settings};

use crate::bench::{Bench, hello_with, prefixes};

const FEATURES: u64 = SIBLINGS | SIBLING_ROUTES;

fn bench() -> Bench {
    Bench::with(Settings {
        features: FEATURES,
        ..Settings::default()
    })
}

fn announce(bench: &mut Bench, conn: ConnId, claims: &[&str]) {
    let message = Message::Announce {
        serial: 1,
        prefixes: prefixes(claims),
    };
    bench.receive(conn, message);
}

/// The prefixes that were announced on the session, and withdrawn, in this order.
fn announced(bench: &Bench, conn: ConnId) -> Vec<(bool, BTreeSet<Prefix>)> {
    let sent = bench.sent(conn).into_iter();
    let claims = sent.filter_map(|sent| match sent {
        Message::Announce { prefixes, .. } => Some((true, prefixes)),
        Message::Withdraw { prefixes, .. } => Some((false, prefixes)),
        _ => None,
    });
    claims
        .filter(|(_, prefixes)| !prefixes.is_empty())
        .collect()
}

#[test]
fn a_site_is_reached_through_a_sibling_only_while_our_own_tunnel_carries_nothing() {
    let mut bench = bench();
    let sibling = bench.connect("gw2.m", Role::Accepter);
    bench.receive(sibling, hello_with(2, 0, FEATURES));
    announce(
        &mut bench,
        sibling,
        &["10.2.0.0/16", "10.1.0.0/24", "10.9.0.0/16"],
    );
    bench.pass(Duration::ZERO, &[sibling]);
    assert_eq!(bench.route("10.2.0.0/16"), Some(sibling));
    assert_eq!(bench.route("10.1.0.0/24"), None, "our own site");
    assert_eq!(bench.route("10.9.0.0/16"), None, "nobody's");
    assert_eq!(
        announced(&bench, sibling),
        [],
        "never what it reaches itself"
    );

    // A session that has carried nothing yet takes no route; then ours counts, and is announced.
    let conn = bench.connect("gw.a", Role::Accepter);
    bench.receive(conn, hello_with(3, 0, FEATURES));
    announce(&mut bench, conn, &["10.2.0.0/16"]);
    assert_eq!(bench.route("10.2.0.0/16"), Some(sibling));
    bench.pass(Duration::from_millis(500), &[conn, sibling]);
    assert_eq!(bench.route("10.2.0.0/16"), Some(conn));
    let ours = prefixes(&["10.2.0.0/16"]);
    assert_eq!(announced(&bench, sibling), [(true, ours.clone())]);

    // Long before the session counts as dead.
    bench.actions.clear();
    bench.pass(Duration::from_millis(450), &[sibling]);
    assert_eq!(bench.route("10.2.0.0/16"), Some(sibling));
    assert_eq!(announced(&bench, sibling), [(false, ours.clone())]);
    assert!(bench.is_up("gw.a"));
    bench.actions.clear();
    bench.pass(Duration::from_millis(300), &[conn, sibling]);
    assert_eq!(bench.route("10.2.0.0/16"), Some(conn));
    assert_eq!(announced(&bench, sibling), [(true, ours)]);

    // If the sibling is silent as well, nothing moves.
    bench.pass(Duration::from_millis(450), &[]);
    assert_eq!(bench.route("10.2.0.0/16"), Some(conn));
}

#[test]
fn a_sibling_of_an_earlier_version_is_told_of_no_other_site_and_leads_to_none() {
    let mut bench = bench();
    let sibling = bench.connect("gw2.m", Role::Accepter);
    bench.receive(sibling, hello_with(2, 0, SIBLINGS));
    announce(&mut bench, sibling, &["10.3.0.0/16"]);
    let conn = bench.connect("gw.a", Role::Accepter);
    bench.receive(conn, hello_with(3, 0, FEATURES));
    announce(&mut bench, conn, &["10.2.0.0/16"]);
    bench.pass(Duration::from_millis(500), &[conn, sibling]);

    assert_eq!(bench.route("10.2.0.0/16"), Some(conn));
    assert_eq!(bench.route("10.3.0.0/16"), None);
    assert_eq!(announced(&bench, sibling), []);
}
