//! What is answered, to whom, over both transports.

use std::io::{ErrorKind, Write};
use std::net::UdpSocket;
use std::time::{Instant, SystemTime};

use crate::running::*;

#[test]
fn dig_and_kdig_get_the_same_answers_over_udp_and_tcp_and_both_families() {
    let server = Running::start();
    for at in server.addresses.clone() {
        for tool in ["dig", "kdig"] {
            for transport in ["+notcp", "+tcp"] {
                let short = |question: &str| {
                    server.run(tool, at, &format!("{question} +short {transport}"))
                };
                assert_eq!(short("peer0.org1.example A"), "10.1.0.11\n");
                assert_eq!(short("peer0.org1.example AAAA"), "fd00:1::11\n");
                assert_eq!(
                    short("ca.org1.example A"),
                    "peer0.org1.example.\n10.1.0.11\n"
                );
                assert_eq!(short("x.any.org1.example A"), "10.1.0.30\n");
                let soa = "gw.org1.example. hostmaster.org1.example. 7 60 10 100 5\n";
                assert_eq!(short("org1.example SOA"), soa);
            }
        }
    }
    assert_eq!(
        (server.counters.udp.get(), server.counters.tcp.get()),
        (20, 20)
    );
    assert_eq!(server.counters.answered(0), 40);
}

#[test]
fn codes_tell_a_missing_name_from_a_missing_zone_and_a_strange_one() {
    let server = Running::start();
    for (name, code) in [
        ("no.org1.example", "NXDOMAIN"),
        ("a.org2.example", "SERVFAIL"),
        ("example.com", "REFUSED"),
    ] {
        let text = server.run("dig", server.v4(), &format!("{name} A"));
        assert!(text.contains(&format!("status: {code}")), "{text}");
    }
    let text = server.run("dig", server.v4(), "no.org1.example A");
    assert!(text.contains("flags: qr aa rd;"), "{text}");
    assert!(text.contains("org1.example.\t\t5\tIN\tSOA"), "{text}");
}

#[test]
fn an_answer_too_large_for_udp_is_asked_for_again_over_tcp() {
    let server = Running::start();
    let cut = server.run("dig", server.v4(), "many.org1.example A +ignore");
    assert!(
        cut.contains("flags: qr aa tc rd;") && cut.contains("ANSWER: 0"),
        "{cut}"
    );
    for tool in ["dig", "kdig"] {
        let whole = server.run(tool, server.v4(), "many.org1.example A +short");
        assert_eq!(
            whole
                .lines()
                .filter(|line| line.starts_with("10.1.1."))
                .count(),
            200,
            "{tool}: {whole}"
        );
    }
}

#[test]
fn a_changed_zone_is_answered_at_once() {
    let server = Running::start();
    let zone = org1().with_serial(8);
    server.zones.publish_own(zone, SystemTime::now()).unwrap();
    let soa = server.run("kdig", server.v4(), "org1.example SOA +short");
    assert!(soa.contains(" 8 60 10 100 5"), "{soa}");
}

#[test]
fn a_response_is_never_answered() {
    let server = Running::start();
    let asker = udp_from("127.0.0.1");
    let mut response = question(1, "peer0.org1.example");
    response[2] |= 0x80;
    asker.send_to(&response, server.v4()).unwrap();
    asker.send_to(&response[..11], server.v4()).unwrap();
    asker
        .send_to(&question(2, "peer0.org1.example"), server.v4())
        .unwrap();
    assert_eq!(
        next_id(&asker),
        2,
        "the socket is served in order: the first two got nothing"
    );
    assert_eq!(server.counters.silent.get(), 2);
}

#[test]
fn whoever_is_not_in_the_acl_gets_silence() {
    let server = Running::start();
    let (stranger, friend) = (udp_from("127.0.0.2"), udp_from("127.0.0.1"));
    stranger
        .send_to(&question(1, "peer0.org1.example"), server.v4())
        .unwrap();
    friend
        .send_to(&question(2, "peer0.org1.example"), server.v4())
        .unwrap();
    assert_eq!(next_id(&friend), 2);
    stranger.set_nonblocking(true).unwrap();
    let nothing = stranger.recv(&mut [0; 512]).unwrap_err();
    assert_eq!(
        nothing.kind(),
        ErrorKind::WouldBlock,
        "served in order, so it would be here by now"
    );
    assert!(is_closed(&mut tcp_from("127.0.0.2", server.v4())));
    assert_eq!(server.counters.foreign.get(), 2);
}

#[test]
fn the_end_closes_every_connection_and_frees_the_port() {
    let mut server = Running::start();
    let mut stream = tcp_from("127.0.0.1", server.v4());
    stream
        .write_all(&framed(&question(1, "peer0.org1.example")))
        .unwrap();
    read_answer(&mut stream);
    server.end();
    assert!(is_closed(&mut stream));
    UdpSocket::bind(server.v4()).unwrap();
}

#[test]
fn the_port_is_free_soon_after_a_server_was_dropped_without_being_told_to_end() {
    let mut server = Running::start();
    server.run("dig", server.v4(), "peer0.org1.example A");
    server.abandon();
    let until = Instant::now() + PATIENCE;
    while let Err(error) = UdpSocket::bind(server.v4()) {
        assert!(Instant::now() < until, "{error}");
        std::thread::yield_now();
    }
}

#[test]
fn questions_that_come_together_are_each_answered_to_who_asked() {
    let server = Running::start();
    let askers = ["127.0.0.1", "127.0.0.3", "127.0.1.9"].map(udp_from);
    for id in 0..50 {
        for (asker, name) in
            askers
                .iter()
                .zip(["peer0.org1.example", "no.org1.example", "many.org1.example"])
        {
            asker.send_to(&question(id, name), server.v4()).unwrap();
        }
    }
    for (asker, code) in askers.iter().zip([0, 3, 0]) {
        let mut ids: Vec<_> = (0..50)
            .map(|_| next(asker))
            .map(|answer| {
                assert_eq!(answer[3] & 0xf, code);
                u16::from_be_bytes([answer[0], answer[1]])
            })
            .collect();
        ids.sort();
        assert_eq!(ids, (0..50).collect::<Vec<_>>());
    }
    assert_eq!(server.counters.unsent.get(), 0);
}
