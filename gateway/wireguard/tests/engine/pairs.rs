//! Which clients and hosts reach each other, and for how long.

use std::time::Duration;

use gotatun::packet::{Packet, WgKind};

use crate::bench::{Bench, key, node, packet};

const PHONE: &str = "10.1.77.5";
const LAPTOP: &str = "10.1.77.6";
const DAEMON: &str = "10.1.77.7";
const HERE: &str = "10.1.0.9";
const MEMBER: &str = "10.2.0.9";
const NOBODY: &str = "10.3.0.9";

fn nodes() -> Vec<ringway_config::Node> {
    vec![
        node("phone", &["10.1.77.5/32"], Some(&key(1))),
        node("laptop", &["10.1.77.6/32"], Some(&key(2))),
        node("daemon", &["10.1.77.7/32"], None),
    ]
}

#[test]
fn a_client_reaches_site_and_members_and_nothing_else() {
    let mut bench = Bench::new(&nodes());
    let mut phone = bench.client(&key(1), 1);

    for to in [HERE, MEMBER] {
        let packet = packet(PHONE, to);
        assert_eq!(bench.send(&mut phone, &packet), [packet], "{to}");
    }
    for (from, to, reason) in [
        (PHONE, NOBODY, "destination"),
        (PHONE, LAPTOP, "isolated"),
        (PHONE, DAEMON, "isolated"),
        (LAPTOP, MEMBER, "source"),
        (DAEMON, MEMBER, "source"),
        (HERE, MEMBER, "source"),
        (MEMBER, HERE, "source"),
        (NOBODY, HERE, "source"),
    ] {
        let before = bench.count("phone", reason);
        assert!(bench.send(&mut phone, &packet(from, to)).is_empty());
        assert_eq!(bench.count("phone", reason), before + 1, "{from} {to}");
    }

    // What a client pads is cut off, and what is no whole packet is dropped.
    let whole = packet(PHONE, MEMBER);
    let padded = [whole.clone(), vec![0; 4]].concat();
    let sent = bench.send(&mut phone, &padded);
    assert_eq!(sent, std::slice::from_ref(&whole));
    assert!(bench.send(&mut phone, &whole[..27]).is_empty());
    assert!(bench.send(&mut phone, &[0x45; 3]).is_empty());
}

#[test]
fn packets_leave_to_the_client_that_has_the_address_and_wait_for_its_session() {
    let mut bench = Bench::new(&nodes());
    assert!(bench.route(&packet(MEMBER, PHONE)).is_empty());
    assert_eq!(bench.count("phone", "no_session"), 1);

    let mut phone = bench.client(&key(1), 1);
    let sent = bench.route(&packet(MEMBER, PHONE));
    assert_eq!(sent.len(), 1);
    let (to, datagram) = &sent[0];
    assert_eq!(*to, phone.at);
    let sealed = Packet::copy_from(&datagram[..]).try_into_wg().unwrap();
    let WgKind::Data(sealed) = sealed else {
        panic!("it is data");
    };
    let opened = phone.tunn.decapsulate_with_session(sealed).unwrap();
    assert_eq!(opened[..28], packet(MEMBER, PHONE)[..]);

    // Another node, and nobody at all.
    assert!(bench.route(&packet(DAEMON, PHONE)).is_empty());
    assert!(bench.route(&packet(MEMBER, DAEMON)).is_empty());
    assert!(bench.route(&packet(MEMBER, HERE)).is_empty());
}

/// A TCP segment of a member's host to the phone.
fn segment(flags: u8) -> Vec<u8> {
    let mut segment = packet(MEMBER, PHONE);
    segment[3] = 40;
    segment[9] = 6;
    segment.resize(20, 0);
    segment.extend([0x9c, 0x40, 0x1b, 0x8b, 0, 0, 0, 1, 0, 0, 0, 0]);
    segment.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
    segment
}

/// Protocol, type and code of the answer to the sender; for TCP, its flags.
fn answer(bench: &mut Bench, packet: &[u8]) -> Option<[u8; 3]> {
    let answer = bench.route_and_answer(packet).packets;
    let answer = answer.first()?;
    assert_eq!(answer[12..16], packet[16..20], "as from the phone");
    assert_eq!(answer[16..20], packet[12..16]);

    Some(match answer[9] {
        6 => [6, 0, answer[33]],
        protocol => [protocol, answer[20], answer[21]],
    })
}

