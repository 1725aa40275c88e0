//! Over IPv4 (RFC 791, section 3.2).
//!
//! The kernel fragments for the MTU of its own link, and leaves the rest of the path to routers. A
//! link whose ends have different MTUs drops without a fragment and without a message.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{datagram, send_each};
use crate::peer::MIN_MTU;
use crate::session::Path;
use crate::sys::control::Control;
use crate::traffic_class::TrafficClass;
use crate::transport;

/// Bytes of a header without options.
const HEADER: usize = 20;

/// Bytes of the datagram in each fragment but the last: a multiple of eight.
const PIECE: usize = (MIN_MTU as usize - HEADER) / 8 * 8;

/// The bit that says that more fragments follow.
const MORE: u16 = 0x2000;

/// As the kernel sends (`net.ipv4.ip_default_ttl`).
const TTL: u8 = 64;

/// A socket that takes whole IPv4 packets (raw(7), IP_HDRINCL), and never receives any.
pub(in crate::udp) fn socket(mark: u32) -> io::Result<Socket> {
    let protocol = Protocol::from(libc::IPPROTO_RAW);
    let kind = Type::RAW.nonblocking().cloexec();
    let socket = Socket::new(Domain::IPV4, kind, Some(protocol))?;
    socket.set_mark(mark)?;
    Ok(socket)
}

/// Sends `payload` along `path`, whose remote is IPv4, from `port`. `raw` is of [`socket`].
pub(in crate::udp) fn send(
    raw: &Socket,
    port: u16,
    path: &Path,
    payload: &[u8],
    id: u32,
    class: TrafficClass,
) -> io::Result<()> {
    let SocketAddr::V4(remote) = path.remote() else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let mut control = Control::new();
    let source = match path.local() {
        Some(IpAddr::V4(source)) => {
            control.push_source(source.into(), false);
            source
        }
        // The kernel writes the one that its routes choose into the header.
        _ => Ipv4Addr::UNSPECIFIED,
    };

    let source = SocketAddrV4::new(source, port);
    let to = SockAddr::from(SocketAddrV4::new(*remote.ip(), 0));
    let fragments = fragments(source, remote, payload, id, class);
    send_each(raw, &to, &control, fragments)
}

/// The parts of the datagram, each behind its header. The kernel writes length and checksum.
fn fragments(
    source: SocketAddrV4,
    remote: SocketAddrV4,
    payload: &[u8],
    id: u32,
    class: TrafficClass,
) -> Vec<Vec<u8>> {
    let mut datagram = datagram(source.into(), remote.into(), payload);
    // The checksum covers the source. RFC 768 lets it be left out, and the payload is
    // authenticated anyway.
    if source.ip().is_unspecified() {
        datagram[6..8].fill(0);
    }
    let last = datagram.len().div_ceil(PIECE).saturating_sub(1);
    // The kernel replaces 0, in each fragment by another number.
    let id = (id % u32::from(u16::MAX)) as u16 + 1;

    let pieces = datagram.chunks(PIECE).enumerate().map(|(at, piece)| {
        let more = if at < last { MORE } else { 0 };
        let field = (at * PIECE / 8) as u16 | more;
        let mut fragment = vec![0; HEADER];
        fragment[0] = 0x45;
        fragment[1] = class.0;
        fragment[4..6].copy_from_slice(&id.to_be_bytes());
        fragment[6..8].copy_from_slice(&field.to_be_bytes());
        fragment[8] = TTL;
        fragment[9] = transport::Protocol::Udp.number();
        fragment[12..16].copy_from_slice(&source.ip().octets());
        fragment[16..20].copy_from_slice(&remote.ip().octets());
        fragment.extend_from_slice(piece);
        fragment
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fragments_are_those_of_the_datagram_and_fit_the_smallest_path() {
        let payload: Vec<u8> = (0..1312u32).map(|at| (at * 7) as u8).collect();
        let source: SocketAddrV4 = "192.0.2.1:4601".parse().unwrap();
        let remote: SocketAddr = "192.0.2.2:4600".parse().unwrap();
        let to = "192.0.2.2:4600".parse().unwrap();
        for id in [0, 5, 0xffff, u32::MAX] {
            let pieces = fragments(source, to, &payload, id, TrafficClass::default());
            assert_eq!(pieces.len(), 2);
            assert_eq!(pieces[0].len(), 1276);
            assert_eq!(pieces[0][6..8], [0x20, 0], "more follow");
            assert_eq!(pieces[1][6..8], [0, 157], "units of eight bytes");
            assert_eq!(pieces[0][4..6], pieces[1][4..6]);
            assert_ne!(pieces[0][4..6], [0, 0], "the kernel would replace it");

            let datagram = datagram(source.into(), remote, &payload);
            assert_eq!([&pieces[0][20..], &pieces[1][20..]].concat(), datagram);
            assert_eq!(datagram[..6], [0x11, 0xf9, 0x11, 0xf8, 0x05, 0x28]);
        }

        let unknown = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 4601);
        let pieces = fragments(unknown, to, &payload, 1, TrafficClass::default());
        assert_eq!(pieces[0][26..28], [0, 0], "no checksum");
    }
}
