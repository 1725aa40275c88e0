//! Packets that wait to be sealed, more than may wait: none is lost, and none overtakes another of
//! its flow.
//!
//! Super-packets are queued while small packets of other flows overtake them; small packets of
//! their own flow wait behind them. Each burst is in the device's queue before a thread reads the
//! first packet.

use std::net::{SocketAddr, UdpSocket};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use ringway_dataplane::*;

use crate::netns::Netns;
use crate::pair::{Gateway, Wan, pair};
use crate::ping;

/// Bytes of a datagram.
const LEN: usize = 100;
/// Datagrams in a super-packet. Linux before 6.2 cuts UDP in front of the device; nothing waits
/// there.
const JOINED: u32 = 3;

/// Super-packets, each followed by small packets of the same flow.
struct Burst {
    super_packets: u32,
    small: u32,
}

#[test]
fn small_packets_behind_a_super_packet_of_their_flow_all_arrive_in_order() {
    let (mut left, right) = pair(Aead::Aes128Gcm, Wan::V4);
    arrives_in_order(
        &mut left,
        &right,
        &Burst {
            super_packets: 1,
            small: 1000,
        },
    );
}

#[test]
fn more_super_packets_than_may_wait_are_neither_lost_nor_reordered() {
    let (mut left, right) = pair(Aead::Aes128Gcm, Wan::V4);
    arrives_in_order(
        &mut left,
        &right,
        &Burst {
            super_packets: 300,
            small: 0,
        },
    );
    arrives_in_order(
        &mut left,
        &right,
        &Burst {
            super_packets: 150,
            small: 4,
        },
    );
}

/// The burst over IPv4 and over IPv6, each beside small packets of a flow that may overtake it.
fn arrives_in_order(left: &mut Gateway, right: &Gateway, burst: &Burst) {
    // Resolves the neighbours' addresses first: packets may be lost meanwhile.
    ping(left, "10.2.0.1");
    let Burst {
        super_packets,
        small,
    } = *burst;
    let round = JOINED + small;
    let flow = |from, to, count| Flow::new((&left.netns, from), (&right.netns, to), count);
    let flows = [
        ("10.1.0.1:0", "10.2.0.1:7050"),
        ("[fd00:1::1]:0", "[fd00:2::1]:7050"),
    ]
    .map(|(from, to)| flow(from, to, super_packets * round));
    let others = [
        ("10.1.0.1:0", "10.2.0.1:7051"),
        ("[fd00:1::1]:0", "[fd00:2::1]:7051"),
    ]
    .map(|(from, to)| flow(from, to, super_packets));
    left.while_stopped(|| {
        for at in 0..super_packets {
            for (flow, other) in flows.iter().zip(&others) {
                flow.send(at * round, JOINED);
                for behind in 0..small {
                    flow.send(at * round + JOINED + behind, 1);
                }
                other.send(at, 1);
            }
        }
    });
    for flow in flows.into_iter().chain(others) {
        flow.arrives_in_order();
    }
    left.assert_nothing_dropped();
    right.assert_nothing_dropped();
}

/// Numbered datagrams.
struct Flow {
    sender: UdpSocket,
    receiver: JoinHandle<Vec<u32>>,
    count: u32,
}

impl Flow {
    /// Of `count` datagrams, from one namespace and address to another.
    fn new((from, source): (&Netns, &str), (to, address): (&Netns, &str), count: u32) -> Flow {
        let [source, address]: [SocketAddr; 2] =
            [source, address].map(|text| text.parse().unwrap());
        let receiver = to.within(move || UdpSocket::bind(address).unwrap());
        setsockopt(&receiver, sockopt::RcvBufForce, &(8 << 20)).unwrap();
        receiver
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let sender = from.within(move || UdpSocket::bind(source).unwrap());
        sender.connect(address).unwrap();
        setsockopt(&sender, sockopt::UdpGsoSegment, &(LEN as i32)).unwrap();
        Flow {
            sender,
            receiver: std::thread::spawn(move || listen(&receiver, count)),
            count,
        }
    }

    /// Sends `count` datagrams from number `first` on, in one call.
    fn send(&self, first: u32, count: u32) {
        let mut run = vec![0; count as usize * LEN];
        for (datagram, number) in run.chunks_mut(LEN).zip(first..) {
            datagram[..4].copy_from_slice(&number.to_be_bytes());
        }
        assert_eq!(self.sender.send(&run).unwrap(), run.len());
    }

    fn arrives_in_order(self) {
        let heard = self.receiver.join().unwrap();
        assert_eq!(heard.len(), self.count as usize, "datagrams were lost");
        assert!(heard.is_sorted(), "a datagram overtook another");
    }
}

/// The numbers of up to `count` datagrams, in the order of their arrival.
fn listen(receiver: &UdpSocket, count: u32) -> Vec<u32> {
    let mut datagram = [0; LEN];
    let next = |_| {
        let len = receiver.recv(&mut datagram).ok()?;
        assert_eq!(len, LEN, "another length");
        datagram
            .first_chunk()
            .map(|number| u32::from_be_bytes(*number))
    };
    (0..count).map_while(next).collect()
}