#[test]
fn the_sender_to_an_absent_client_is_answered() {
    const UNREACHABLE: Option<[u8; 3]> = Some([1, 3, 1]);
    const SYN: u8 = 2;
    const RST: u8 = 4;
    const ACK: u8 = 16;
    let mut bench = Bench::new(&nodes());

    // It has not been heard of since the start, and may have connections.
    let start = bench.now;
    assert_eq!(answer(&mut bench, &packet(MEMBER, PHONE)), UNREACHABLE);
    assert_eq!(answer(&mut bench, &packet(HERE, PHONE)), UNREACHABLE);
    assert_eq!(answer(&mut bench, &segment(SYN)), Some([6, 0, RST | ACK]));
    assert_eq!(answer(&mut bench, &segment(ACK)), None);
    bench.now = start + Duration::from_secs(60);
    assert_eq!(answer(&mut bench, &segment(ACK)), Some([6, 0, RST]));
    // What may not reach it is not answered.
    assert_eq!(answer(&mut bench, &packet(DAEMON, PHONE)), None);

    bench.client(&key(1), 1);
    assert_eq!(answer(&mut bench, &packet(MEMBER, PHONE)), None);

    // It falls silent: a handshake finds out whether it is there.
    bench.now += Duration::from_secs(180);
    assert_eq!(answer(&mut bench, &packet(MEMBER, PHONE)), None);
    bench.now += Duration::from_secs(5);
    assert_eq!(answer(&mut bench, &packet(MEMBER, PHONE)), UNREACHABLE);
    assert_eq!(answer(&mut bench, &segment(ACK)), Some([6, 0, RST]));
    bench.client(&key(1), 2);
    assert_eq!(answer(&mut bench, &packet(MEMBER, PHONE)), None);

    let mut given = 0;
    let mut bench = Bench::new(&nodes());
    for _ in 0..2000 {
        given += usize::from(answer(&mut bench, &packet(MEMBER, PHONE)).is_some());
    }
    assert_eq!(given, 500, "so many in a second");
}

#[test]
fn a_replaced_key_and_a_removed_node_end_at_once() {
    let mut bench = Bench::new(&nodes());
    let mut phone = bench.client(&key(1), 1);
    let mut laptop = bench.client(&key(2), 2);
    let [from_phone, from_laptop] = [PHONE, LAPTOP].map(|from| packet(from, MEMBER));
    assert_eq!(bench.engine.active(bench.now).len(), 2);

    // Neither the former session nor a new handshake with the former key.
    let mut changed = nodes();
    changed[0] = node("phone", &["10.1.77.5/32"], Some(&key(3)));
    bench.set_nodes(&changed);
    assert!(bench.send(&mut phone, &from_phone).is_empty());
    let mut stranger = bench.stranger(&key(1), 1);
    let init = stranger.tunn.format_handshake_initiation(true).unwrap();
    assert!(!bench.exchange(&mut stranger, WgKind::HandshakeInit(init)));
    assert_eq!(bench.engine.counts().count("unknown_key"), 1);
    let shown = bench.engine.stranger(bench.now).unwrap();
    assert_eq!(shown.key, key(1).public());
    assert_eq!(bench.engine.active(bench.now).len(), 1);
    let mut phone = bench.client(&key(3), 1);
    assert_eq!(bench.send(&mut phone, &from_phone).len(), 1);

    // The other one has kept its session; with fewer prefixes, it has no address.
    assert_eq!(bench.send(&mut laptop, &from_laptop).len(), 1);
    changed[1] = node("laptop", &["10.1.77.8/32"], Some(&key(2)));
    bench.set_nodes(&changed);
    assert!(bench.send(&mut laptop, &from_laptop).is_empty());
    changed.truncate(1);
    bench.set_nodes(&changed);
    assert!(
        bench
            .send(&mut laptop, &packet("10.1.77.8", MEMBER))
            .is_empty()
    );
    assert_eq!(bench.engine.active(bench.now).len(), 1);
}

#[test]
fn a_key_that_everybody_shares_is_no_clients() {
    let mut one = [0; 32];
    one[0] = 1;
    let mut phone = node("phone", &["10.1.77.5/32"], None);
    phone.wireguard = Some(ringway_config::WireGuardKey::new(one));

    let bench = Bench::new(&[phone]);
    assert!(bench.engine.status(bench.now).is_empty());
}
