//! Hosts behind the gateways, whose kernels verify the checksums of everything that leaves the
//! tunnel.
//!
//! ```text
//!   host ──veth── left ══ tunnel ══ right ──veth── host
//!   10.1.0.66     10.1.0.65         10.2.0.65      10.2.0.66
//! ```
//! In IPv6, fd00:N::1:2 is behind fd00:N::1:1.
//!
//! The cables to the hosts offload nothing when a packet leaves a gateway: its kernel must complete
//! what is partial, and the host's kernel sums all of it again.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use ringway_dataplane::*;

use crate::netns::{Netns, ip};
use crate::pair::{Gateway, Wan, pair};
use crate::transfer;

/// A host behind gateway `number`. What it sends has partial checksums and is joined, if
/// `offloads`.
pub(crate) fn host(gateway: &Gateway, number: u8, offloads: bool) -> Netns {
    let host = Netns::new();
    ip(&format!(
        "link add lan netns {} type veth peer name lan netns {}",
        gateway.netns.name(),
        host.name()
    ));
    for (netns, last, offloads) in [(&gateway.netns, 1, false), (&host, 2, offloads)] {
        netns.ip(&format!("addr add 10.{number}.0.{}/26 dev lan", 64 + last));
        netns.ip(&format!(
            "addr add fd00:{number}::1:{last}/112 dev lan nodad"
        ));
        netns.ip("link set lan up");
        let onoff = if offloads { "on" } else { "off" };
        for command in [
            format!("ethtool -K lan tx {onoff} rx off"),
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1".into(),
            "sysctl -qw net.ipv4.conf.all.rp_filter=0".into(),
        ] {
            let output = netns.exec(&command);
            assert!(
                output.status.success(),
                "{command}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    host.ip(&format!("route add default via 10.{number}.0.65"));
    host.ip(&format!("route add default via fd00:{number}::1:1"));
    host
}

/// Datagrams of all kinds of lengths, one after the other, each answered by itself.
fn converse(from: &Netns, to: &Netns, bind: &str, address: &str) {
    let (bind, address): (SocketAddr, SocketAddr) =
        (bind.parse().unwrap(), address.parse().unwrap());
    let lengths = [0, 1, 2, 3, 7, 64, 65, 511, 1000, 1001, 1371, 1372];
    let echo = to.within(move || UdpSocket::bind(address).unwrap());
    let answer = std::thread::spawn(move || {
        for _ in lengths {
            let mut buffer = [0; 2000];
            let (len, from) = echo.recv_from(&mut buffer).unwrap();
            echo.send_to(&buffer[..len], from).unwrap();
        }
    });
    let socket = from.within(move || UdpSocket::bind(bind).unwrap());
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    for len in lengths {
        let payload: Vec<u8> = (0..len).map(|at| (at * 37 + len) as u8).collect();
        let mut buffer = [0; 2000];
        socket.send_to(&payload, address).unwrap();
        let (answered, _) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(buffer[..answered], payload, "{len} bytes");
    }
    answer.join().unwrap();
}

/// Datagrams in runs that the sending kernel hands over whole, if it offloads.
fn stream(from: &Netns, to: &Netns, bind: &str, address: &str) {
    const RUN: usize = 20;
    const LEN: usize = 701;
    let (bind, address): (SocketAddr, SocketAddr) =
        (bind.parse().unwrap(), address.parse().unwrap());
    let receiver = to.within(move || UdpSocket::bind(address).unwrap());
    receiver
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let sender = from.within(move || UdpSocket::bind(bind).unwrap());
    nix::sys::socket::setsockopt(
        &sender,
        nix::sys::socket::sockopt::UdpGsoSegment,
        &(LEN as i32),
    )
    .unwrap();
    for round in 0..10 {
        let run: Vec<u8> = (0..RUN * LEN - 300)
            .map(|at| (at / LEN * 7 + at + round) as u8)
            .collect();
        sender.send_to(&run, address).unwrap();
        for expected in run.chunks(LEN) {
            let mut buffer = [0; 2000];
            let len = receiver.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], expected, "round {round}");
        }
    }
}

/// How many packets the kernel of a host found to have a wrong TCP or UDP checksum.
fn wrong_checksums(netns: &Netns) -> u64 {
    let output = netns.exec("nstat -asz TcpInCsumErrors UdpInCsumErrors Udp6InCsumErrors");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let counts = text.lines().filter(|line| line.contains("CsumErrors"));
    let counts: Vec<u64> = counts
        .map(|line| line.split_whitespace().nth(1).unwrap().parse().unwrap())
        .collect();
    assert_eq!(counts.len(), 3, "{text}");
    counts.iter().sum()
}

#[test]
fn far_kernels_find_every_checksum_right() {
    for (offloads, wan) in [(true, Wan::V4), (false, Wan::V6)] {
        let (left, right) = pair(Aead::Aes128Gcm, wan);
        let (near, far) = (host(&left, 1, offloads), host(&right, 2, offloads));
        transfer(&near, &far, "10.2.0.66:7050", 4);
        transfer(&far, &near, "[fd00:1::1:2]:7050", 4);
        converse(&near, &far, "10.1.0.66:0", "10.2.0.66:7051");
        converse(&far, &near, "[fd00:2::1:2]:0", "[fd00:1::1:2]:7051");
        // Without transmit checksums there is no UDP segmentation offload to ask for.
        if offloads {
            stream(&near, &far, "10.1.0.66:0", "10.2.0.66:7052");
            stream(&far, &near, "[fd00:2::1:2]:0", "[fd00:1::1:2]:7052");
        }
        assert_eq!(wrong_checksums(&near) + wrong_checksums(&far), 0);
        left.assert_nothing_dropped();
        right.assert_nothing_dropped();
    }
}
