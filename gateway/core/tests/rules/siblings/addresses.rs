//! The addresses at which siblings are dialled, and those that move with the role.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ringway_core::{Action, Message};

use super::{before_a_standby, sibling};
use crate::bench::{Bench, SECOND};

fn last_endpoints(bench: &Bench) -> Vec<String> {
    let dials = bench
        .actions
        .iter()
        .rev()
        .filter_map(|action| match action {
            Action::Dial {
                peer, endpoints, ..
            } if *peer == sibling() => Some(endpoints),
            _ => None,
        });
    let endpoints = dials.into_iter().next().unwrap();
    endpoints.iter().map(ToString::to_string).collect()
}

#[test]
fn a_sibling_is_dialled_inside_the_site_where_it_says_and_nowhere_else() {
    let (mut bench, peer, other) = before_a_standby();
    let said = ["10.1.0.3:4600", "10.2.0.3:4600", "192.0.2.1:4600"];
    let addresses = said.map(|address| address.parse().unwrap());
    bench.receive(peer, Message::Addresses(addresses.into()));
    let dials = bench.dials("gw2.m");
    bench.pass(SECOND, &[peer, other]);
    assert_eq!(bench.dials("gw2.m"), dials, "a peer of another site");

    bench.receive(other, Message::Addresses(addresses.into()));
    bench.pass(2 * SECOND, &[peer, other]);
    assert_eq!(
        last_endpoints(&bench),
        ["10.1.0.3:4600", "203.0.113.5:4600"]
    );
    let dials = bench.dials("gw2.m");
    bench.receive(other, Message::Addresses(addresses.into()));
    bench.disconnect(other);
    bench.pass(SECOND, &[peer]);
    assert!(bench.dials("gw2.m") > dials);
    assert_eq!(
        last_endpoints(&bench),
        ["10.1.0.3:4600", "203.0.113.5:4600"]
    );
}

#[test]
fn a_sibling_learns_our_addresses_and_peers_do_not() {
    let (mut bench, peer, other) = before_a_standby();
    let ours = Message::Addresses(["10.1.0.2:4600".parse().unwrap()].into());
    let Message::Addresses(addresses) = ours.clone() else {
        panic!("addresses")
    };
    for _ in 0..2 {
        bench.mesh.handle_addresses(addresses.clone());
        bench.collect();
    }
    let count = |bench: &Bench, conn| bench.sent(conn).iter().filter(|m| **m == ours).count();
    assert_eq!([count(&bench, other), count(&bench, peer)], [1, 0]);
}

#[test]
fn siblings_tell_each_other_their_virtual_addresses_and_peers_do_not_count() {
    let (mut bench, peer, other) = before_a_standby();
    let sent = |bench: &Bench, conn| {
        let sent = bench.sent(conn).into_iter();
        let addresses = sent.filter_map(|message| match message {
            Message::VirtualAddresses(addresses) => Some(addresses),
            _ => None,
        });
        addresses.collect::<Vec<_>>()
    };
    let reported = |bench: &Bench| {
        let status = bench.mesh.status(bench.now);
        status.site.siblings[&sibling()].virtual_addresses.clone()
    };
    let ours: BTreeSet<IpAddr> = ["10.1.0.3".parse().unwrap()].into();
    for addresses in [BTreeSet::new(), ours.clone(), ours.clone()] {
        bench.mesh.handle_virtual_addresses(addresses);
        bench.collect();
    }
    // None at all is said, too, and nothing twice.
    assert_eq!(sent(&bench, other), [BTreeSet::new(), ours.clone()]);
    assert!(sent(&bench, peer).is_empty());

    assert_eq!(reported(&bench), None);
    bench.receive(peer, Message::VirtualAddresses(ours.clone()));
    assert_eq!(reported(&bench), None, "a peer of another site");
    for theirs in [ours, BTreeSet::new()] {
        bench.receive(other, Message::VirtualAddresses(theirs.clone()));
        assert_eq!(reported(&bench), Some(theirs));
    }
}
