//! Attached nodes: a gateway with one, and the node's own mesh.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use ringway_config::{GatewayId, NodeName, SiteId};
use ringway_core::message::{ATTACH, Answer, SIBLINGS, SiblingState, SiteSettings};
use ringway_core::{
    Action, ByeCode, ConnId, GatewayInfo, Membership, Message, Offer, PolicyMessage, PolicyVerdict,
    Rank, RefuseReason, Relay, Role, Secret, Settings, SiblingMessage, ZoneMessage,
};

use crate::bench::{Bench, SECOND, hello_with, id, membership, prefix, prefixes};

const NODE: &str = "node:db1.m";
const FEATURES: u64 = ATTACH | SIBLINGS;

fn settings() -> Settings {
    Settings {
        features: FEATURES,
        ..Settings::default()
    }
}

fn node_site() -> SiteId {
    SiteId::of_node(&"db1".parse().unwrap())
}

/// `gw.m` with the node `db1`, whose address lies in its site.
fn gateway() -> Bench {
    gateway_with(0)
}

/// Likewise, with so many nodes more, which are not attached.
fn gateway_with(more: usize) -> Bench {
    let mut membership = membership();
    for number in 0..more {
        let node: NodeName = format!("n{number}").parse().unwrap();
        let info = GatewayInfo {
            site: SiteId::of_node(&node),
            endpoints: Vec::new(),
        };
        let id = GatewayId::of_node(&node, &membership.me.org);
        membership.gateways.insert(id, info);
    }
    let info = GatewayInfo {
        site: node_site(),
        endpoints: Vec::new(),
    };
    membership.gateways.insert(id(NODE), info);
    let key = (membership.me.org.clone(), node_site());
    membership
        .authorized
        .insert(key, vec![prefix("10.1.77.5/32")]);
    Bench::of(membership, settings())
}

/// A session of the node.
fn attach(bench: &mut Bench, claims: &[&str]) -> ConnId {
    let conn = bench.connect(NODE, Role::Accepter);
    bench.receive(conn, hello_with(1, 0, FEATURES));
    announce(bench, conn, claims);
    bench.pass(Duration::ZERO, &[conn]);
    conn
}

fn announce(bench: &mut Bench, conn: ConnId, claims: &[&str]) {
    let message = Message::Announce {
        serial: 1,
        prefixes: prefixes(claims),
    };
    bench.receive(conn, message);
}

#[test]
fn a_node_is_the_way_to_its_own_prefixes_inside_our_site_and_to_nothing_else() {
    let mut bench = gateway();
    let claims = ["10.1.77.5/32", "10.1.77.6/32", "10.2.0.0/16", "0.0.0.0/0"];
    let conn = attach(&mut bench, &claims);

    assert_eq!(bench.route("10.1.77.5/32"), Some(conn));
    for other in &claims[1..] {
        assert_eq!(bench.route(other), None, "{other}");
    }
    let refused = bench.sent(conn).into_iter().find_map(|sent| match sent {
        Message::Refuse(refuse) => Some(refuse.refused),
        _ => None,
    });
    let refused = refused.unwrap();
    assert_eq!(refused.len(), 3);
    assert!(
        refused
            .values()
            .all(|it| *it == RefuseReason::NotAuthorized)
    );
}

