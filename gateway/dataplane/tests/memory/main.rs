//! The threads of two gateways over devices and sockets in memory: no root, no namespaces, a
//! virtual clock.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod gateways;
mod outages;
mod packets;
mod policy;
mod sink;
mod stalls;

use std::time::{Duration, Instant};

use gateways::{AMPLE, Capacity, address, pair, pair_with, wait_until};
use packets::Family;
use ringway_dataplane::*;
use sink::Reported;

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// Bytes of an inner packet on a path of 1500 bytes over IPv4.
const MAX_PACKET: usize = 1500 - 20 - 8 - OVERHEAD;

#[test]
fn packets_pass_in_both_directions() {
    let (_network, left, right) = pair();
    for family in FAMILIES {
        for len in [0, 1, 8, 700, 1300] {
            let there = packets::udp(family, 1, 2, &vec![7; len]);
            assert!(left.host.send(&there));
            assert_eq!(right.next_packet(), there, "{family:?}, {len} bytes");

            let back = packets::tcp(family, 2, 1, 9, &vec![9; len]);
            assert!(right.host.send(&back));
            assert_eq!(left.next_packet(), back, "{family:?}, {len} bytes");
        }
    }
    left.assert_nothing_dropped();
    right.assert_nothing_dropped();
    assert_eq!(left.peer.counters().snapshot().tx_packets, 10);
    assert_eq!(left.peer.counters().snapshot().rx_packets, 10);
}

#[test]
fn a_super_packet_arrives_as_its_segments() {
    let (_network, left, right) = pair();
    let payload: Vec<u8> = (0..60_000u32).map(|at| (at * 31) as u8).collect();
    for family in FAMILIES {
        let super_packet = packets::tcp(family, 1, 2, 5, &payload);
        assert!(left.host.send_super_packet(&super_packet, 1400));

        let mut arrived = Vec::new();
        while arrived.len() < payload.len() {
            let segment = right.next_packet();
            assert!(segment.len() <= MAX_PACKET, "{} bytes", segment.len());
            assert!(packets::is_right(&segment), "a wrong checksum");
            let (sequence, data) = packets::tcp_payload(&segment);
            assert_eq!(sequence as usize, 5 + arrived.len());
            arrived.extend_from_slice(data);
        }
        assert_eq!(arrived, payload);
    }
    left.assert_nothing_dropped();
    right.assert_nothing_dropped();
}

#[test]
fn packets_that_are_not_the_sites_are_dropped_on_both_sides() {
    let (_network, left, right) = pair();
    // A host that sends with the peer's address, and one that sends to its own site.
    left.host.send(&packets::udp(Family::V4, 2, 2, b"spoofed"));
    left.host.send(&packets::udp(Family::V6, 1, 1, b"own site"));
    // A gateway that seals packets of its peer's site.
    let packet = packets::udp(Family::V4, 2, 2, b"sealed");
    let mut datagram = vec![0; packet.len() + OVERHEAD];
    datagram[HEADER_LEN..][..packet.len()].copy_from_slice(&packet);
    let number = left.outgoing.reserve(1).unwrap();
    let kind = Kind::Packet(Checksum::Complete);
    left.outgoing.seal(kind, number, &mut datagram).unwrap();
    left.udp
        .send(&left.outgoing.path(), &datagram, None)
        .unwrap();

    wait_until("every drop is counted", || {
        left.dropped(DropReason::OwnSource) == 1
            && left.dropped(DropReason::NoRoute) == 1
            && right.dropped(DropReason::Source) == 1
    });
    let good = packets::udp(Family::V4, 1, 2, b"good");
    left.host.send(&good);
    assert_eq!(right.next_packet(), good, "the first packet that arrives");
}

#[test]
fn quic_and_forged_packets_are_told_apart() {
    let (network, left, right) = pair();
    let from = "192.0.2.9:5000".parse().unwrap();
    let stranger = network.bind(from, 8).unwrap();
    let to_right = Path::new(address(2), None);
    for datagram in [&[1, 2, 3][..], &[1; 64], &[2; 64], &[0; 64], &[]] {
        stranger.send(&to_right, datagram, None).unwrap();
    }
    let initial = [&[0xc3][..], b"initial"].concat();
    stranger.send(&to_right, &initial, None).unwrap();

    let expected = Reported::Quic {
        datagram: initial,
        from,
        to: Some(address(2).ip()),
        ecn: Some(0),
    };
    assert_eq!(right.next_report(), expected);
    assert_eq!(right.dropped(DropReason::Short), 2);
    let packet = packets::udp(Family::V4, 1, 2, b"after them");
    left.host.send(&packet);
    assert_eq!(right.next_packet(), packet);
}

