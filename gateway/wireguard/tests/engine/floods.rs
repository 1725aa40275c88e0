//! Packets from strangers.

use std::net::SocketAddr;
use std::time::Duration;

use gotatun::packet::{Packet, WgKind};
use proptest::prelude::*;

use crate::bench::{Bench, key, node, packet};

fn bench() -> Bench {
    Bench::new(&[node("phone", &["10.1.77.5/32"], Some(&key(1)))])
}

/// Handshakes of a stranger, each from another address, and how many were answered by a cookie.
fn flood(bench: &mut Bench, count: u32) -> u64 {
    let mut stranger = bench.stranger(&key(9), 1);
    let before = bench.engine.counts().count("handshake_cookie");
    for number in 0..count {
        let init = stranger.tunn.format_handshake_initiation(true).unwrap();
        let from = SocketAddr::from((number.to_be_bytes(), 1));
        bench.arrive(from, &Packet::from(WgKind::HandshakeInit(init)));
    }
    bench.engine.counts().count("handshake_cookie") - before
}

#[test]
fn under_a_flood_of_handshakes_cookies_are_required_and_a_client_still_connects() {
    let mut bench = bench();
    assert_eq!(flood(&mut bench, 500), 500 - 64);
    assert_eq!(
        bench.engine.counts().count("unknown_key"),
        64,
        "the computed ones"
    );

    // The client proves its address by the cookie.
    let mut phone = bench.stranger(&key(1), 7);
    let init = phone.tunn.format_handshake_initiation(true).unwrap();
    assert!(!bench.exchange(&mut phone, WgKind::HandshakeInit(init)));
    let init = phone.tunn.format_handshake_initiation(true).unwrap();
    assert!(bench.exchange(&mut phone, WgKind::HandshakeInit(init)));
    let packet = packet("10.1.77.5", "10.2.0.9");
    assert_eq!(bench.send(&mut phone, &packet).len(), 1);

    // One that has proved its address has a limit, too.
    let mut stranger = bench.stranger(&key(9), 8);
    for _ in 0..200 {
        let init = stranger.tunn.format_handshake_initiation(true).unwrap();
        bench.exchange(&mut stranger, WgKind::HandshakeInit(init));
    }
    // The client is at the same address.
    assert_eq!(bench.engine.counts().count("unknown_key"), 64 + 127);
    assert!(bench.engine.counts().count("handshake_load") > 0);

    bench.now += Duration::from_secs(1);
    assert_eq!(flood(&mut bench, 64), 0, "another second");
}

#[test]
fn a_replayed_handshake_moves_no_client() {
    let mut bench = bench();
    let mut phone = bench.stranger(&key(1), 7);
    let init = phone.tunn.format_handshake_initiation(true).unwrap();
    let init = Packet::from(WgKind::HandshakeInit(init));
    let seen = init.to_vec();
    assert!(bench.exchange(&mut phone, init.try_into_wg().unwrap()));

    let thief = SocketAddr::from(([198, 51, 100, 9], 1));
    assert!(bench.arrive(thief, &seen).datagrams.is_empty());
    let sent = bench.route(&packet("10.2.0.9", "10.1.77.5"));
    assert_eq!(sent[0].0, phone.at);
}

proptest! {
    #[test]
    fn no_datagram_and_no_packet_ends_the_engine(
        datagrams in proptest::collection::vec(any_datagram(), 1..40),
        at in 0usize..200,
        bits in any::<u8>(),
    ) {
        let mut bench = bench();
        let from = SocketAddr::from(([192, 0, 2, 9], 1));
        for datagram in &datagrams {
            prop_assert!(bench.arrive(from, datagram).packets.is_empty());
            prop_assert!(bench.route(datagram).is_empty());
        }

        // A message of a client, changed in one place.
        let mut phone = bench.client(&key(1), 1);
        let sealed = phone.tunn
            .encapsulate_with_session(Packet::copy_from(&packet("10.1.77.5", "10.2.0.9")[..]));
        let sealed = WgKind::Data(sealed.expect("it has a session"));
        let mut changed = Packet::from(sealed).to_vec();
        let at = at % changed.len();
        changed[at] ^= bits;
        let written = bench.arrive(phone.at, &changed).packets;
        prop_assert_eq!(written.is_empty(), bits != 0);
    }
}

/// Often with the head of a message.
fn any_datagram() -> impl Strategy<Value = Vec<u8>> {
    let lengths = proptest::sample::select(vec![0usize, 1, 4, 31, 32, 64, 92, 148, 149, 1500]);

    (0u8..6, lengths, any::<u8>()).prop_map(|(kind, length, fill)| {
        let mut datagram = vec![fill; length];
        for (at, byte) in [kind, 0, 0, 0].into_iter().enumerate().take(length) {
            datagram[at] = byte;
        }
        datagram
    })
}
