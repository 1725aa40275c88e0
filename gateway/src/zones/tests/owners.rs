//! Messages of owners: accepted, answered, and abandoned transfers.

use super::*;

#[test]
fn the_names_of_both_gateways_of_an_organization_are_answered() {
    let mut stand = Stand::new(&TWO);
    let mut a = owner(fragment("a.org1", "a A 10.1.0.1\nonly-a A 10.1.0.2"));
    let mut b = owner(fragment("b.org1", "b A 10.2.0.1\nonly-b A 10.2.0.2"));

    let said = stand.push(&sender("a.org1", 1), &mut a);
    assert!(
        matches!(said[..], [FragmentMessage::Verdict { taken: true, .. }]),
        "{said:?}"
    );
    stand.push(&sender("b.org1", 2), &mut b);
    for (host, address) in [("only-a", "10.1.0.2"), ("only-b", "10.2.0.2")] {
        assert_eq!(stand.ask(host), answered(address));
    }
    assert_eq!(stand.ask("nobody"), failed("NXDOMAIN"));

    // A change at one of them leaves the other's names alone.
    a = owner(fragment("a.org1", "a A 10.1.0.1\nonly-a A 10.1.0.3"));
    stand.push(&sender("a.org1", 1), &mut a);
    assert_eq!(stand.ask("only-a"), answered("10.1.0.3"));
    assert_eq!(stand.ask("only-b"), answered("10.2.0.2"));
}

#[test]
fn a_revoked_gateway_or_key_loses_its_names_at_once_and_after_a_restart() {
    let mut stand = Stand::new(&TWO);
    let mut a = owner(fragment("a.org1", "only-a A 10.1.0.2"));
    let mut b = owner(fragment("b.org1", "only-b A 10.2.0.2"));
    stand.push(&sender("a.org1", 1), &mut a);
    stand.push(&sender("b.org1", 2), &mut b);
    let org1: OrgId = "org1".parse().unwrap();

    let gateways = BTreeSet::from(["a".parse().unwrap()]);
    let now = stand.now;
    let without_b = terms(&org1, &gateways);
    _ = stand.replicator.adopt_terms(&org1, without_b.clone(), now);
    assert_eq!(stand.ask("only-b"), failed("NXDOMAIN"));
    assert_eq!(stand.ask("only-a"), answered("10.1.0.2"));

    let key = Digest::of(b"a.org1");
    let without_key = Terms {
        revoked_keys: BTreeSet::from([key]),
        ..without_b
    };
    _ = stand
        .replicator
        .adopt_terms(&org1, without_key.clone(), now);
    assert_eq!(stand.ask("only-a"), failed("SERVFAIL"));
    assert_eq!(stand.ask("nobody"), failed("SERVFAIL"));
    assert!(stand.push(&sender("a.org1", 1), &mut a).is_empty());

    let mut restarted = Organization::new(org1.clone(), without_key);
    stand.replicator.restore(&mut restarted);
    assert!(restarted.held.is_empty(), "the copy has the revoked key");

    // With another key, the same names are good.
    let mut renewed = sender("a.org1", 3);
    renewed.keys = vec![Digest::of(b"another")];
    stand.push(&renewed, &mut a);
    assert_eq!(stand.ask("only-a"), answered("10.1.0.2"));
}

#[test]
fn the_owner_is_right_whatever_it_had_before() {
    let mut stand = Stand::new(&["gw.org0", "a.org1"]);
    let mut newer = owner(fragment("a.org1", "x A 10.1.0.2"));
    let mut older = owner(fragment("a.org1", "x A 10.1.0.1"));
    stand.push(&sender("a.org1", 1), &mut newer);
    let first = stand.serial("org1").unwrap();

    // Restored from a snapshot: an earlier version on a new session.
    stand.push(&sender("a.org1", 2), &mut older);
    assert_eq!(stand.ask("x"), answered("10.1.0.1"));
    // Our own numbers go on, for those that follow us.
    assert!(stand.serial("org1").unwrap() > first);

    // What comes late on the older session is not the owner's word any more.
    let late = stand.push(&sender("a.org1", 1), &mut newer);
    assert!(late.is_empty(), "{late:?}");
    assert_eq!(stand.ask("x"), answered("10.1.0.1"));

    // Once the newer session has ended, it is.
    stand.replicator.forget(ConnId(2));
    stand.push(&sender("a.org1", 1), &mut newer);
    assert_eq!(stand.ask("x"), answered("10.1.0.2"));
}