#[test]
fn probes_are_echoed_for_days_and_after_the_device_is_recreated() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let (network, left, mut right) = pair();
    let echo = |token| {
        send_probe(&*left.udp, &left.outgoing, token, None).unwrap();
        let event = left.next_event();
        assert!(matches!(event, Event::Echo { probe, .. } if probe == token));
    };
    echo(1);
    network.advance(3 * DAY);
    echo(2);

    right.recreate_device();
    // More than the budget of one second, at a rate that every second's budget allows.
    for token in 100..500 {
        network.advance(Duration::from_millis(20));
        echo(token);
    }
    left.assert_nothing_dropped();
    right.assert_nothing_dropped();
}

#[test]
fn a_flood_of_probes_is_limited_in_each_second_whichever_thread_answers() {
    const PER_SECOND: u64 = 128;
    const EXCESS: u64 = 50;
    let (network, left, mut right) = pair();
    let mut dropped = 0;
    for _ in 0..3 {
        network.advance(Duration::from_secs(1));
        // A thread reads the clock once per batch: a new one certainly reads the new time.
        right.recreate_device();
        for token in 0..PER_SECOND + EXCESS {
            send_probe(&*left.udp, &left.outgoing, token, None).unwrap();
        }
        dropped += EXCESS;
        wait_until("the excess is dropped", || {
            right.dropped(DropReason::EchoLimit) == dropped
        });

        // The budget is the peer's: a new thread does not refill it.
        right.recreate_device();
        send_probe(&*left.udp, &left.outgoing, 1, None).unwrap();
        dropped += 1;
        wait_until("the probe after it is dropped", || {
            right.dropped(DropReason::EchoLimit) == dropped
        });
    }
}

#[test]
fn a_new_address_is_reported_for_days_and_after_the_device_is_recreated() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let (network, left, mut right) = pair();
    let from = "192.0.2.11:5000".parse().unwrap();
    let moved = network.bind(from, 64).unwrap();
    for pause in [Duration::ZERO, 3 * DAY]
        .into_iter()
        .chain([DAY / 10_000; 20])
    {
        network.advance(pause);
        right.recreate_device();
        send_probe(&moved, &left.outgoing, 1, None).unwrap();
        let expected = Event::OffPath {
            index: right.incoming.index(),
            from,
            to: Some(address(2).ip()),
        };
        assert_eq!(right.next_event(), expected);
    }
    right.assert_nothing_dropped();
    assert_eq!(right.outgoing.path().remote(), address(1), "the path stays");
}

#[test]
fn a_recreated_device_carries_packets_of_the_same_sessions() {
    let (_network, mut left, mut right) = pair();
    for round in 0..4u8 {
        let packet = packets::udp(Family::V4, 1, 2, &[round; 100]);
        assert!(left.host.send(&packet));
        assert_eq!(right.next_packet(), packet, "round {round}");
        left.recreate_device();
        right.recreate_device();
    }
    assert_eq!(left.outgoing.packets(), 4);
    left.assert_nothing_dropped();
    right.assert_nothing_dropped();
}

#[test]
fn a_full_tun_queue_drops_and_counts() {
    let (_network, left, right) = pair_with(Capacity { tun: 4, ..AMPLE });
    for number in 0..20u8 {
        // Neighbours are of two flows, so that none is joined with the one before.
        let family = FAMILIES[usize::from(number) % 2];
        left.host.send(&packets::udp(family, 1, 2, &[number]));
        wait_until("the packet is received", || {
            right.peer.counters().snapshot().rx_packets == u64::from(number) + 1
        });
    }
    wait_until("the rest is counted", || {
        right.dropped(DropReason::TunWrite) == 16
    });
    for number in 0..4u8 {
        // Joined packets are segmented again, with other identifications.
        let arrived = right.next_packet();
        assert_eq!(arrived.last(), Some(&number), "the first four arrive");
    }
    let packet = packets::udp(Family::V4, 1, 2, b"there is room again");
    left.host.send(&packet);
    assert_eq!(right.next_packet(), packet);
}

