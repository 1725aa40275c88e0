//! Answers over both transports, and which clients get them.

use std::io::{ErrorKind, Write};
use std::net::UdpSocket;
use std::time::{Instant, SystemTime};

use ringway_dns::{Acl, Arrivals, Interface, Options};

use crate::test_server::*;

#[test]
fn dig_and_kdig_get_the_same_answers_over_udp_and_tcp_and_both_families() {
    let server = TestServer::start();
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
    assert_eq!(server.counters.udp.get(), 20);
    assert_eq!(server.counters.tcp.get(), 20);
    assert_eq!(server.counters.answered(0), 40);
}

#[test]
fn the_response_code_distinguishes_missing_names_missing_copies_and_other_zones() {
    let server = TestServer::start();
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
fn a_response_too_large_for_udp_is_truncated_and_complete_over_tcp() {
    let server = TestServer::start();
    let truncated = server.run("dig", server.v4(), "many.org1.example A +ignore");
    assert!(truncated.contains("flags: qr aa tc rd;"), "{truncated}");
    // A client without TCP takes what fits.
    let fitting = truncated.lines().filter(|line| line.contains("10.1.1."));
    assert!((20..200).contains(&fitting.count()), "{truncated}");
    for tool in ["dig", "kdig"] {
        let complete = server.run(tool, server.v4(), "many.org1.example A +short");
        let addresses = complete
            .lines()
            .filter(|line| line.starts_with("10.1.1."))
            .count();
        assert_eq!(addresses, 200, "{tool}: {complete}");
    }
}

#[test]
fn a_published_zone_is_served_at_once() {
    let server = TestServer::start();
    let zone = org1().with_serial(8);
    server.zones.publish(zone, SystemTime::now()).unwrap();
    let soa = server.run("kdig", server.v4(), "org1.example SOA +short");
    assert!(soa.contains(" 8 60 10 100 5"), "{soa}");
}

#[test]
fn a_response_is_never_answered() {
    let server = TestServer::start();
    let client = udp_from("127.0.0.1");
    let mut response = question(1, "peer0.org1.example");
    response[2] |= 0x80;
    client.send_to(&response, server.v4()).unwrap();
    client.send_to(&response[..11], server.v4()).unwrap();
    client
        .send_to(&question(2, "peer0.org1.example"), server.v4())
        .unwrap();
    assert_eq!(
        next_id(&client),
        2,
        "queries are answered in order: the first two got no response"
    );
    assert_eq!(server.counters.silent.get(), 2);
}

#[test]
fn clients_outside_the_acl_get_no_response() {
    let server = TestServer::start();
    let outside = udp_from("127.0.0.2");
    let admitted = udp_from("127.0.0.1");
    outside
        .send_to(&question(1, "peer0.org1.example"), server.v4())
        .unwrap();
    admitted
        .send_to(&question(2, "peer0.org1.example"), server.v4())
        .unwrap();
    assert_eq!(next_id(&admitted), 2);
    outside.set_nonblocking(true).unwrap();
    let error = outside.recv(&mut [0; 512]).unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::WouldBlock,
        "queries are answered in order: a response would have arrived"
    );
    assert!(is_closed(&mut tcp_from("127.0.0.2", server.v4())));
    assert_eq!(server.counters.foreign.get(), 2);
}

/// The interface of every connection and datagram in these tests: `lo` is the first of a namespace.
const LOOPBACK: Interface = Interface(1);

#[test]
fn a_query_that_arrived_by_another_interface_than_its_source_gets_no_response() {
    // 127.0.0.1 is a host of this site, 127.0.0.3 a member's: its queries must not come by `lo`.
    let acl = Acl::new(["127.0.0.3/32".parse().unwrap()])
        .with_site(["127.0.0.1/32".parse().unwrap(), "::1/128".parse().unwrap()])
        .arriving(Arrivals {
            site: [LOOPBACK].into(),
            mesh: [Interface(4242)].into(),
        });
    let options = Options {
        interface_of: Some(|_| Ok(LOOPBACK.0)),
        ..Options::default()
    };
    let server = TestServer::start_for(acl, options);

    let member = udp_from("127.0.0.3");
    let host = udp_from("127.0.0.1");
    for round in 0..3 {
        // More than once: the buffers of the first queries are used again.
        let from_member = question(1, "peer0.org1.example");
        member.send_to(&from_member, server.v4()).unwrap();
        let from_host = question(round + 2, "peer0.org1.example");
        host.send_to(&from_host, server.v4()).unwrap();
        assert_eq!(next_id(&host), round + 2);
    }
    member.set_nonblocking(true).unwrap();
    let error = member.recv(&mut [0; 512]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);

    assert!(is_closed(&mut tcp_from("127.0.0.3", server.v4())));
    assert_eq!(server.counters.foreign.get(), 4);
    for address in &server.addresses {
        let answer = server.run("dig", *address, "peer0.org1.example A +short");
        assert_eq!(answer, "10.1.0.11\n", "{address}");
        let answer = server.run("dig", *address, "peer0.org1.example A +short +tcp");
        assert_eq!(answer, "10.1.0.11\n", "{address} over TCP");
    }
}

#[test]
fn shutdown_closes_every_connection_and_frees_the_port() {
    let mut server = TestServer::start();
    let mut stream = tcp_from("127.0.0.1", server.v4());
    stream
        .write_all(&framed(&question(1, "peer0.org1.example")))
        .unwrap();
    read_answer(&mut stream);
    server.shut_down();
    assert!(is_closed(&mut stream));
    UdpSocket::bind(server.v4()).unwrap();
}

#[test]
fn dropping_a_running_server_frees_the_port() {
    let mut server = TestServer::start();
    server.run("dig", server.v4(), "peer0.org1.example A");
    server.drop_running();
    let until = Instant::now() + PATIENCE;
    while let Err(error) = UdpSocket::bind(server.v4()) {
        assert!(Instant::now() < until, "{error}");
        std::thread::yield_now();
    }
}

#[test]
fn each_response_goes_to_the_client_that_sent_the_query() {
    let server = TestServer::start();
    let clients = ["127.0.0.1", "127.0.0.3", "127.0.1.9"].map(udp_from);
    for id in 0..50 {
        for (client, name) in
            clients
                .iter()
                .zip(["peer0.org1.example", "no.org1.example", "many.org1.example"])
        {
            client.send_to(&question(id, name), server.v4()).unwrap();
        }
    }
    for (client, code) in clients.iter().zip([0, 3, 0]) {
        let mut ids: Vec<_> = (0..50)
            .map(|_| next(client))
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
