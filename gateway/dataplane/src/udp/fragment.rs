//! One UDP datagram over IPv6 in fragments of 1280 bytes, which every IPv6 path carries (RFC 8200, sections 4.5 and 5).
//!
//! Routers fragment no IPv6, and Linux lets no UDP socket ask for shorter fragments than its own link needs
//! (IPV6_MTU only bounds them). So the fragments are made here and leave through a raw socket, with the
//! addresses and ports of the tunnel's own. That needs CAP_NET_RAW, is slow, and is rare: a packet of more than
//! 1200 bytes that is no TCP, on a path of less than 1360.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use socket2::{Domain, MsgHdr, Protocol, SockAddr, SockRef, Socket, Type};

use crate::checksum::{add, sum};
use crate::session::Path;
use crate::sys::control::Control;

/// Next-header value of the fragment header.
const FRAGMENT: u8 = 44;
const UDP: u8 = 17;

/// Bytes of a datagram in each fragment but the last: what 1280 leave behind IPv6's header and the fragment's.
const PIECE: usize = 1280 - 40 - 8;

/// Sends `payload` along `path`, whose remote is IPv6, as `socket` would.
pub(crate) fn send(socket: &SockRef<'_>, path: &Path, payload: &[u8], id: u32) -> io::Result<()> {
    let SocketAddr::V6(remote) = path.remote() else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let port = socket
        .local_addr()?
        .as_socket()
        .ok_or(io::ErrorKind::AddrNotAvailable)?
        .port();
    let mark = socket.mark()?;
    let source = match path.local() {
        Some(IpAddr::V6(source)) => source,
        _ => source_to(remote, mark)?,
    };
    let raw = Socket::new(
        Domain::IPV6,
        Type::RAW.nonblocking().cloexec(),
        Some(Protocol::from(i32::from(FRAGMENT))),
    )?;
    raw.set_mark(mark)?;
    let mut control = Control::new();
    control.push_source(source.into(), true);
    // A raw socket takes no port.
    let to = SockAddr::from(SocketAddrV6::new(*remote.ip(), 0, 0, remote.scope_id()));
    for fragment in fragments(&datagram((source, port), &remote, payload), id) {
        let buffers = [IoSlice::new(&fragment)];
        raw.sendmsg(
            &MsgHdr::new()
                .with_addr(&to)
                .with_buffers(&buffers)
                .with_control(control.as_bytes()),
            0,
        )?;
    }
    Ok(())
}

/// The address that the kernel's routes choose for packets to there.
fn source_to(remote: SocketAddrV6, mark: u32) -> io::Result<Ipv6Addr> {
    let asked = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    SockRef::from(&asked).set_mark(mark)?;
    asked.connect(remote)?;
    match asked.local_addr()?.ip() {
        IpAddr::V6(source) => Ok(source),
        IpAddr::V4(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// UDP header and payload (RFC 768), with the checksum that IPv6 asks for (RFC 8200, section 8.1).
fn datagram((source, port): (Ipv6Addr, u16), remote: &SocketAddrV6, payload: &[u8]) -> Vec<u8> {
    let len = 8 + payload.len() as u16;
    let ports = [port.to_be_bytes(), remote.port().to_be_bytes()].concat();
    let mut datagram = [&ports[..], &len.to_be_bytes(), &[0, 0], payload].concat();
    let addresses = add(sum(&source.octets()), sum(&remote.ip().octets()));
    let pseudo = add(add(addresses, len), UDP.into());
    let checksum = Some(!add(pseudo, sum(&datagram)))
        .filter(|sum| *sum != 0)
        .unwrap_or(0xffff);
    datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
    datagram
}

/// The pieces, each behind its fragment header.
fn fragments(datagram: &[u8], id: u32) -> impl Iterator<Item = Vec<u8>> {
    let last = datagram.len().div_ceil(PIECE).saturating_sub(1);
    datagram.chunks(PIECE).enumerate().map(move |(at, piece)| {
        // The offset counts units of eight bytes and lies above three bits, the last of which says that more follow.
        let field = (at * PIECE) as u16 | u16::from(at < last);
        [
            &[UDP, 0][..],
            &field.to_be_bytes(),
            &id.to_be_bytes(),
            piece,
        ]
        .concat()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fragments_are_those_of_the_datagram() {
        let payload: Vec<u8> = (0..1300u32).map(|at| (at * 7) as u8).collect();
        let remote = "[2001:db8::2]:4600".parse().unwrap();
        let datagram = datagram(("2001:db8::1".parse().unwrap(), 4601), &remote, &payload);
        assert_eq!(datagram[..6], [0x11, 0xf9, 0x11, 0xf8, 0x05, 0x1c]);
        assert_eq!(&datagram[8..], payload);
        let pieces: Vec<_> = fragments(&datagram, 0x0102_0304).collect();
        assert_eq!(pieces[0][..8], [17, 0, 0, 1, 1, 2, 3, 4]);
        assert_eq!(pieces[1][..8], [17, 0, 0x04, 0xd0, 1, 2, 3, 4]);
        assert_eq!([&pieces[0][8..], &pieces[1][8..]].concat(), datagram);
        assert_eq!((pieces.len(), pieces[0].len() + 40), (2, 1280));
    }
}
