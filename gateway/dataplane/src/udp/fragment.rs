//! One UDP datagram in fragments of at most 1280 bytes, the shortest path on which a tunnel runs.
//! They are made here, and leave through a raw socket, with the address and port of the tunnel's
//! socket. That needs CAP_NET_RAW, is slow, and is rare: a packet of more than 1200 bytes that is
//! not TCP, on a path of less than 1340 or 1360.

pub(super) mod v4;
pub(super) mod v6;

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};

use socket2::{MsgHdr, SockAddr, Socket};

use crate::checksum::{self, add, sum};
use crate::sys::control::Control;
use crate::transport::Protocol;

/// UDP header and payload, with the checksum that IPv6 demands (RFC 768; RFC 8200, section 8.1).
fn datagram(source: SocketAddr, remote: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let len = 8 + payload.len() as u16;
    let ports = [source.port().to_be_bytes(), remote.port().to_be_bytes()].concat();
    let mut datagram = [&ports[..], &len.to_be_bytes(), &[0, 0], payload].concat();

    let addresses = add(sum_of(source.ip()), sum_of(remote.ip()));
    let pseudo_header = add(add(addresses, len), Protocol::Udp.number().into());
    let checksum = checksum::never_zero(!add(pseudo_header, sum(&datagram)));
    datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
    datagram
}

fn sum_of(address: IpAddr) -> u16 {
    match address {
        IpAddr::V4(address) => sum(&address.octets()),
        IpAddr::V6(address) => sum(&address.octets()),
    }
}

/// Sends each fragment through a raw socket, which takes no port.
fn send_each(
    raw: &Socket,
    to: &SockAddr,
    control: &Control,
    fragments: impl IntoIterator<Item = Vec<u8>>,
) -> io::Result<()> {
    for fragment in fragments {
        let buffers = [IoSlice::new(&fragment)];
        let message = MsgHdr::new()
            .with_addr(to)
            .with_buffers(&buffers)
            .with_control(control.as_bytes());
        raw.sendmsg(&message, 0)?;
    }
    Ok(())
}
