//! The response rate limit over UDP, and the cookies that exempt from it.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use ringway_dns::{Options, Rate};

use crate::test_server::*;

/// So low that a test exceeds it at once, even on a slow machine.
const RATE: Rate = Rate {
    site: 3,
    mesh: 3,
    slip: 2,
    ipv4: 24,
    ipv6: 56,
};
/// Queries in a burst.
const BURST: u16 = 60;

/// The responses to a burst of queries.
#[derive(Debug, Default)]
struct Responses {
    answered: usize,
    truncated: usize,
    /// How long the burst took, rounded up.
    seconds: u64,
}

fn limited() -> TestServer {
    TestServer::start_with(Options {
        rate: Arc::new(ArcSwap::from_pointee(RATE)),
        ..Options::default()
    })
}

/// Sends [`BURST`] queries and collects the responses. The server answers in order, so a response
/// to another network means that all of the burst have been handled.
fn send_burst(
    server: &TestServer,
    client: &UdpSocket,
    query: impl Fn(u16) -> Vec<u8>,
) -> Responses {
    let start = Instant::now();
    let other = udp_from("127.0.9.1");
    for id in 0..BURST {
        client.send_to(&query(id), server.v4()).unwrap();
    }
    let cookie = server_cookie(server, &other);
    other
        .send_to(&with_cookie(9, &cookie), server.v4())
        .unwrap();
    next(&other);

    let mut responses = Responses {
        seconds: start.elapsed().as_secs() + 1,
        ..Responses::default()
    };
    client.set_nonblocking(true).unwrap();
    let mut response = [0; 2048];
    while let Ok(len) = client.recv(&mut response) {
        if response[2] & 2 != 0 {
            assert!(len <= query(0).len(), "larger than the query");
            responses.truncated += 1;
        } else {
            responses.answered += 1;
        }
    }
    client.set_nonblocking(false).unwrap();
    responses
}

/// A query with a COOKIE option (RFC 7873, section 4).
fn with_cookie(id: u16, cookie: &[u8]) -> Vec<u8> {
    let mut message = question(id, "peer0.org1.example");
    message[11] = 1;
    let len = cookie.len() as u16;
    message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0]);
    message.extend((4 + len).to_be_bytes());
    message.extend([0, 10]);
    message.extend(len.to_be_bytes());
    message.extend(cookie);
    message
}

/// A client cookie and the server cookie for it, as `client` receives them.
fn server_cookie(server: &TestServer, client: &UdpSocket) -> Vec<u8> {
    let query = with_cookie(1, b"clientco");
    client.send_to(&query, server.v4()).unwrap();
    let response = next(client);
    // The response ends in the OPT record, and that in the cookie.
    let cookie = response[response.len() - 24..].to_vec();
    assert_eq!(&cookie[..8], b"clientco");
    cookie
}

#[test]
fn above_the_rate_limit_every_second_response_is_truncated_and_the_others_dropped() {
    let server = limited();
    let client = udp_from("127.0.0.1");
    let responses = send_burst(&server, &client, |id| question(id, "peer0.org1.example"));

    let most = 3 + 3 * responses.seconds as usize;
    assert!((3..=most).contains(&responses.answered), "{responses:?}");
    let above = usize::from(BURST) - responses.answered;
    assert!(
        responses.truncated.abs_diff(above / 2) <= 1,
        "{responses:?}"
    );
    let dropped = server.counters.dropped.get();
    assert_eq!(dropped, (above - responses.truncated) as u64);

    let over_tcp = server.run("dig", server.v4(), "peer0.org1.example A +short +tcp");
    assert_eq!(over_tcp, "10.1.0.11\n", "TCP has no limit");
}

#[test]
fn without_a_rate_limit_every_query_is_answered() {
    let server = TestServer::start_with(Options {
        rate: Arc::new(ArcSwap::from_pointee(Rate::of(0, 0))),
        ..Options::default()
    });
    let client = udp_from("127.0.0.1");
    let responses = send_burst(&server, &client, |id| question(id, "peer0.org1.example"));
    assert_eq!(responses.answered, BURST.into());
}

#[test]
fn the_limit_may_change_while_the_server_runs() {
    let rate = Arc::new(ArcSwap::from_pointee(Rate::of(0, 0)));
    let server = TestServer::start_with(Options {
        rate: rate.clone(),
        ..Options::default()
    });
    let burst = || {
        let client = udp_from("127.0.0.1");
        send_burst(&server, &client, |id| question(id, "peer0.org1.example")).answered
    };

    assert_eq!(burst(), usize::from(BURST));
    rate.store(Arc::new(RATE));
    assert!(burst() < usize::from(BURST), "the limit counts at once");
    rate.store(Arc::new(Rate::of(0, 0)));
    assert_eq!(burst(), usize::from(BURST));
}

#[test]
fn a_valid_cookie_exempts_its_client_from_the_rate_limit() {
    let server = limited();
    let client = udp_from("127.0.0.1");
    let cookie = server_cookie(&server, &client);
    let valid = send_burst(&server, &client, |id| with_cookie(id, &cookie));
    assert_eq!(valid.answered, BURST.into());

    let mut forged = cookie.clone();
    forged[23] ^= 1;
    let forged = send_burst(&server, &client, |id| with_cookie(id, &forged));
    assert!(forged.answered < BURST.into(), "{forged:?}");
    assert!(forged.truncated > 0, "{forged:?}");

    let other_client = udp_from("127.0.0.3");
    let stolen = send_burst(&server, &other_client, |id| with_cookie(id, &cookie));
    assert!(stolen.answered < BURST.into(), "{stolen:?}");
}

#[test]
fn dig_accepts_the_server_cookie() {
    let server = TestServer::start();
    let text = server.run("dig", server.v4(), "peer0.org1.example A +cookie");
    assert!(text.contains("(good)"), "{text}");
}
