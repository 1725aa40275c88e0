//! Two data planes in two network namespaces: real TUN devices, real sockets, keys that both hold.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod checksums;
mod classes;
mod faults;
mod keys;
mod lanes;
mod netns;
mod order;
mod pair;
mod resets;
mod segments;
#[path = "../memory/sink.rs"]
mod sink;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use netns::Netns;
use pair::{Gateway, Wan, pair};
use ringway_dataplane::*;
use sink::Reported;

fn ping(from: &Gateway, to: &str) {
    let output = from.netns.exec(&format!("ping -c 3 -i 0.02 -W 5 {to}"));
    assert!(
        output.status.success(),
        "ping {to}: {}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// Sends `megabytes` from one namespace to the other over TCP and compares what arrives.
fn transfer(from: &Netns, to: &Netns, address: &str, megabytes: usize) {
    let address: SocketAddr = address.parse().unwrap();
    let listener = to.within(move || TcpListener::bind(address).unwrap());
    let receiver = to.spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut received = 0;
        let mut sum = 0u64;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let len = stream.read(&mut buffer).unwrap();
            if len == 0 {
                return (sum, received);
            }
            received += len;
            sum = buffer[..len].iter().fold(sum, |sum, byte| mix(sum, *byte));
        }
    });
    let block: Vec<u8> = (0..1 << 20)
        .map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let expected = (0..megabytes)
        .flat_map(|_| &block)
        .fold(0, |sum, byte| mix(sum, *byte));
    from.within(move || {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
        for _ in 0..megabytes {
            stream.write_all(&block).unwrap();
        }
    });
    assert_eq!(receiver.join().unwrap(), (expected, megabytes << 20));
}

fn mix(sum: u64, byte: u8) -> u64 {
    sum.rotate_left(5).wrapping_add(byte.into())
}

#[test]
fn hosts_reach_each_other_by_both_families_over_both_families() {
    for (wan, aead) in [
        (Wan::V4, Aead::Aes128Gcm),
        (Wan::V6, Aead::ChaCha20Poly1305),
        (Wan::Mapped, Aead::Aes256Gcm),
    ] {
        let (left, right) = pair(aead, wan);
        ping(&left, "10.2.0.1");
        ping(&right, "fd00:1::1");
        transfer(&left.netns, &right.netns, "10.2.0.1:7050", 8);
        transfer(&right.netns, &left.netns, "[fd00:1::1]:7050", 8);
        left.assert_nothing_dropped();
        right.assert_nothing_dropped();
        assert!(
            left.peer.counters().snapshot().tx_bytes > 8 << 20
                && left.peer.counters().snapshot().rx_bytes > 8 << 20
        );
    }
}

#[test]
fn packets_larger_than_the_path_travel_in_fragments() {
    for wan in [Wan::V4, Wan::Mapped, Wan::V6] {
        let (left, right) = pair(Aead::Aes128Gcm, wan);
        for gateway in [&left, &right] {
            gateway.netns.ip("link set wan mtu 1280");
        }
        transfer(&left.netns, &right.netns, "10.2.0.1:7050", 2);
        transfer(&right.netns, &left.netns, "[fd00:1::1]:7050", 2);
        left.assert_nothing_dropped();
        right.assert_nothing_dropped();
    }
}

#[test]
fn a_device_that_cuts_nothing_is_sent_to_in_single_datagrams() {
    let (left, right) = pair(Aead::Aes128Gcm, Wan::V4);
    for gateway in [&left, &right] {
        let output = gateway.netns.exec("ethtool -K wan gso off tso off tx off");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    transfer(&left.netns, &right.netns, "10.2.0.1:7050", 4);
    left.assert_nothing_dropped();
    right.assert_nothing_dropped();
}

#[test]
fn quic_reaches_the_sink_with_its_addresses() {
    let (left, right) = pair(Aead::Aes128Gcm, Wan::Mapped);
    let quic = |first: u8| [&[first][..], b"initial"].concat();
    left.socket
        .socket()
        .send_to(&quic(0xc3), "[::ffff:192.0.2.22]:4600")
        .unwrap();
    let from = "192.0.2.1:4600".parse().unwrap();
    let to = Some("192.0.2.22".parse().unwrap());
    assert_eq!(
        right.next(),
        Reported::Quic {
            datagram: quic(0xc3),
            from,
            to,
            ecn: Some(0)
        }
    );
    right.assert_nothing_dropped();
}

#[test]
fn every_datagram_of_a_joined_buffer_is_classified() {
    let (left, right) = pair(Aead::Aes128Gcm, Wan::V4);
    // One send that the kernel cuts into three: two packets of unknown sessions and a short QUIC
    // packet. The cable carries it whole, so that the receiver gets it in one buffer.
    let data = [&[1, 0, 0, 0, 9, 9, 9, 9][..], &[0; 32]].concat();
    let run = [&data[..], &data, &[0x40, 1, 2, 3]].concat();
    let socket = left
        .netns
        .within(|| UdpSocket::bind("192.0.2.11:0").unwrap());
    nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::UdpGsoSegment, &40).unwrap();
    socket.send_to(&run, "192.0.2.2:4600").unwrap();
    let Reported::Quic { datagram, from, .. } = right.next() else {
        panic!("an event")
    };
    assert_eq!(
        (datagram, from),
        (vec![0x40, 1, 2, 3], socket.local_addr().unwrap())
    );
    assert_eq!(
        right.counters.snapshot().dropped(DropReason::UnknownIndex),
        2
    );
}

