//! The traffic class of a send is in the IP header of every datagram that leaves, whatever the
//! socket's family and the way in which it leaves.

use std::io::Read;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use ringway_dataplane::{Path, TrafficClass, TunnelSocket, Udp};
use socket2::{Domain, Protocol, Socket, Type};

use crate::netns::Netns;

/// EF and ECT(1).
const CLASS: TrafficClass = TrafficClass(0xb9);

/// Of the payloads. No header has it.
const BYTE: u8 = 0xa7;

/// Every Ethernet protocol (packet(7)).
const ETH_P_ALL: u16 = 3;

#[test]
fn the_class_of_a_send_is_in_every_ip_header() {
    let netns = Netns::new();
    netns.ip("link set lo mtu 1500");

    netns.within(|| {
        for (bind, to) in [
            ("127.0.0.1:0", "127.0.0.1:4601"),
            ("[::]:0", "127.0.0.1:4601"),
            ("[::]:0", "[::1]:4601"),
        ] {
            let to: SocketAddr = to.parse().unwrap();
            let sender = TunnelSocket::new(UdpSocket::bind(bind).unwrap(), 0).unwrap();
            for class in [CLASS, TrafficClass::default(), TrafficClass(0x02)] {
                assert_all_have(&sender, to, class);
            }
        }
    });
}

/// Several datagrams in one send, one alone, and one in fragments.
fn assert_all_have(sender: &TunnelSocket, to: SocketAddr, class: TrafficClass) {
    let mut wire = wire();
    let receiver = UdpSocket::bind(to).unwrap();
    let path = Path::new(to, None);
    sender
        .send_as(&path, &[BYTE; 300], Some(100), class)
        .unwrap();
    sender.send_as(&path, &[BYTE; 100], None, class).unwrap();
    sender
        .send_in_fragments(&path, &[BYTE; 4000], 7, class)
        .unwrap();

    // The device of the loop shows each packet as it leaves and as it arrives.
    let mut bytes = 0;
    while bytes < 2 * (300 + 100 + 4000) {
        let mut packet = vec![0; 0xffff];
        let len = wire.read(&mut packet).expect("more packets within 5 s");
        assert_eq!(class_of(&packet), class.0, "to {to}: {:?}", &packet[..len]);
        bytes += packet[..len].iter().filter(|byte| **byte == BYTE).count();
    }
    drop(receiver);
}

/// Sees every packet of the namespace, without the link's header.
fn wire() -> Socket {
    let all = Protocol::from(i32::from(ETH_P_ALL.to_be()));
    let wire = Socket::new(Domain::PACKET, Type::DGRAM, Some(all)).unwrap();
    wire.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    wire
}

/// The second byte of an IPv4 header, or IPv6's traffic class.
fn class_of(packet: &[u8]) -> u8 {
    match packet[0] >> 4 {
        4 => packet[1],
        _ => packet[0] << 4 | packet[1] >> 4,
    }
}
