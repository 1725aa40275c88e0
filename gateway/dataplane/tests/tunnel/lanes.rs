//! Gateways with several lanes: every lane carries packets, and each flow stays in order.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use ringway_dataplane::*;

use super::pair::{Gateway, Wan, pair_with_lanes};
use super::{ping, transfer};

/// Enough that each lane carries one.
const FLOWS: u16 = 32;
/// Datagrams of each.
const DATAGRAMS: u32 = 400;

#[test]
fn flows_stay_in_order_between_gateways_of_any_number_of_lanes() {
    for (wan, lanes) in [
        (Wan::V4, [1, 2]),
        (Wan::Mapped, [2, 1]),
        (Wan::V6, [2, 2]),
        (Wan::V4, [3, 2]),
        (Wan::V6, [2, 3]),
    ] {
        let (left, right) = pair_with_lanes(Aead::Aes128Gcm, wan, lanes);
        for gateway in [&left, &right] {
            // The receiving kernel joins what it can, of all lanes.
            let output = gateway.netns.exec("ethtool -K wan tso off gso off gro on");
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        ping(&left, "10.2.0.1");
        ping(&right, "fd00:1::1");
        stay_in_order(&left, &right, ["10.1.0.1", "10.2.0.1"]);
        stay_in_order(&right, &left, ["fd00:2::1", "fd00:1::1"]);
        transfer(&left.netns, &right.netns, "10.2.0.1:7050", 8);
        transfer(&right.netns, &left.netns, "[fd00:1::1]:7050", 8);
        for (from, used) in [(&left, lanes[0]), (&right, lanes[1])] {
            let used = usize::from(used).min(from.lanes.len());
            for (lane, sealing) in from.lanes.iter().enumerate() {
                assert_eq!(
                    sealing.packets() > 0,
                    lane < used,
                    "lane {lane} of {lanes:?}"
                );
            }
        }
        for gateway in [left, right] {
            let counts = gateway.peer.counters().snapshot();
            assert_eq!(
                (
                    counts.dropped(DropReason::Replay),
                    counts.dropped(DropReason::Auth)
                ),
                (0, 0)
            );
        }
    }
}

/// Sends many flows at once: each must arrive in its order, and most of it.
fn stay_in_order(from: &Gateway, to: &Gateway, [source, destination]: [&str; 2]) {
    let bind = |gateway: &Gateway, address: &str, flow: u16| {
        let address = (address.parse::<std::net::IpAddr>().unwrap(), 9000 + flow);
        gateway
            .netns
            .within(move || UdpSocket::bind(address).unwrap())
    };
    let receivers: Vec<_> = (0..FLOWS).map(|flow| bind(to, destination, flow)).collect();
    let senders: Vec<_> = (0..FLOWS).map(|flow| bind(from, source, flow)).collect();
    for (sender, receiver) in senders.iter().zip(&receivers) {
        setsockopt(receiver, sockopt::RcvBufForce, &(4 << 20)).unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
    }
    for number in 0..DATAGRAMS {
        for sender in &senders {
            sender.send(&number.to_be_bytes()).unwrap();
        }
    }
    let arrived: usize = receivers.iter().map(in_order).sum();
    assert!(
        arrived > usize::from(FLOWS) * DATAGRAMS as usize / 2,
        "{arrived}"
    );
}

/// How many datagrams have come until the last, or until no more come.
fn in_order(receiver: &UdpSocket) -> usize {
    receiver
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut next = 0;
    let mut arrived = 0;
    while next < DATAGRAMS && Instant::now() < deadline {
        let mut number = [0; 4];
        match receiver.recv(&mut number) {
            Ok(_) => {
                let number = u32::from_be_bytes(number);
                assert!(number >= next, "{number} came after {}", next - 1);
                next = number + 1;
                arrived += 1;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    arrived
}