#[test]
fn a_probe_is_echoed_to_where_it_came_from() {
    let (left, _right) = pair(Aead::Aes128Gcm, Wan::Mapped);
    send_probe(&*left.socket, &left.outgoing, 7, None).unwrap();
    let from = "192.0.2.2:4600".parse().unwrap();
    let to = Some("192.0.2.1".parse().unwrap());
    assert_eq!(
        left.next_event(),
        Event::Echo {
            index: left.incoming.index(),
            probe: 7,
            from,
            to
        }
    );

    // A challenge to another address is answered from that address, which proves it.
    send_probe(
        &*left.socket,
        &left.outgoing,
        8,
        Some("192.0.2.22:4600".parse().unwrap()),
    )
    .unwrap();
    let from = "192.0.2.22:4600".parse().unwrap();
    assert_eq!(
        left.next_event(),
        Event::OffPath {
            index: left.incoming.index(),
            from,
            to
        }
    );
    assert_eq!(
        left.next_event(),
        Event::Echo {
            index: left.incoming.index(),
            probe: 8,
            from,
            to
        }
    );
}

#[test]
fn a_packet_from_another_address_is_reported_and_the_path_stays() {
    let (left, right) = pair(Aead::Aes128Gcm, Wan::V4);
    let before = right.outgoing.path();
    let other_address = left.netns.within(|| {
        let socket = UdpSocket::bind("192.0.2.11:5000").unwrap();
        TunnelSocket::new(socket, 0).unwrap()
    });
    send_probe(&other_address, &left.outgoing, 1, None).unwrap();
    let from = "192.0.2.11:5000".parse().unwrap();
    let to = Some("192.0.2.2".parse().unwrap());
    assert_eq!(
        right.next_event(),
        Event::OffPath {
            index: right.incoming.index(),
            from,
            to
        }
    );
    assert_eq!(right.outgoing.path(), before);

    // The budget for other addresses is small: most packets from there are dropped unopened.
    for probe in 0..1000 {
        send_probe(&other_address, &left.outgoing, probe, None).unwrap();
    }
    ping(&left, "10.2.0.1");
    assert!(
        right
            .peer
            .counters()
            .snapshot()
            .dropped(DropReason::OffPath)
            > 500
    );
    assert_eq!(right.peer.counters().snapshot().rx_packets, 3);
}

#[test]
fn packets_leave_from_another_address_when_theirs_is_removed() {
    let v4 = ("192.0.2.1", "192.0.2.33", 24);
    let v6 = ("2001:db8::1", "2001:db8::33", 64);
    for (wan, (old, new, len)) in [(Wan::V4, v4), (Wan::Mapped, v4), (Wan::V6, v6)] {
        let (left, right) = pair(Aead::Aes128Gcm, wan);
        let remote = left.outgoing.path().remote();
        left.outgoing
            .set_path(Path::new(remote, Some(old.parse().unwrap())));
        left.netns.ip(&format!("addr del {old}/{len} dev wan"));
        left.netns
            .ip(&format!("addr add {new}/{len} dev wan nodad"));
        send_probe(&*left.socket, &left.outgoing, 1, None).unwrap();
        assert_eq!(left.outgoing.path(), Path::new(remote, None));
        let Event::OffPath { from, .. } = right.next_event() else {
            panic!("another event")
        };
        assert_eq!(from.ip(), new.parse::<IpAddr>().unwrap());
    }
}

#[test]
fn a_session_that_was_removed_opens_no_more_packets() {
    let (left, right) = pair(Aead::Aes128Gcm, Wan::V4);
    ping(&left, "10.2.0.1");
    right
        .shared
        .snapshot
        .store(Arc::new(Snapshot::empty(SiteNo(2))));
    assert!(
        !left
            .netns
            .exec("ping -c 2 -i 0.02 -W 1 10.2.0.1")
            .status
            .success()
    );
    assert_eq!(
        right.counters.snapshot().dropped(DropReason::UnknownIndex),
        2
    );
}

#[test]
fn a_device_that_was_down_works_again() {
    let (left, right) = pair(Aead::Aes128Gcm, Wan::V4);
    ping(&left, "10.2.0.1");
    right.netns.ip("link set rw0 down");
    assert!(
        !left
            .netns
            .exec("ping -c 2 -i 0.02 -W 1 10.2.0.1")
            .status
            .success()
    );
    assert_eq!(right.counters.snapshot().dropped(DropReason::TunWrite), 2);
    right.netns.ip("link set rw0 up");
    right.netns.ip("route add 10.1.0.0/24 dev rw0 src 10.2.0.1");
    ping(&left, "10.2.0.1");
}

#[test]
fn the_loss_of_the_device_is_reported_and_ends_both_threads() {
    let (_left, mut right) = pair(Aead::Aes128Gcm, Wan::V4);
    right.netns.ip("link del rw0");
    let Event::Failed(failure) = right.next_event() else {
        panic!("another event")
    };
    let Failure::Io { thread, errno } = failure else {
        panic!("{failure}")
    };
    assert_eq!((thread, errno), (ThreadRole::Sending, libc::EBADFD));
    right.dataplane.take().unwrap().stop();
}

#[test]
fn stops_under_traffic() {
    let (mut left, mut right) = pair(Aead::Aes128Gcm, Wan::V4);
    let flood = left.netns.spawn(|| {
        let socket = UdpSocket::bind("10.1.0.1:0").unwrap();
        for _ in 0..50_000 {
            let _ = socket.send_to(&[0; 1000], "10.2.0.1:9");
        }
    });
    while right.peer.counters().snapshot().rx_packets == 0 {
        std::thread::yield_now();
    }
    right.dataplane.take().unwrap().stop();
    left.dataplane.take().unwrap().stop();
    flood.join().unwrap();
}
