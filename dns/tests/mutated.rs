//! Questions damaged at random: nothing panics, no response is answered, no answer is larger than it may be.
//! [`COUNT`] of them, or as many as `RINGWAY_DNS_MUTATED` says.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use hickory_proto::op::Message;
use ringway_dns::answer::MAX_UDP;
use ringway_dns::{Name, Outcome, Transport, Zone, ZoneSet, answer};

const COUNT: u64 = 100_000;

const ZONE: &str = "$TTL 5\n@ SOA gw h 1 60 10 600 5\n@ NS gw\ngw A 10.0.0.1\na A 10.0.0.2\nb CNAME a\n\
    c DNAME d\nx.d TXT \"x\"\n*.w MX 1 a\nsub NS ns.sub\nns.sub A 10.0.0.3\n_s._tcp SRV 0 0 1 a\n";

/// A question that is well-formed, with EDNS and a cookie in every second.
fn question(number: u64) -> Vec<u8> {
    const NAMES: [&str; 8] = ["a", "b", "x.c", "q.w", "y.sub", "_s._tcp", "no", "gw"];
    let name = Name::from_text(&format!("{}.org1.example.", NAMES[number as usize % 8])).unwrap();
    let kind = [1, 28, 16, 15, 6, 255, 33, 2][number as usize / 8 % 8];
    let edns = number / 64 % 2;
    let header = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns as u8];
    let mut message = [&header[..], name.as_wire(), &[0, kind, 0, 1]].concat();
    if edns == 1 {
        message.extend(b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x0c\x00\x0a\x00\x08cookieha");
    }
    message
}

#[test]
fn damaged_questions_do_no_damage() {
    let count = std::env::var("RINGWAY_DNS_MUTATED").ok().and_then(|text| text.parse().ok()).unwrap_or(COUNT);
    let zone = Zone::from_text(ZONE, Some(&Name::from_text("org1.example").unwrap())).unwrap();
    let zones = ZoneSet::of([zone]);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |sides: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as usize % sides
    };
    let (mut response, mut answered) = (Vec::new(), 0u64);
    for number in 0..count {
        let mut message = question(number);
        for _ in 0..draw(5) {
            let at = draw(message.len());
            message[at] = if draw(2) == 0 { draw(256) as u8 } else { message[at] ^ (1 << draw(8)) };
        }
        if draw(8) == 0 {
            message.truncate(draw(message.len() + 1));
        }
        match answer(&zones, &message, Transport::Udp, &mut response) {
            Outcome::Silent => assert!(message.len() < 12 || message[2] & 0x80 != 0, "{message:02x?}"),
            Outcome::Answered(_) => {
                assert!(message[2] & 0x80 == 0 && response[2] & 0x80 != 0, "{message:02x?}");
                assert!(response[..2] == message[..2] && response.len() <= MAX_UDP, "{message:02x?}");
                assert!(Message::from_vec(&response).is_ok(), "{message:02x?} {response:02x?}");
                answered += 1;
            }
            Outcome::Limited { .. } | Outcome::Elsewhere => panic!("nothing is limited or forwarded here"),
        }
    }
    assert!(answered > count / 2, "most are still questions");
}
