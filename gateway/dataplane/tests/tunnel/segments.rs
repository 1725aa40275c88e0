//! TCP segments fit the path because the gateways lower the MSS of SYNs, in both directions at
//! either gateway alone.
//!
//! Hosts stand behind the gateways (drawn in `checksums`) and receive no ICMP errors: a host that
//! sends more than fits would never know.

use std::net::{SocketAddr, TcpListener, TcpStream};

use nix::sys::socket::{getsockopt, sockopt};
use ringway_dataplane::*;

use crate::checksums::host;
use crate::netns::Netns;
use crate::pair::{Wan, pair};
use crate::transfer;

/// Path MTU in one direction; it is 1500 in the other.
const NARROW: u16 = 1380;

#[test]
fn connections_in_both_directions_fit_the_narrower_path_if_one_gateway_knows_it() {
    for narrow_is_left in [true, false] {
        let (left, right) = pair(Aead::Aes128Gcm, Wan::V4);
        let (near, far) = (host(&left, 1, true), host(&right, 2, true));
        for host in [&near, &far] {
            drop_icmp_errors(host);
        }
        if narrow_is_left { &left } else { &right }
            .peer
            .set_path_mtu(NARROW);
        // Behind IPv4, UDP and what the tunnel adds, and the headers of the packet inside.
        let inside = u32::from(NARROW) - 20 - 8 - OVERHEAD as u32;
        for (address, headers) in [("10.2.0.66:7050", 40), ("[fd00:2::1:2]:7050", 60)] {
            assert_eq!(
                segments(&near, &far, address),
                [inside - headers; 2],
                "{address}"
            );
        }
        for (address, headers) in [("10.1.0.66:7050", 40), ("[fd00:1::1:2]:7050", 60)] {
            assert_eq!(
                segments(&far, &near, address),
                [inside - headers; 2],
                "{address}"
            );
        }
        transfer(&near, &far, "10.2.0.66:7050", 2);
        transfer(&far, &near, "[fd00:1::1:2]:7050", 2);
        left.assert_nothing_dropped();
        right.assert_nothing_dropped();
    }
}

/// The largest segments that the two ends of a new connection send, timestamps included.
fn segments(from: &Netns, to: &Netns, address: &str) -> [u32; 2] {
    let address: SocketAddr = address.parse().unwrap();
    let listener = to.within(move || TcpListener::bind(address).unwrap());
    let dialled = from.within(move || TcpStream::connect(address).unwrap());
    let (accepted, _) = listener.accept().unwrap();
    [dialled, accepted].map(|end| getsockopt(&end, sockopt::TcpMaxSeg).unwrap() + TIMESTAMPS)
}

/// Bytes of the option (RFC 7323, section 3), which the kernel subtracts from what it reports.
const TIMESTAMPS: u32 = 12;

fn drop_icmp_errors(host: &Netns) {
    for command in [
        "nft add table inet deaf",
        "nft add chain inet deaf in { type filter hook input priority 0 ; }",
        "nft add rule inet deaf in icmp type destination-unreachable drop",
        "nft add rule inet deaf in icmpv6 type packet-too-big drop",
    ] {
        let output = host.exec(command);
        assert!(
            output.status.success(),
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
