//! Forwarding of names outside the consortium, to resolvers that work, fail, are slow or silent.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod nsd;
mod site;
mod upstream;

use site::{Host, Site, query_over_tcp};
use upstream::{Upstream, answer, error, truncated};

const NOERROR: u8 = 0;
const FORMERR: u8 = 1;
const SERVFAIL: u8 = 2;
const NOTIMP: u8 = 4;
const REFUSED: u8 = 5;

#[test]
fn only_hosts_of_this_site_are_offered_recursion() {
    let upstream = Upstream::answering([192, 0, 2, 1]);
    let site = Site::forwarding(&[("", &[upstream.address])]);
    let host = Host::at("127.0.0.1", &site);
    let remote_host = Host::at("127.0.0.3", &site);

    let answered = host.query("www.corp.test");
    assert_eq!(answered.rcode, NOERROR);
    assert!(answered.recursion_available);
    assert!(answered.contains([192, 0, 2, 1]));

    let refused = remote_host.query("www.corp.test");
    assert_eq!(refused.rcode, REFUSED);
    assert!(!refused.recursion_available);

    let our_name = "peer0.org1.consortium.test";
    assert!(host.query(our_name).recursion_available);
    assert!(!remote_host.query(our_name).recursion_available);
}

#[test]
fn without_resolvers_nothing_is_answered_from_the_cache_either() {
    let upstream = Upstream::answering([192, 0, 2, 1]);
    let site = Site::forwarding(&[("", &[upstream.address])]);
    let host = Host::at("127.0.0.1", &site);
    assert_eq!(host.query("www.corp.test").rcode, NOERROR);

    site.forward(&[]);
    let refused = host.query("www.corp.test");
    assert_eq!(refused.rcode, REFUSED);
    assert!(!refused.recursion_available);
}

#[test]
fn the_longest_suffix_decides_and_names_without_one_are_refused() {
    let corp = Upstream::answering([192, 0, 2, 1]);
    let lab = Upstream::answering([192, 0, 2, 2]);
    let site = Site::forwarding(&[
        ("corp.test", &[corp.address]),
        ("lab.corp.test", &[lab.address]),
    ]);
    let host = Host::at("127.0.0.1", &site);

    assert!(host.query("www.corp.test").contains([192, 0, 2, 1]));
    assert!(host.query("www.lab.corp.test").contains([192, 0, 2, 2]));
    assert_eq!(host.query("www.test").rcode, REFUSED);

    site.forward(&[("corp.test", &[lab.address])]);
    assert!(
        host.query("www.corp.test").contains([192, 0, 2, 2]),
        "a change of resolvers empties the cache"
    );
}

#[test]
fn names_of_the_consortium_are_never_forwarded() {
    let upstream = Upstream::answering([192, 0, 2, 1]);
    let site = Site::forwarding(&[("", &[upstream.address])]);
    let host = Host::at("127.0.0.1", &site);

    assert_eq!(
        host.query("peer0.org2.consortium.test").rcode,
        SERVFAIL,
        "the zone was never received"
    );
    for name in ["peer0.org9.consortium.test", "consortium.test"] {
        assert_eq!(host.query(name).rcode, REFUSED, "{name}");
    }
    assert_eq!(upstream.queries(), 0);

    assert_eq!(host.query("www.corp.test").rcode, NOERROR);
    assert_eq!(upstream.queries(), 1, "other names are forwarded");
}

#[test]
fn equal_questions_are_forwarded_once_and_the_response_is_cached() {
    let (upstream, resume) = Upstream::paused([192, 0, 2, 1]);
    let site = Site::forwarding(&[("", &[upstream.address])]);
    let host = Host::at("127.0.0.1", &site);

    for id in 0..10 {
        host.send(2 * id, "www.corp.test");
        host.send(2 * id + 1, "WWW.corp.TEST");
    }
    // The server handles a socket's queries in order, so once this one is answered all twenty wait.
    host.send(99, "peer0.org1.consortium.test");
    assert_eq!(host.receive().id, 99);

    resume.send(()).unwrap();
    let mut received = Vec::new();
    for _ in 0..20 {
        let reply = host.receive();
        received.push((reply.id, reply.rcode));
    }
    received.sort();
    let expected: Vec<_> = (0..20).map(|id| (id, NOERROR)).collect();
    assert_eq!(received, expected);

    let cached = host.query("wWw.cOrp.tEst");
    assert!(cached.contains([192, 0, 2, 1]));
    let question = b"\x03wWw\x04cOrp\x04tEst\x00";
    assert!(
        cached.message[12..].starts_with(question),
        "a cached response repeats the question in the client's case"
    );
    assert_eq!(upstream.queries(), 1);
}

#[test]
fn a_silent_resolver_delays_no_answer_from_our_zones_and_forwarded_names_fail() {
    let silent = Upstream::silent();
    let site = Site::forwarding(&[("", &[silent.address])]);
    let host = Host::at("127.0.0.1", &site);

    host.send(1, "www.corp.test");
    host.send(2, "peer0.org1.consortium.test");
    assert_eq!(host.receive().id, 2);
    let failed = host.receive();
    assert_eq!(failed.id, 1);
    assert_eq!(failed.rcode, SERVFAIL);

    let output = site.kdig("www.corp.test +edns");
    assert!(output.contains("No Reachable Authority"), "{output}");
}

