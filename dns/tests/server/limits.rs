//! The limit of answers over UDP, and the cookies that prove who need not be limited.

use std::net::UdpSocket;

use ringway_dns::{Options, Rate};

use crate::running::*;

/// So few that a test exceeds it at once, and that a slow machine earns no more while it asks.
const RATE: Rate = Rate {
    per_second: 3,
    slip: 2,
    ipv4: 24,
    ipv6: 56,
};
const BURST: u16 = 60;

/// What became of a burst of questions.
#[derive(Debug, Default)]
struct Burst {
    answered: usize,
    /// Told to ask over TCP.
    cut: usize,
    seconds: u64,
}

fn limited() -> Running {
    Running::start_with(Options {
        rate: Some(RATE),
        ..Options::default()
    })
}

/// Asks [`BURST`] times and hears what comes. A question from another network ends it: the socket is
/// served in order.
fn send_burst(server: &Running, asker: &UdpSocket, ask: impl Fn(u16) -> Vec<u8>) -> Burst {
    let start = std::time::Instant::now();
    let other = udp_from("127.0.9.1");
    let mut responses = Burst::default();
    for id in 0..BURST {
        asker.send_to(&ask(id), server.v4()).unwrap();
    }
    other
        .send_to(&with_cookie(9, &whole_cookie(server, &other)), server.v4())
        .unwrap();
    next(&other);
    responses.seconds = start.elapsed().as_secs() + 1;
    asker.set_nonblocking(true).unwrap();
    let mut answer = [0; 2048];
    while let Ok(len) = asker.recv(&mut answer) {
        let cut = answer[2] & 2 != 0;
        assert!(
            !cut || len <= ask(0).len(),
            "never more octets than were asked with"
        );
        *if cut {
            &mut responses.cut
        } else {
            &mut responses.answered
        } += 1;
    }
    asker.set_nonblocking(false).unwrap();
    responses
}

/// A question with a COOKIE option (RFC 7873, section 4).
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

/// Both halves, as the server completes them for `asker`; its last octets are the OPT record's.
fn whole_cookie(server: &Running, asker: &UdpSocket) -> Vec<u8> {
    asker
        .send_to(&with_cookie(1, b"halfhalf"), server.v4())
        .unwrap();
    let answer = next(asker);
    let cookie = answer[answer.len() - 24..].to_vec();
    assert_eq!(&cookie[..8], b"halfhalf");
    cookie
}

#[test]
fn a_network_gets_its_rate_and_every_second_answer_above_is_cut() {
    let (server, asker) = (limited(), udp_from("127.0.0.1"));
    let responses = send_burst(&server, &asker, |id| question(id, "peer0.org1.example"));
    assert!(
        (3..=3 + 3 * responses.seconds as usize).contains(&responses.answered),
        "{responses:?}"
    );
    let above = usize::from(BURST) - responses.answered;
    assert!(responses.cut.abs_diff(above / 2) <= 1, "{responses:?}");
    assert_eq!(
        server.counters.dropped.get(),
        (above - responses.cut) as u64,
        "who got no answer at all"
    );
    let over_tcp = server.run("dig", server.v4(), "peer0.org1.example A +short +tcp");
    assert_eq!(
        over_tcp, "10.1.0.11\n",
        "whoever is told to ask over TCP is answered there"
    );
}

#[test]
fn without_a_limit_every_question_is_answered() {
    let server = Running::start_with(Options {
        rate: None,
        ..Options::default()
    });
    let responses = send_burst(&server, &udp_from("127.0.0.1"), |id| {
        question(id, "peer0.org1.example")
    });
    assert_eq!((responses.answered, responses.cut), (BURST.into(), 0));
}

#[test]
fn a_cookie_exempts_its_asker_and_a_forged_one_nobody() {
    let (server, asker) = (limited(), udp_from("127.0.0.1"));
    let cookie = whole_cookie(&server, &asker);
    let responses = send_burst(&server, &asker, |id| with_cookie(id, &cookie));
    assert_eq!((responses.answered, responses.cut), (BURST.into(), 0));
    let mut forged = cookie.clone();
    forged[23] ^= 1;
    let responses = send_burst(&server, &asker, |id| with_cookie(id, &forged));
    assert!(
        responses.answered < BURST.into() && responses.cut > 0,
        "{responses:?}"
    );
    let stolen = send_burst(&server, &udp_from("127.0.0.3"), |id| {
        with_cookie(id, &cookie)
    });
    assert!(
        stolen.answered < BURST.into(),
        "it is another's: {stolen:?}"
    );
}

#[test]
fn dig_proves_itself_by_the_cookie_that_it_was_given() {
    let server = Running::start();
    let text = server.run("dig", server.v4(), "peer0.org1.example A +cookie");
    assert!(text.contains("(good)"), "{text}");
}
