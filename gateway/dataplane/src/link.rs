//! [`Link`]: datagrams in and out of the one UDP socket, by path, in runs.
//!
//! Owns the socket's options and the way a sendmsg(2) is put together; not what is in a datagram, nor what
//! a failed send means for whom.
//!
//! Packets leave whole, with Don't Fragment set, and the kernel's own idea of the path MTU, which anybody can give
//! it by a forged ICMP message, is not asked (IP_PMTUDISC_PROBE, ip(7)). What is longer than the path takes goes
//! in fragments: over IPv4 the socket is told to allow that for the time of one send, over IPv6 `fragment` makes them.
//!
//! The socket may be IPv4, IPv6 or both (an IPv6 socket that takes mapped addresses): everybody else sees
//! plain addresses only.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Mutex, PoisonError};

use socket2::{MsgHdr, SockAddr, SockRef};

use crate::counters::DropReason;
use crate::fragment;
use crate::session::{Outgoing, Path};
use crate::sys::control::{Control, Told};
use crate::sys::{option, receive};

/// Datagrams in one send (UDP_MAX_SEGMENTS of older kernels).
pub(crate) const MAX_SEGMENTS: usize = 64;

/// Bytes in one send: a UDP payload, with room to spare for headers.
pub(crate) const MAX_SEND: usize = 65_000;

/// Room for the bursts of several peers; the kernel doubles it for its own accounting.
const SOCKET_BUFFER: i32 = 4 << 20;

/// Held while the socket lets IPv4 packets be fragmented: a padded probe that left meanwhile would prove nothing. Never
/// taken for what fits the path.
static FRAGMENTING: Mutex<()> = Mutex::new(());

/// The UDP socket, seen by one thread.
pub(crate) struct Link<'a> {
    socket: SockRef<'a>,
    v6: bool,
}

impl<'a> Link<'a> {
    pub(crate) fn of(socket: &'a UdpSocket) -> io::Result<Link<'a>> {
        Ok(Link {
            v6: socket.local_addr()?.is_ipv6(),
            socket: SockRef::from(socket),
        })
    }

    /// Sends `payload` along `path` without waiting; cut into datagrams of `segment` bytes, if given.
    pub(crate) fn send(&self, path: &Path, payload: &[u8], segment: Option<u16>) -> io::Result<()> {
        let to = SockAddr::from(self.as_socket_takes(path.remote()));
        let mut control = Control::new();
        if let Some(size) = segment {
            control.segment(size);
        }
        if let Some(local) = path.local() {
            control.source(local, self.v6);
        }
        let buffers = [IoSlice::new(payload)];
        let message = MsgHdr::new()
            .with_addr(&to)
            .with_buffers(&buffers)
            .with_control(control.as_bytes());
        let send = || {
            self.socket
                .sendmsg(&message, libc::MSG_DONTWAIT)
                .map(|_| ())
        };
        match send() {
            // An ICMP error that some earlier datagram met is told once; this one was not sent yet.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => send(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => send(),
            result => result,
        }
    }

    /// [`Link::send`] along the path of `session`. If the address that it was to leave from is no longer this
    /// host's, the kernel chooses another from now on; the peer will challenge it.
    pub(crate) fn send_along(
        &self,
        session: &Outgoing,
        payload: &[u8],
        segment: Option<u16>,
    ) -> io::Result<()> {
        let path = session.path();
        self.send(&path, payload, segment)
            .or_else(|error| match error.raw_os_error() {
                // What a foreign source is called: by IPv6 and older kernels, by IPv4, and by neither yet.
                Some(libc::EINVAL | libc::ENETUNREACH | libc::EADDRNOTAVAIL)
                    if path.local().is_some() =>
                {
                    let free = Path::new(path.remote(), None);
                    self.send(&free, payload, segment)?;
                    session.move_to(free);
                    Ok(())
                }
                _ => Err(error),
            })
    }

    /// Sends one datagram that is too long for the path in fragments. `id` shall not repeat soon.
    pub(crate) fn send_in_fragments(&self, path: &Path, payload: &[u8], id: u32) -> io::Result<()> {
        if path.remote().is_ipv6() {
            return fragment::send(&self.socket, path, payload, id);
        }
        let _held = FRAGMENTING.lock().unwrap_or_else(PoisonError::into_inner);
        let set = |mode| option::set(&*self.socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, mode);
        let sent = set(libc::IP_PMTUDISC_DONT).and_then(|()| self.send(path, payload, None));
        set(libc::IP_PMTUDISC_PROBE)?;
        sent
    }

    /// Sends one datagram that must not be fragmented, whatever others are.
    pub(crate) fn send_whole(&self, path: &Path, payload: &[u8]) -> io::Result<()> {
        let _held = FRAGMENTING.lock().unwrap_or_else(PoisonError::into_inner);
        self.send(path, payload, None)
    }

    /// Receives what is there, without waiting: see [`receive::receive`].
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, Told)> {
        receive::receive(&self.socket, buffer)
    }

    fn as_socket_takes(&self, address: SocketAddr) -> SocketAddr {
        match address.ip() {
            IpAddr::V4(ip) if self.v6 => SocketAddr::from((ip.to_ipv6_mapped(), address.port())),
            _ => address,
        }
    }
}

/// What a failed send is counted as; `None` if nothing was lost by it.
pub(crate) fn lost_by(error: &io::Error) -> Option<DropReason> {
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => None,
        Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => Some(DropReason::SocketFull),
        Some(libc::EMSGSIZE) => Some(DropReason::TooBig),
        _ => Some(DropReason::Unreachable),
    }
}

/// Prepares the UDP socket of a gateway, before it is bound or after: the mark that keeps its packets off
/// the TUN device's routes, large buffers, joined receives (UDP_GRO), and telling of local addresses and
/// ECN bits. Packets leave whole: the tunnel itself finds out how long they may be.
pub fn configure_socket(socket: &UdpSocket, mark: u32) -> io::Result<()> {
    let v6 = socket.local_addr()?.is_ipv6();
    SockRef::from(socket).set_mark(mark)?;
    for name in [libc::SO_RCVBUFFORCE, libc::SO_SNDBUFFORCE] {
        option::set(socket, libc::SOL_SOCKET, name, SOCKET_BUFFER)?;
    }
    option::set(socket, libc::SOL_UDP, libc::UDP_GRO, 1)?;
    // An IPv6 socket carries IPv4 packets too, with IPv4's options for the type of service.
    option::set(socket, libc::IPPROTO_IP, libc::IP_RECVTOS, 1)?;
    option::set(
        socket,
        libc::IPPROTO_IP,
        libc::IP_MTU_DISCOVER,
        libc::IP_PMTUDISC_PROBE,
    )?;
    if v6 {
        option::set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 1)?;
        option::set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        option::set(
            socket,
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_PROBE,
        )?;
    } else {
        option::set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
    }
    Ok(())
}