#[test]
fn if_a_resolver_is_silent_or_fails_the_next_one_answers() {
    let silent = Upstream::silent();
    let failing = Upstream::new(Box::new(|query| vec![error(query, SERVFAIL)]));
    let working = Upstream::answering([192, 0, 2, 1]);
    let site = Site::forwarding(&[("", &[silent.address, failing.address, working.address])]);
    let host = Host::at("127.0.0.1", &site);

    assert!(host.query("a.corp.test").contains([192, 0, 2, 1]));
    let before = silent.queries() + failing.queries();
    assert!(host.query("b.corp.test").contains([192, 0, 2, 1]));
    assert_eq!(
        silent.queries() + failing.queries(),
        before,
        "the working resolver comes first now"
    );
}

#[test]
fn one_host_cannot_use_up_the_questions_in_flight() {
    let silent = Upstream::silent();
    let working = Upstream::answering([192, 0, 2, 1]);
    let forwards = [
        ("slow.test", &[silent.address][..]),
        ("fast.test", &[working.address]),
    ];
    let site = Site::forwarding(&forwards);
    let host = Host::at("127.0.0.1", &site);

    // One host's limit is 64.
    for id in 0..66 {
        host.send(id, &format!("h{id}.slow.test"));
    }
    let first = host.receive();
    let second = host.receive();
    let mut failed = [(first.id, first.rcode), (second.id, second.rcode)];
    failed.sort();
    assert_eq!(
        failed,
        [(64, SERVFAIL), (65, SERVFAIL)],
        "the others are still in flight"
    );

    let other = Host::at("127.0.0.2", &site);
    assert!(other.query("a.fast.test").contains([192, 0, 2, 1]));
}

#[test]
fn private_addresses_are_dropped_unless_the_resolvers_suffix_is_named() {
    let inside = Upstream::answering([10, 1, 0, 11]);
    let site = Site::forwarding(&[("", &[inside.address]), ("corp.test", &[inside.address])]);
    let host = Host::at("127.0.0.1", &site);

    assert!(!host.query("www.public.test").contains([10, 1, 0, 11]));
    assert!(host.query("www.corp.test").contains([10, 1, 0, 11]));
}

#[test]
fn a_response_with_another_identifier_is_ignored() {
    let spoofed = Upstream::new(Box::new(|query| {
        let mut forged = answer(query, [203, 0, 113, 66]);
        forged[0] ^= 1;
        vec![forged, answer(query, [192, 0, 2, 1])]
    }));
    let site = Site::forwarding(&[("", &[spoofed.address])]);

    let reply = Host::at("127.0.0.1", &site).query("www.corp.test");
    assert!(reply.contains([192, 0, 2, 1]));
    assert!(!reply.contains([203, 0, 113, 66]));
}

#[test]
fn after_a_truncated_response_the_query_is_sent_over_tcp() {
    let truncating = Upstream::new(Box::new(|query| vec![truncated(query)]));
    let site = Site::forwarding(&[("", &[truncating.address])]);

    let reply = Host::at("127.0.0.1", &site).query("www.corp.test");
    assert!(reply.contains([192, 0, 2, 9]), "the answer over TCP");
}

#[test]
fn a_resolver_without_edns_is_queried_again_without() {
    for rcode in [FORMERR, NOTIMP] {
        let old = Upstream::new(Box::new(move |query| {
            let has_opt = query[11] == 1;
            vec![if has_opt {
                error(query, rcode)
            } else {
                answer(query, [192, 0, 2, 1])
            }]
        }));
        let site = Site::forwarding(&[("", &[old.address])]);

        let reply = Host::at("127.0.0.1", &site).query("www.corp.test");
        assert!(reply.contains([192, 0, 2, 1]), "{reply:?}");
        assert_eq!(old.queries(), 2);
    }
}

#[test]
fn a_resolver_that_always_reports_a_format_error_counts_as_failed() {
    let broken = Upstream::new(Box::new(|query| vec![error(query, FORMERR)]));
    let site = Site::forwarding(&[("", &[broken.address])]);

    let reply = Host::at("127.0.0.1", &site).query("www.corp.test");
    assert_eq!(reply.rcode, SERVFAIL);
}

#[test]
fn forwarded_tcp_queries_delay_no_others_and_are_answered_after_a_half_close() {
    let (upstream, resume) = Upstream::paused([192, 0, 2, 1]);
    let site = Site::forwarding(&[("", &[upstream.address])]);

    let names = ["www.corp.test", "peer0.org1.consortium.test"];
    let replies = query_over_tcp(&site, &names, |first| {
        assert_eq!(first.id, 2);
        resume.send(()).unwrap();
    });
    assert_eq!(replies[1].id, 1);
    assert!(replies[1].contains([192, 0, 2, 1]));
}