#[test]
fn only_what_changed_is_sent_to_a_peer_that_has_the_version_before() {
    let hosts = |count: u32| {
        let hosts: String = (0..count).map(|i| format!("h{i} A 10.1.0.9\n")).collect();
        fragment("a.org1", &hosts)
    };
    let mut stand = Stand::new(&["gw.org0", "a.org1"]);
    let from_a = sender("a.org1", 1);
    let mut a = owner(hosts(1000));
    stand.push(&from_a, &mut a);
    let before = a.offer.digest;

    a.adopt(Arc::new(hosts(1001)));
    let preparation = a.prepare().unwrap();
    assert_eq!(a.replace(preparation.run()), Replaced::Version);
    let delta = a.since(Some(before));
    assert!(delta.concat().len() < 300 && a.whole.concat().len() > 10_000);
    stand.push(&from_a, &mut a);
    assert_eq!(stand.ask("h1000"), answered("10.1.0.9"));
}

#[test]
fn records_left_out_are_reported_to_their_owner_and_shown_at_both() {
    let mut stand = Stand::new(&TWO);
    let mut a = owner(fragment("a.org1", "x A 10.1.0.1\nbad A 169.254.169.254"));
    let mut b = owner(fragment("b.org1", "x CNAME y"));
    let said = stand.push(&sender("a.org1", 1), &mut a);
    let [
        FragmentMessage::Verdict {
            taken: true,
            text: Some(text),
            ..
        },
    ] = &said[..]
    else {
        panic!("{said:?}")
    };
    assert!(
        text.starts_with("not answered: bad.org1.example.test A of a"),
        "{text}"
    );
    assert_eq!(stand.ask("bad").1, None);

    stand.push(&sender("b.org1", 2), &mut b);
    let fragments = stand.replicator.fragments(&apex("org1"));
    let left_out: Vec<&String> = fragments.iter().flat_map(|one| &one.left_out).collect();
    assert_eq!(left_out.len(), 2, "{left_out:?}");
    assert_eq!(stand.ask("x"), answered("10.1.0.1"));
}

#[test]
fn a_refusal_of_our_names_reaches_the_status_until_they_are_taken() {
    let mut stand = Stand::new(&["gw.org0", "a.org1"]);
    let verdict = |digest, taken, text: Option<&str>| {
        ZoneMessage::Fragment(FragmentMessage::Verdict {
            digest,
            taken,
            text: text.map(str::to_owned),
        })
    };
    let digest = stand.replicator.own.offer.digest;
    let from_a = sender("a.org1", 1);

    stand.handle(from_a.clone(), verdict(digest, false, Some("no \u{1b}[2J")));
    let answers = stand.replicator.answers();
    assert_eq!(answers, [(id("a.org1"), "no \\u{1b}[2J".to_owned())]);
    assert_eq!(stand.replicator.attention.names("names").len(), 1);

    stand.handle(from_a, verdict(digest, true, None));
    assert!(stand.replicator.answers().is_empty());
    assert!(stand.replicator.attention.names("names").is_empty());
}

#[test]
fn a_gateway_without_fragments_gets_the_union_and_its_zone_counts_as_its_fragment() {
    let mut stand = Stand::new(&["gw.org0", "gw2.org0", "a.org1"]);
    let (none_yet, reply) = stand.replicator.offer(false);
    assert!(
        none_yet.is_none(),
        "it would replace a whole zone by a part"
    );
    let replies = stand
        .replicator
        .settle(reply.into_iter().collect(), stand.now);
    assert!(matches!(replies[..], [Reply::OfferToAll]));
    assert!(stand.replicator.offer(false).0.is_none(), "gw2 is missing");

    let mut second = owner(fragment("gw2.org0", "second A 10.0.0.2"));
    stand.push(&sender("gw2.org0", 1), &mut second);
    let (Some(ZoneMessage::Offer { serial, .. }), None) = stand.replicator.offer(false) else {
        panic!("no offer")
    };
    let mut old = sender("a.org1", 2);
    old.session.features = 0;
    let fetch = ZoneMessage::Fetch {
        apex: apex("org0"),
        serial,
        have: None,
    };
    let sent = stand.handle(old.clone(), fetch);
    let [Reply::Stream(_, load)] = &sent[..] else {
        panic!("{sent:?}")
    };
    let union = stand.replicator.zones.zone(&apex("org0")).unwrap();
    assert!(load.concat().ends_with(&union.encode()[20..]));

    // Its zones have serials; a lower one is as good.
    for (serial, address) in [(9, "10.1.0.9"), (3, "10.1.0.3")] {
        let zone = Arc::new(at_serial("a.org1", serial, &format!("x A {address}")));
        let theirs = Legacy::of(&apex("org1"), &zone);
        let wanted = stand.handle(old.clone(), theirs.message());
        assert!(matches!(
            wanted[..],
            [Reply::Message(_, ZoneMessage::Fetch { .. })]
        ));
        stand.send(&old, &theirs.whole);
        assert_eq!(stand.ask("x"), answered(address));
    }
}