#[test]
fn a_node_is_offered_our_site_and_every_other_one() {
    let mut bench = gateway();
    let resolver: IpAddr = [10, 1, 0, 1].into();
    bench.mesh.handle_resolvers(BTreeSet::from([resolver]));
    let conn = attach(&mut bench, &[]);

    let all = prefixes(&["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]);
    let sent = bench.sent(conn);
    assert!(sent.contains(&Message::Offer(Offer {
        prefixes: all.clone(),
        resolvers: BTreeSet::from([resolver]),
    })));
    let announced = sent.iter().find_map(|sent| match sent {
        Message::Announce { prefixes, .. } => Some(prefixes.clone()),
        _ => None,
    });
    assert_eq!(announced, Some(all));
    // It has no use for who the members are.
    let hello = sent.iter().find_map(|sent| match sent {
        Message::Hello(hello) => Some(hello.records.len()),
        _ => None,
    });
    assert_eq!(hello, Some(0));

    bench.actions.clear();
    bench.mesh.handle_resolvers(BTreeSet::new());
    bench.collect();
    assert!(matches!(bench.sent(conn).as_slice(), [Message::Offer(_)]));
}

#[test]
fn a_node_that_sends_a_message_reserved_to_gateways_loses_its_session() {
    let state = SiblingState::default();
    let nonce = [1; 16];
    for message in [
        Message::Rank(Rank::default()),
        Message::Sibling(SiblingMessage {
            state,
            secret: Secret([1; 32]),
        }),
        Message::Relay(Relay {
            org: "m".parse().unwrap(),
            from: "gw2".parse().unwrap(),
            to: "gw".parse().unwrap(),
            nonce,
            answer: None::<Answer>,
        }),
        Message::Addresses(BTreeSet::new()),
        Message::SiteSettings(SiteSettings::default()),
        Message::Records {
            records: membership().records,
        },
        Message::Zone(ZoneMessage::Fetch {
            apex: "m.mesh.example".parse().unwrap(),
            serial: 1,
            have: None,
        }),
        Message::Policy(PolicyMessage::Answer {
            number: 1,
            verdict: PolicyVerdict::Allowed,
            node: None,
        }),
        Message::Offer(Offer::default()),
    ] {
        let mut bench = gateway();
        let conn = attach(&mut bench, &["10.1.77.5/32"]);
        bench.actions.clear();
        let kind = message.kind();
        bench.receive(conn, message);
        assert_eq!(bench.closed(conn), Some(ByeCode::Protocol), "{kind}");
        let passed_on = bench.actions.iter().any(|action| {
            matches!(
                action,
                Action::ZoneMessage { .. } | Action::Policy(_) | Action::Offered { .. }
            )
        });
        assert!(!passed_on, "{kind}");
    }
}

#[test]
fn only_a_node_may_be_offered_something() {
    let mut bench = Bench::with(settings());
    let conn = bench.tunnel("gw.a", &[]);
    bench.receive(conn, Message::Offer(Offer::default()));
    assert_eq!(bench.closed(conn), Some(ByeCode::Protocol));
}

/// The node's own mesh: `gw.m` and `gw2.m` serve it.
fn node() -> Bench {
    let gateways = membership()
        .gateways
        .into_values()
        .next()
        .unwrap()
        .endpoints;
    let east: SiteId = "east".parse().unwrap();
    let info = GatewayInfo {
        site: east.clone(),
        endpoints: gateways,
    };
    let me: GatewayId = id(NODE);
    let taken = ["10.2.0.0/16", "10.1.0.0/18", "10.1.128.0/17"];
    let membership = Membership {
        site: node_site(),
        is_dialable: false,
        gateways: [(id("gw.m"), info.clone()), (id("gw2.m"), info)].into(),
        authorized: [
            ((me.org.clone(), east), taken.map(prefix).into()),
            ((me.org.clone(), node_site()), vec![prefix("10.1.77.5/32")]),
        ]
        .into(),
        me,
        ..membership()
    };
    Bench::of(membership, settings())
}

#[test]
fn a_node_accepts_only_the_part_of_a_claim_that_its_own_files_allow() {
    let mut bench = node();
    let conn = bench.connect("gw.m", Role::Accepter);
    bench.receive(conn, hello_with(1, 0, FEATURES));
    announce(
        &mut bench,
        conn,
        &["10.1.0.0/16", "10.2.0.0/16", "10.9.0.0/16"],
    );
    bench.pass(Duration::ZERO, &[conn]);

    for part in ["10.1.0.0/18", "10.1.128.0/17", "10.2.0.0/16"] {
        assert_eq!(bench.route(part), Some(conn), "{part}");
    }
    for not in ["10.1.0.0/16", "10.9.0.0/16", "10.1.77.5/32"] {
        assert_eq!(bench.route(not), None, "{not}");
    }
    assert!(bench.alarms().is_empty(), "{:?}", bench.alarms());
}

#[test]
fn a_node_hears_each_offer_once() {
    let mut bench = node();
    let conn = bench.connect("gw.m", Role::Accepter);
    bench.receive(conn, hello_with(1, 0, FEATURES));
    let offer = |text: &str| Offer {
        prefixes: prefixes(&[text]),
        resolvers: BTreeSet::new(),
    };
    bench.receive(conn, Message::Offer(offer("10.2.0.0/16")));
    bench.receive(conn, Message::Offer(offer("10.2.0.0/16")));
    let offered = |bench: &Bench| {
        let offered = |action: &&Action| matches!(action, Action::Offered { .. });
        bench.actions.iter().filter(offered).count()
    };
    assert_eq!(offered(&bench), 1);

    // One that changes its mind all the time has the files read a few times, not for ever.
    for number in 0..100 {
        let prefix = format!("10.{number}.0.0/16");
        bench.receive(conn, Message::Offer(offer(&prefix)));
    }
    let count = offered(&bench);
    assert!(count <= 8, "{count}");

    // The last one counts in the end.
    bench.pass(SECOND * 61, &[conn]);
    assert_eq!(offered(&bench), count + 1);
    let last = bench.actions.iter().rev().find_map(|action| match action {
        Action::Offered { offer, .. } => Some(offer.clone()),
        _ => None,
    });
    assert_eq!(last, Some(offer("10.99.0.0/16")));
}

#[test]
fn a_node_follows_a_takeover_at_once() {
    let mut bench = node();
    let mut conns = Vec::new();
    for (gateway, boot) in [("gw.m", 1), ("gw2.m", 2)] {
        let conn = bench.connect(gateway, Role::Accepter);
        bench.receive(conn, hello_with(boot, 0, FEATURES));
        let preference = 100;
        bench.receive(
            conn,
            Message::Rank(Rank {
                epoch: 0,
                preference,
            }),
        );
        announce(&mut bench, conn, &["10.2.0.0/16"]);
        bench.pass(Duration::ZERO, &[conn]);
        conns.push(conn);
    }
    assert_eq!(bench.route("10.2.0.0/16"), Some(conns[0]));

    let raised = Rank {
        epoch: 1,
        preference: 100,
    };
    bench.receive(conns[1], Message::Rank(raised));
    assert_eq!(bench.route("10.2.0.0/16"), Some(conns[1]));
}

#[test]
fn siblings_reach_a_node_through_the_one_that_it_is_attached_to() {
    let mut bench = gateway();
    let sibling = bench.connect("gw2.m", Role::Accepter);
    bench.receive(sibling, hello_with(2, 0, FEATURES));
    announce(
        &mut bench,
        sibling,
        &["10.1.77.5/32", "10.1.0.0/24", "10.2.0.0/16"],
    );
    bench.pass(Duration::ZERO, &[sibling]);
    assert_eq!(bench.route("10.1.77.5/32"), Some(sibling));
    assert_eq!(bench.route("10.1.0.0/24"), None, "our own site");
    assert_eq!(bench.route("10.2.0.0/16"), None, "another site's");

    // With a session of our own, whatever the sibling's rank is.
    let raised = Rank {
        epoch: 9,
        preference: 200,
    };
    bench.receive(sibling, Message::Rank(raised));
    bench.actions.clear();
    let conn = attach(&mut bench, &["10.1.77.5/32"]);
    assert_eq!(bench.route("10.1.77.5/32"), Some(conn));
    let announced = |bench: &Bench| {
        let sent = bench.sent(sibling).into_iter();
        let claims = sent.filter_map(|sent| match sent {
            Message::Announce { prefixes, .. } => Some(prefixes),
            _ => None,
        });
        claims.last()
    };
    assert_eq!(announced(&bench), Some(prefixes(&["10.1.77.5/32"])));

    bench.actions.clear();
    bench.disconnect(conn);
    let withdrawn = bench
        .sent(sibling)
        .into_iter()
        .any(|sent| matches!(sent, Message::Withdraw { .. }));
    assert!(withdrawn);
    assert_eq!(bench.route("10.1.77.5/32"), Some(sibling));
}

#[test]
fn a_node_leaves_a_gateway_that_has_been_silent_for_a_moment() {
    let mut bench = node();
    let mut conns = Vec::new();
    for (gateway, boot) in [("gw.m", 1), ("gw2.m", 2)] {
        let conn = bench.connect(gateway, Role::Accepter);
        bench.receive(conn, hello_with(boot, 0, FEATURES));
        announce(&mut bench, conn, &["10.2.0.0/16"]);
        conns.push(conn);
        bench.pass(Duration::from_millis(500), &conns);
    }
    assert_eq!(bench.route("10.2.0.0/16"), Some(conns[0]));

    bench.pass(Duration::from_millis(450), &conns[1..]);
    assert_eq!(bench.route("10.2.0.0/16"), Some(conns[1]));
    assert!(bench.is_up("gw.m"), "long before it counts as dead");

    // If both are silent, nothing moves.
    let mut both = node();
    let conn = both.connect("gw.m", Role::Accepter);
    both.receive(conn, hello_with(1, 0, FEATURES));
    announce(&mut both, conn, &["10.2.0.0/16"]);
    both.pass(Duration::from_millis(500), &[conn]);
    both.pass(Duration::from_millis(450), &[]);
    assert_eq!(both.route("10.2.0.0/16"), Some(conn));
}

#[test]
fn a_silent_node_is_reached_through_the_sibling() {
    let mut bench = gateway();
    let sibling = bench.connect("gw2.m", Role::Accepter);
    bench.receive(sibling, hello_with(2, 0, FEATURES));
    announce(&mut bench, sibling, &["10.1.77.5/32"]);
    let conn = attach(&mut bench, &["10.1.77.5/32"]);
    bench.pass(Duration::from_millis(500), &[conn, sibling]);
    assert_eq!(bench.route("10.1.77.5/32"), Some(conn));

    bench.actions.clear();
    bench.pass(Duration::from_millis(450), &[sibling]);
    assert_eq!(bench.route("10.1.77.5/32"), Some(sibling));
    let withdrawn = bench
        .sent(sibling)
        .into_iter()
        .any(|sent| matches!(sent, Message::Withdraw { .. }));
    assert!(withdrawn, "or they would send its packets to each other");
}

#[test]
fn a_silent_node_of_many_is_reached_through_the_sibling_within_half_a_second() {
    let mut probes = 0;
    // Its way may end at any time between two probes.
    for late in (0..250).step_by(10) {
        let mut bench = gateway_with(199);
        let sibling = bench.connect("gw2.m", Role::Accepter);
        bench.receive(sibling, hello_with(2, 0, FEATURES));
        announce(&mut bench, sibling, &["10.1.77.5/32"]);
        let conn = attach(&mut bench, &["10.1.77.5/32"]);
        bench.pass(Duration::from_millis(1000 + late), &[conn, sibling]);
        assert_eq!(bench.route("10.1.77.5/32"), Some(conn));

        bench.actions.clear();
        bench.pass(Duration::from_millis(500), &[sibling]);
        assert_eq!(bench.route("10.1.77.5/32"), Some(sibling), "{late} ms");
        let actions = bench.actions.iter();
        let sent = actions
            .filter(|action| matches!(action, Action::Probe { conn: to, .. } if *to == conn));
        probes = probes.max(sent.count());
    }
    // All of them may fall silent at once.
    assert!(probes <= 12, "{probes} probes to one of them");
}

/// The prefixes that the sibling was told last; none if it was told that there are none.
fn told(bench: &Bench, sibling: ConnId) -> Option<BTreeSet<ringway_config::Prefix>> {
    let sent = bench.sent(sibling).into_iter();
    let claims = sent.filter_map(|sent| match sent {
        Message::Announce { prefixes, .. } => Some(prefixes),
        Message::Withdraw { .. } => Some(BTreeSet::new()),
        _ => None,
    });

    claims.last()
}

#[test]
fn a_wireguard_client_is_at_the_gateway_that_it_used_last() {
    const CLIENT: &str = "10.1.77.5/32";
    let mut membership = membership();
    let key = (membership.me.org.clone(), node_site());
    membership.authorized.insert(key, vec![prefix(CLIENT)]);
    let mut bench = Bench::of(membership, settings());
    let sibling = bench.connect("gw2.m", Role::Accepter);
    bench.receive(sibling, hello_with(2, 0, FEATURES));
    bench.pass(Duration::ZERO, &[sibling]);
    let use_here = |bench: &mut Bench| {
        bench.actions.clear();
        let used = [
            (prefix(CLIENT), bench.now),
            (prefix("10.2.0.0/16"), bench.now),
        ];
        bench.mesh.handle_wireguard(used.into(), bench.now);
        bench.collect();
    };

    // What is no node's is never claimed.
    use_here(&mut bench);
    assert_eq!(told(&bench, sibling), Some(prefixes(&[CLIENT])));
    assert_eq!(bench.route(CLIENT), None, "not by a tunnel");

    // It takes the sibling, without a farewell to this gateway.
    let second = |bench: &mut Bench| bench.pass(Duration::from_millis(1), &[sibling]);
    second(&mut bench);
    bench.actions.clear();
    announce(&mut bench, sibling, &[CLIENT]);
    assert_eq!(told(&bench, sibling), Some(BTreeSet::new()));
    assert_eq!(bench.route(CLIENT), Some(sibling));

    // And comes back, long before the sibling notices.
    second(&mut bench);
    use_here(&mut bench);
    assert_eq!(told(&bench, sibling), Some(prefixes(&[CLIENT])));
    assert_eq!(bench.route(CLIENT), None);

    bench.actions.clear();
    bench.mesh.handle_wireguard([].into(), bench.now);
    bench.collect();
    assert_eq!(told(&bench, sibling), Some(BTreeSet::new()));
}