#[test]
fn a_full_socket_keeps_packets_and_their_order() {
    let (_network, left, mut right) = pair_with(Capacity { udp: 4, ..AMPLE });
    right.stop();
    for number in 0..20u8 {
        // Neighbours are of two flows, so that none is joined with the one before.
        let family = FAMILIES[usize::from(number) % 2];
        left.host.send(&packets::udp(family, 1, 2, &[number]));
    }
    wait_until("the socket is full", || {
        right.udp.waiting() == 4 && left.host.waiting() < 20
    });

    right.recreate_device();
    for number in 0..20u8 {
        let arrived = right.next_packet();
        assert_eq!(arrived.last(), Some(&number), "in the order they were sent");
    }
    left.assert_nothing_dropped();
}

#[test]
fn a_thread_that_waits_for_a_full_socket_ends_when_it_must() {
    let (_network, mut left, mut right) = pair_with(Capacity { udp: 1, ..AMPLE });
    right.stop();
    for family in FAMILIES {
        left.host.send(&packets::udp(family, 1, 2, b"x"));
        left.host.send(&packets::tcp(family, 1, 2, 9, b"y"));
    }
    wait_until("the socket is full", || right.udp.waiting() == 1);

    // It would wait for 2 s for each of the packets.
    let start = Instant::now();
    left.stop();
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn congestion_on_the_way_reaches_the_receiver_and_the_senders_class_stays() {
    let (network, left, right) = pair();
    let tap = network.bind(address(3), 64).unwrap();
    for family in FAMILIES {
        // DSCP 46 with ECT(0).
        let mut packet = packets::udp(family, 1, 2, b"marked");
        packets::set_class(&mut packet, 46 << 2 | 2);

        // The datagram is caught and sent on with congestion experienced, as a router would.
        left.outgoing.set_path(Path::new(address(3), None));
        left.host.send(&packet);
        let mut datagram = vec![0; 0xffff];
        let caught = packets::receive(&tap, &mut datagram);
        assert_eq!(caught.ecn, Some(2), "the inner ECN bits are outside, too");
        left.outgoing.set_path(Path::new(address(2), None));
        let to_right = Path::new(address(2), None);
        let class = TrafficClass(3);
        left.udp
            .send_as(&to_right, &datagram[..caught.len], None, class)
            .unwrap();

        packets::set_class(&mut packet, 46 << 2 | 3);
        assert_eq!(right.next_packet(), packet, "{family:?}");
    }
}

#[test]
fn a_marked_packet_whose_ends_cannot_be_told_is_dropped() {
    let (network, left, right) = pair();
    let tap = network.bind(address(3), 64).unwrap();
    left.outgoing.set_path(Path::new(address(3), None));
    left.host.send(&packets::udp(Family::V4, 1, 2, b"not ECT"));
    let mut datagram = vec![0; 0xffff];
    let caught = packets::receive(&tap, &mut datagram);

    let to_right = Path::new(address(2), None);
    left.udp
        .send_as(&to_right, &datagram[..caught.len], None, TrafficClass(3))
        .unwrap();
    wait_until("it is dropped", || {
        right.dropped(DropReason::Congestion) == 1
    });
}

#[test]
fn a_full_control_queue_drops_and_counts() {
    let (network, left, right) = pair_with(Capacity { sink: 2, ..AMPLE });
    let stranger = network.bind("192.0.2.9:5000".parse().unwrap(), 8).unwrap();
    for _ in 0..5 {
        stranger
            .send(&Path::new(address(2), None), &[0xc3; 50], None)
            .unwrap();
    }
    wait_until("QUIC is dropped", || {
        right.dropped(DropReason::QuicQueueFull) == 3
    });
    send_probe(&stranger, &left.outgoing, 1, None).unwrap();
    wait_until("the event is dropped", || {
        right.dropped(DropReason::EventQueueFull) == 1
    });
    for _ in 0..2 {
        assert!(matches!(right.next_report(), Reported::Quic { .. }));
    }
}

#[test]
fn the_loss_of_the_device_is_reported_and_ends_the_threads() {
    let (_network, left, mut right) = pair();
    right.host.remove_device();
    let failure = Failure::Io {
        thread: ThreadRole::Sending,
        errno: libc::EBADFD,
    };
    assert_eq!(right.next_event(), Event::Failed(failure));
    assert!(right.has_failed());

    right.recreate_device();
    let packet = packets::udp(Family::V4, 1, 2, b"again");
    left.host.send(&packet);
    assert_eq!(right.next_packet(), packet);
}
