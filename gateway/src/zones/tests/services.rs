//! Where the names of Kubernetes Services in a fragment come from.

use ringway_core::ServicesOrigin;

use super::*;

const CURRENT: ServicesOrigin = ServicesOrigin {
    source: Digest([7; 32]),
    is_current: true,
};
const EARLIER: ServicesOrigin = ServicesOrigin {
    source: Digest([7; 32]),
    is_current: false,
};

fn known(stand: &Stand) -> Option<ServicesOrigin> {
    let mut known = stand.replicator.services();
    known.next().map(|(_, origin)| origin)
}

#[test]
fn the_origin_of_a_siblings_services_counts_while_its_fragment_is_answered() {
    let mut stand = Stand::new(&["gw.org0", "gw2.org0"]);
    let from = sender("gw2.org0", 1);
    let mut first = owner(fragment("gw2.org0", "host A 10.0.0.2"));
    first.services = Some(CURRENT);
    let replies = stand.handle(from.clone(), offer_of(&first));
    assert_eq!(known(&stand), None, "it is on its way");
    stand.serve(&from, &mut first, replies);
    assert_eq!(known(&stand), Some(CURRENT));

    let mut second = owner(fragment("gw2.org0", "host A 10.0.0.3"));
    second.services = Some(EARLIER);
    let replies = stand.handle(from.clone(), offer_of(&second));
    assert_eq!(known(&stand), Some(CURRENT), "the version before is held");
    stand.serve(&from, &mut second, replies);
    assert_eq!(known(&stand), Some(EARLIER));

    for services in [Some(CURRENT), None, Some(EARLIER)] {
        second.services = services;
        stand.handle(from.clone(), offer_of(&second));
        assert_eq!(known(&stand), services);
    }
    // An offer on an older session is ignored.
    stand.handle(sender("gw2.org0", 2), offer_of(&second));
    second.services = None;
    stand.handle(from, offer_of(&second));
    assert_eq!(known(&stand), Some(EARLIER));

    stand.replicator.forget(ConnId(1));
    stand.replicator.forget(ConnId(2));
    assert_eq!(known(&stand), Some(EARLIER), "it is still answered");
    stand.pass(2 * HOUR);
    assert_eq!(known(&stand), None);
}

#[test]
fn another_organization_says_nothing_about_our_services() {
    let mut stand = Stand::new(&TWO);
    let mut theirs = owner(fragment("a.org1", "host A 10.1.0.1"));
    theirs.services = Some(CURRENT);
    stand.push(&sender("a.org1", 1), &mut theirs);
    assert_eq!(stand.ask("host"), answered("10.1.0.1"));
    assert_eq!(known(&stand), None);
}

#[test]
fn another_origin_alone_is_offered_and_no_verdict_is_forgotten() {
    let mut stand = Stand::new(&TWO);
    let verdict = FragmentMessage::Verdict {
        digest: stand.replicator.own.offer.digest,
        taken: true,
        text: None,
    };
    stand.handle(sender("a.org1", 1), ZoneMessage::Fragment(verdict));
    assert_eq!(stand.replicator.answers.len(), 1);

    for services in [Some(CURRENT), Some(EARLIER), None] {
        stand.replicator.set_services(services);
        let preparation = stand.replicator.prepare_own().expect("another origin");
        let reply = stand.replicator.handle_prepared(preparation.run());
        assert!(matches!(reply, Some(Reply::OfferToAll)), "{reply:?}");

        let (offer, _) = stand.replicator.offer(true);
        let expected = FragmentMessage::Offer {
            digest: stand.replicator.own.offer.digest,
            size: stand.replicator.own.offer.size as u32,
            services,
        };
        assert_eq!(offer, Some(ZoneMessage::Fragment(expected)));
    }
    assert_eq!(stand.replicator.answers.len(), 1);
    stand.replicator.set_services(None);
    assert!(stand.replicator.prepare_own().is_none());
}
