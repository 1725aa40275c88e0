//! Names outside the consortium, asked of resolvers that are well, slow, dead, or worse.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod nsd;
mod site;
mod upstream;

use site::{Host, Site, over_tcp};
use upstream::{Upstream, answer, code, truncated};

const NOERROR: u8 = 0;
const SERVFAIL: u8 = 2;
const REFUSED: u8 = 5;

#[test]
fn the_own_site_is_served_and_told_so_and_nobody_else() {
    let upstream = Upstream::telling([192, 0, 2, 1]);
    let site = Site::forwarding(&[("", &[upstream.address])]);
    let (own, other) = (Host::at("127.0.0.1", &site), Host::at("127.0.0.3", &site));
    let served = own.asks("www.corp.test");
    assert!(served.rcode == NOERROR && served.ra && served.tells([192, 0, 2, 1]));
    let refused = other.asks("www.corp.test");
    assert!(refused.rcode == REFUSED && !refused.ra);
    assert!(
        own.asks("peer0.org1.consortium.test").ra && !other.asks("peer0.org1.consortium.test").ra
    );
    site.forward(&[]);
    let refused = own.asks("www.corp.test");
    assert!(
        refused.rcode == REFUSED && !refused.ra,
        "nobody is asked any more, nor is the cache"
    );
}

#[test]
fn the_longest_suffix_is_asked_and_other_names_are_refused() {
    let (a, b) = (
        Upstream::telling([192, 0, 2, 1]),
        Upstream::telling([192, 0, 2, 2]),
    );
    let site = Site::forwarding(&[("corp.test", &[a.address]), ("lab.corp.test", &[b.address])]);
    let host = Host::at("127.0.0.1", &site);
    assert!(host.asks("www.corp.test").tells([192, 0, 2, 1]));
    assert!(host.asks("www.lab.corp.test").tells([192, 0, 2, 2]));
    assert_eq!(host.asks("www.test").rcode, REFUSED);
    site.forward(&[("corp.test", &[b.address])]);
    assert!(
        host.asks("www.corp.test").tells([192, 0, 2, 2]),
        "what the first said is forgotten"
    );
}

#[test]
fn no_name_of_the_consortium_is_asked_elsewhere() {
    let upstream = Upstream::telling([192, 0, 2, 1]);
    let site = Site::forwarding(&[("", &[upstream.address])]);
    let host = Host::at("127.0.0.1", &site);
    assert_eq!(
        host.asks("peer0.org2.consortium.test").rcode,
        SERVFAIL,
        "its zone was never received"
    );
    for name in ["peer0.org9.consortium.test", "consortium.test"] {
        assert_eq!(host.asks(name).rcode, REFUSED, "{name}");
    }
    assert_eq!(upstream.asked(), 0);
    assert_eq!(
        (host.asks("www.corp.test").rcode, upstream.asked()),
        (NOERROR, 1),
        "others are"
    );
}

#[test]
fn equal_questions_are_asked_once_and_their_answer_is_kept() {
    let (upstream, go) = Upstream::held([192, 0, 2, 1]);
    let site = Site::forwarding(&[("", &[upstream.address])]);
    let host = Host::at("127.0.0.1", &site);
    (0..20).for_each(|id| {
        host.ask(
            id,
            if id % 2 == 0 {
                "www.corp.test"
            } else {
                "WWW.corp.TEST"
            },
        )
    });
    // The socket is served in order: when this is answered, all twenty wait.
    host.ask(99, "peer0.org1.consortium.test");
    assert_eq!(host.hear().id, 99);
    go.send(()).unwrap();
    let mut ids: Vec<_> = (0..20)
        .map(|_| host.hear())
        .map(|reply| (reply.id, reply.rcode))
        .collect();
    ids.sort();
    assert_eq!(ids, (0..20).map(|id| (id, NOERROR)).collect::<Vec<_>>());
    let mixed = host.asks("wWw.cOrp.tEst");
    assert!(
        mixed.tells([192, 0, 2, 1])
            && mixed.message[12..].starts_with(b"\x03wWw\x04cOrp\x04tEst\x00")
    );
    assert_eq!(upstream.asked(), 1);
}

