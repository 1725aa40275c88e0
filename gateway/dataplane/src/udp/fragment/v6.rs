//! Over IPv6: fragments of 1280 bytes, which every path carries (RFC 8200, sections 4.5 and 5).
//!
//! Routers do not fragment IPv6, and Linux lets no UDP socket ask for shorter fragments than its
//! own link needs (IPV6_MTU only bounds them).

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::{datagram, send_each};
use crate::ip::FRAGMENT;
use crate::peer::MIN_MTU;
use crate::session::Path;
use crate::sys::control::Control;
use crate::traffic_class::TrafficClass;
use crate::transport::Protocol;

/// Bytes of the datagram in each fragment but the last: what IPv6's header and the fragment header
/// leave of the smallest MTU.
const PIECE: usize = MIN_MTU as usize - 40 - 8;

/// Sends `payload` along `path`, whose remote is IPv6, with the port and the mark of `socket`.
pub(in crate::udp) fn send(
    socket: &SockRef<'_>,
    path: &Path,
    payload: &[u8],
    id: u32,
    class: TrafficClass,
) -> io::Result<()> {
    let SocketAddr::V6(remote) = path.remote() else {
        return Err(io::ErrorKind::Unsupported.into());
    };

    let mark = socket.mark()?;
    let source = match path.local() {
        Some(IpAddr::V6(source)) => source,
        // The checksum covers the source, so the kernel's choice must be known beforehand.
        _ => source_to(remote, mark)?,
    };

    let local = socket
        .local_addr()?
        .as_socket()
        .ok_or(io::ErrorKind::AddrNotAvailable)?;
    let source = SocketAddrV6::new(source, local.port(), 0, 0);

    let raw = raw_socket(mark)?;
    let mut control = Control::new();
    control.push_source((*source.ip()).into(), true);
    control.push_class(class, true);

    let to = SockAddr::from(SocketAddrV6::new(*remote.ip(), 0, 0, remote.scope_id()));
    let datagram = datagram(source.into(), remote.into(), payload);
    send_each(&raw, &to, &control, fragments(&datagram, id))
}

/// A socket whose packets have the fragment header next to IPv6's.
fn raw_socket(mark: u32) -> io::Result<Socket> {
    let protocol = socket2::Protocol::from(i32::from(FRAGMENT));
    let kind = Type::RAW.nonblocking().cloexec();
    let socket = Socket::new(Domain::IPV6, kind, Some(protocol))?;
    socket.set_mark(mark)?;
    Ok(socket)
}

/// The source address that the kernel's routes choose for packets to `remote`.
fn source_to(remote: SocketAddrV6, mark: u32) -> io::Result<Ipv6Addr> {
    let probe = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    SockRef::from(&probe).set_mark(mark)?;

    // Chooses the source and sends nothing.
    probe.connect(remote)?;

    match probe.local_addr()?.ip() {
        IpAddr::V6(source) => Ok(source),
        IpAddr::V4(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// The parts of `datagram`, each behind its fragment header.
fn fragments(datagram: &[u8], id: u32) -> impl Iterator<Item = Vec<u8>> {
    let last = datagram.len().div_ceil(PIECE).saturating_sub(1);
    datagram.chunks(PIECE).enumerate().map(move |(at, piece)| {
        // The offset, in units of eight bytes, lies above three bits; the lowest says that more
        // fragments follow (RFC 8200, section 4.5).
        let field = (at * PIECE) as u16 | u16::from(at < last);
        [
            &[Protocol::Udp.number(), 0][..],
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
        let source = "[2001:db8::1]:4601".parse().unwrap();
        let remote = "[2001:db8::2]:4600".parse().unwrap();
        let datagram = datagram(source, remote, &payload);
        assert_eq!(datagram[..6], [0x11, 0xf9, 0x11, 0xf8, 0x05, 0x1c]);
        assert_eq!(&datagram[8..], payload);
        let pieces: Vec<_> = fragments(&datagram, 0x0102_0304).collect();
        assert_eq!(pieces[0][..8], [17, 0, 0, 1, 1, 2, 3, 4]);
        assert_eq!(pieces[1][..8], [17, 0, 0x04, 0xd0, 1, 2, 3, 4]);
        assert_eq!([&pieces[0][8..], &pieces[1][8..]].concat(), datagram);
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[0].len() + 40, 1280);
    }
}
