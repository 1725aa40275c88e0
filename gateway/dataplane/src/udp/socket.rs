//! [`TunnelSocket`]: the kernel's UDP socket of one lane.
//!
//! Owns the socket's options and how a sendmsg(2) is put together.
//!
//! Packets leave whole, with Don't Fragment set, and the kernel's own idea of the path MTU, which
//! a forged ICMP message could change, is not used (IP_PMTUDISC_PROBE, ip(7)). A datagram
//! that is longer than the path takes goes in fragments, which `fragment` makes. Over IPv4 without
//! CAP_NET_RAW, routers have to make them: the socket is set to allow it for the time of one send.
//!
//! The socket may be IPv4, IPv6 or both (an IPv6 socket that takes mapped addresses). Callers see
//! plain addresses only.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

use socket2::{MsgHdr, SockAddr, SockRef, Socket};

use super::{Metadata, Udp, fragment};
use crate::session::Path;
use crate::sys::control::Control;
use crate::sys::{option, receive};
use crate::traffic_class::TrafficClass;

/// Bytes of each of the socket's buffers, for the bursts of several peers. The kernel doubles it
/// for its own accounting.
const SOCKET_BUFFER: i32 = 4 << 20;

/// The socket. Its lane's threads send and receive; other threads may send probes and QUIC.
pub struct TunnelSocket {
    socket: UdpSocket,
    is_v6: bool,
    /// Held while the socket lets IPv4 packets be fragmented: a padded probe that left at that time
    /// would prove nothing. Datagrams that fit the path never take it.
    fragmenting: Mutex<()>,
    /// Sends IPv4 fragments; `None` without CAP_NET_RAW. Made for the first of them.
    raw_v4: OnceLock<Option<Socket>>,
    /// Datagrams that the kernel has dropped so far. Kept here, because threads come and go.
    lost: AtomicU32,
}

impl TunnelSocket {
    /// Prepares `socket`, which may be bound already: `mark` keeps its packets off the TUN device's
    /// routes; its buffers are large; the kernel joins datagrams (UDP_GRO) and reports local
    /// addresses, ECN bits and its drops. Error: the kernel refuses an option; the mark and the
    /// buffers need CAP_NET_ADMIN.
    pub fn new(socket: UdpSocket, mark: u32) -> io::Result<TunnelSocket> {
        let is_v6 = socket.local_addr()?.is_ipv6();
        SockRef::from(&socket).set_mark(mark)?;
        for name in [libc::SO_RCVBUFFORCE, libc::SO_SNDBUFFORCE] {
            option::set(&socket, libc::SOL_SOCKET, name, SOCKET_BUFFER)?;
        }
        option::set(&socket, libc::SOL_UDP, libc::UDP_GRO, 1)?;
        // What did not fit into the buffer is counted (socket(7)).
        option::set(&socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;

        // An IPv6 socket carries IPv4 packets too, with IPv4's options for the type of service.
        option::set(&socket, libc::IPPROTO_IP, libc::IP_RECVTOS, 1)?;

        set_fragments(&socket, libc::IP_PMTUDISC_PROBE)?;
        if is_v6 {
            let probe = libc::IPV6_PMTUDISC_PROBE;
            option::set(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 1)?;
            option::set(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
            option::set(&socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, probe)?;
        } else {
            option::set(&socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
        }

        Ok(TunnelSocket {
            socket,
            is_v6,
            fragmenting: Mutex::new(()),
            raw_v4: OnceLock::new(),
            lost: AtomicU32::new(0),
        })
    }

    /// The socket itself, through which QUIC sends.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Lets routers fragment what is sent over IPv4, as WireGuard does: its packets have one length
    /// for every path.
    pub fn let_fragment(&self) -> io::Result<()> {
        set_fragments(&self.socket, libc::IP_PMTUDISC_DONT)
    }

    fn raw_v4(&self) -> Option<&Socket> {
        let raw = self.raw_v4.get_or_init(|| {
            let mark = SockRef::from(&self.socket).mark().ok()?;
            fragment::v4::socket(mark).ok()
        });
        raw.as_ref()
    }

    /// An address in the form that the socket's family takes.
    fn native(&self, address: SocketAddr) -> SocketAddr {
        match address.ip() {
            IpAddr::V4(ip) if self.is_v6 => SocketAddr::from((ip.to_ipv6_mapped(), address.port())),
            _ => address,
        }
    }
}

impl Udp for TunnelSocket {
    fn send_as(
        &self,
        path: &Path,
        payload: &[u8],
        segment: Option<u16>,
        class: TrafficClass,
    ) -> io::Result<()> {
        let remote = SockAddr::from(self.native(path.remote()));
        let mut control = Control::new();
        if let Some(size) = segment {
            control.push_segment(size);
        }
        if let Some(local) = path.local() {
            control.push_source(local, self.is_v6);
        }
        if class != TrafficClass::default() {
            control.push_class(class, path.remote().is_ipv6());
        }

        let buffers = [IoSlice::new(payload)];
        let message = MsgHdr::new()
            .with_addr(&remote)
            .with_buffers(&buffers)
            .with_control(control.as_bytes());

        let socket = SockRef::from(&self.socket);
        match socket.sendmsg(&message, libc::MSG_DONTWAIT) {
            // The first reports, once, the ICMP error of an earlier datagram; this one was not sent
            // yet.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionRefused | io::ErrorKind::Interrupted
                ) =>
            {
                socket.sendmsg(&message, libc::MSG_DONTWAIT).map(|_| ())
            }
            sent => sent.map(|_| ()),
        }
    }

    fn send_unfragmented(&self, path: &Path, payload: &[u8]) -> io::Result<()> {
        let _guard = self
            .fragmenting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.send(path, payload, None)
    }

    fn send_in_fragments(
        &self,
        path: &Path,
        payload: &[u8],
        id: u32,
        class: TrafficClass,
    ) -> io::Result<()> {
        if path.remote().is_ipv6() {
            return fragment::v6::send(&SockRef::from(&self.socket), path, payload, id, class);
        }

        if let Some(raw) = self.raw_v4() {
            let port = self.socket.local_addr()?.port();
            return fragment::v4::send(raw, port, path, payload, id, class);
        }
        let _guard = self
            .fragmenting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        set_fragments(&self.socket, libc::IP_PMTUDISC_DONT)?;
        let sent = self.send_as(path, payload, None, class);

        // Also after a failed send: the next datagram must leave whole.
        set_fragments(&self.socket, libc::IP_PMTUDISC_PROBE)?;
        sent
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<Metadata> {
        let mut metadata = receive::receive(&SockRef::from(&self.socket), buffer)?;

        // The kernel counts since the socket was made, modulo 2³²; without a drop it says nothing.
        if metadata.lost != 0 {
            let before = self.lost.swap(metadata.lost, Relaxed);
            metadata.lost = metadata.lost.wrapping_sub(before);
        }
        Ok(metadata)
    }
}

impl AsFd for TunnelSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sets what the kernel does with IPv4 packets that are longer than the link takes.
fn set_fragments(socket: &UdpSocket, mode: i32) -> io::Result<()> {
    option::set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, mode)
}