#[test]
fn a_dead_resolver_delays_no_answer_of_ours_and_its_names_fail() {
    let dead = Upstream::dead();
    let site = Site::forwarding(&[("", &[dead.address])]);
    let host = Host::at("127.0.0.1", &site);
    host.ask(1, "www.corp.test");
    host.ask(2, "peer0.org1.consortium.test");
    assert_eq!(host.hear().id, 2);
    let failed = host.hear();
    assert_eq!((failed.id, failed.rcode), (1, SERVFAIL));
    assert!(
        site.kdig("www.corp.test +edns")
            .contains("No Reachable Authority")
    );
}

#[test]
fn when_one_resolver_is_dead_or_fails_the_next_one_answers() {
    let dead = Upstream::dead();
    let failing = Upstream::that(Box::new(|question| vec![code(question, SERVFAIL)]));
    let good = Upstream::telling([192, 0, 2, 1]);
    let site = Site::forwarding(&[("", &[dead.address, failing.address, good.address])]);
    let host = Host::at("127.0.0.1", &site);
    assert!(host.asks("a.corp.test").tells([192, 0, 2, 1]));
    let asked = dead.asked() + failing.asked();
    assert!(host.asks("b.corp.test").tells([192, 0, 2, 1]));
    assert_eq!(
        dead.asked() + failing.asked(),
        asked,
        "the good one is asked first now"
    );
}

#[test]
fn too_many_questions_under_way_fail_at_once() {
    let dead = Upstream::dead();
    let site = Site::forwarding(&[("", &[dead.address])]);
    let host = Host::at("127.0.0.1", &site);
    (0..130).for_each(|id| host.ask(id, &format!("h{id}.corp.test")));
    let mut first: Vec<_> = (0..2)
        .map(|_| host.hear())
        .map(|reply| (reply.id, reply.rcode))
        .collect();
    first.sort();
    assert_eq!(
        first,
        [(128, SERVFAIL), (129, SERVFAIL)],
        "the others still wait"
    );
}

#[test]
fn an_answer_with_a_strange_identifier_is_not_heard() {
    let forging = Upstream::that(Box::new(|question| {
        let mut forged = answer(question, [203, 0, 113, 66]);
        forged[0] ^= 1;
        vec![forged, answer(question, [192, 0, 2, 1])]
    }));
    let site = Site::forwarding(&[("", &[forging.address])]);
    let reply = Host::at("127.0.0.1", &site).asks("www.corp.test");
    assert!(reply.tells([192, 0, 2, 1]) && !reply.tells([203, 0, 113, 66]));
}

#[test]
fn what_is_cut_off_is_asked_again_over_tcp() {
    let cutting = Upstream::that(Box::new(|question| vec![truncated(question)]));
    let site = Site::forwarding(&[("", &[cutting.address])]);
    assert!(
        Host::at("127.0.0.1", &site)
            .asks("www.corp.test")
            .tells([10, 9, 9, 9])
    );
}

#[test]
fn a_resolver_that_does_not_know_edns_is_asked_again_without() {
    const FORMERR: u8 = 1;
    const NOTIMP: u8 = 4;
    for refusal in [FORMERR, NOTIMP] {
        let old = Upstream::that(Box::new(move |question| {
            let has_opt = question[11] == 1;
            vec![if has_opt {
                code(question, refusal)
            } else {
                answer(question, [192, 0, 2, 1])
            }]
        }));
        let site = Site::forwarding(&[("", &[old.address])]);
        let reply = Host::at("127.0.0.1", &site).asks("www.corp.test");
        assert!(reply.tells([192, 0, 2, 1]), "{reply:?}");
        assert_eq!(old.asked(), 2);
    }
    let broken = Upstream::that(Box::new(|question| vec![code(question, FORMERR)]));
    let site = Site::forwarding(&[("", &[broken.address])]);
    assert_eq!(
        Host::at("127.0.0.1", &site).asks("www.corp.test").rcode,
        SERVFAIL
    );
}

#[test]
fn over_tcp_our_answers_do_not_wait_for_others_and_none_is_lost_when_the_client_has_asked_all() {
    let (upstream, go) = Upstream::held([192, 0, 2, 1]);
    let site = Site::forwarding(&[("", &[upstream.address])]);
    let replies = over_tcp(
        &site,
        &["www.corp.test", "peer0.org1.consortium.test"],
        |first| {
            assert_eq!(first.id, 2);
            go.send(()).unwrap();
        },
    );
    assert!(replies[1].id == 1 && replies[1].tells([192, 0, 2, 1]));
}
