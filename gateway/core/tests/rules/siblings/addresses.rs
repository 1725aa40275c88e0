//! The addresses at which siblings are dialled, and what their files must have alike.

use std::time::Duration;

use ringway_config::Digest;
use ringway_core::message::SiteSettings;
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
fn siblings_tell_each_other_what_must_be_alike_and_peers_do_not_count() {
    let (mut bench, peer, other) = before_a_standby();
    let sent = |bench: &Bench, conn| {
        let sent = bench.sent(conn).into_iter();
        let settings = sent.filter_map(|message| match message {
            Message::SiteSettings(settings) => Some(settings),
            _ => None,
        });
        settings.collect::<Vec<_>>()
    };
    let reported = |bench: &Bench| {
        let status = bench.mesh.status(bench.now);
        status.site.siblings[&sibling()].settings.clone()
    };
    let none = SiteSettings::default();
    let ours = SiteSettings {
        virtual_addresses: ["10.1.0.3".parse().unwrap()].into(),
        rules: Some(Digest([1; 32])),
        nodes: Some(Digest([2; 32])),
    };
    for settings in [none.clone(), ours.clone(), ours.clone()] {
        bench.mesh.handle_site_settings(settings, bench.now);
        bench.collect();
    }
    // No addresses at all are said, too, and nothing twice.
    assert_eq!(sent(&bench, other), [none.clone(), ours.clone()]);
    assert_eq!(sent(&bench, peer), []);

    assert_eq!(reported(&bench), None);
    bench.receive(peer, Message::SiteSettings(ours.clone()));
    assert_eq!(reported(&bench), None, "a peer of another site");
    for theirs in [ours, none] {
        bench.receive(other, Message::SiteSettings(theirs.clone()));
        assert_eq!(reported(&bench).unwrap().settings, theirs);
    }

    // What is said again begins nothing, and a change at either end does.
    let compared_for = |bench: &Bench| reported(bench).unwrap().compared_for;
    bench.now += 7 * SECOND;
    bench.receive(other, Message::SiteSettings(SiteSettings::default()));
    assert_eq!(compared_for(&bench), 7 * SECOND);
    bench
        .mesh
        .handle_site_settings(SiteSettings::default(), bench.now);
    assert_eq!(compared_for(&bench), Duration::ZERO);
}
