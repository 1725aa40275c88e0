//! [`Queries`] and [`Responses`]: datagrams that are received, and sent, many per system call.
//!
//! The buffers are allocated once. Neither type interprets the datagrams.

use std::array;
use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg,
};
use rustix::net::addr::SocketAddrArg as _;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
use tokio_util::sync::CancellationToken;

use crate::acl::Interface;
use crate::answer::MAX_UDP;

/// Datagrams per system call.
const BATCH: usize = 64;
/// Octets of a query; a larger one is cut off and so malformed. It is an odd number of cache lines:
/// if buffers began a power of two apart, they would compete for few sets of the cache.
const MAX_QUERY: usize = 1472;

/// The datagrams received last.
pub(super) struct Queries {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Box<[[u8; MAX_QUERY]; BATCH]>,
    /// What is known of each datagram in `buffers`.
    received: Vec<Received>,
}

/// One datagram.
struct Received {
    from: SocketAddr,
    interface: Interface,
    len: usize,
}

impl Queries {
    pub(super) fn new() -> Queries {
        Queries {
            headers: headers(),
            buffers: Box::new([[0; _]; _]),
            received: Vec::with_capacity(BATCH),
        }
    }

    /// Waits for a datagram and takes all that have arrived; takes none once `stop` is cancelled.
    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        stop: &CancellationToken,
    ) -> nix::Result<()> {
        self.received.clear();

        let mut slices = self
            .buffers
            .each_mut()
            .map(|buffer| [IoSliceMut::new(buffer)]);
        // recvmmsg(2): waits for the first datagram only, and takes those that are there with it.
        let messages = recvmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            slices.iter_mut(),
            MsgFlags::MSG_WAITFORONE,
            None,
        )?;

        // After a shutdown, the system call returns a message without a source.
        if stop.is_cancelled() {
            return Ok(());
        }

        let mut is_complete = true;
        for message in messages {
            let Some(from) = message.address.as_ref().and_then(ip_address) else {
                break;
            };
            let interface = interface(&message);
            is_complete &= interface.is_some();

            self.received.push(Received {
                from,
                interface: interface.unwrap_or(Interface(0)),
                len: message.bytes,
            });
        }

        // recvmmsg(2) leaves the length of what it wrote, here nothing, as that of the buffer.
        if !is_complete {
            self.headers = headers();
        }
        Ok(())
    }

    /// Each datagram, its source, and the interface by which it arrived.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], SocketAddr, Interface)> {
        self.buffers
            .iter()
            .zip(&self.received)
            .map(|(buffer, received)| {
                let Received {
                    from,
                    interface,
                    len,
                } = received;
                (&buffer[..*len], *from, *interface)
            })
    }
}

/// With room for what [`listen`](crate::server::listen) asks the kernel to say.
fn headers() -> MultiHeaders<SockaddrStorage> {
    MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(nix::libc::in6_pktinfo)))
}

/// The interface by which a datagram arrived, if the kernel says so.
fn interface(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<Interface> {
    message
        .cmsgs()
        .ok()?
        .find_map(|said| match said {
            ControlMessageOwned::Ipv4PacketInfo(info) => u32::try_from(info.ipi_ifindex).ok(),
            ControlMessageOwned::Ipv6PacketInfo(info) => Some(info.ipi6_ifindex),
            _ => None,
        })
        .map(Interface)
}

/// `None` for families that an IP socket never returns.
fn ip_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddrV4::from(*v4).into());
    }

    let v6 = address.as_sockaddr_in6()?;
    Some(SocketAddrV6::from(*v6).into())
}

/// Datagrams to send: at most one for each of [`Queries::iter`].
pub(super) struct Responses {
    buffers: [Vec<u8>; BATCH],
    /// Destinations of the first buffers.
    to: Vec<SocketAddrAny>,
}

/// How many datagrams [`Responses::send`] sent, and how many the socket did not accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SendResult {
    pub(super) sent: u32,
    pub(super) unsent: u32,
}

impl Responses {
    pub(super) fn new() -> Responses {
        Responses {
            buffers: array::from_fn(|_| Vec::with_capacity(MAX_UDP)),
            to: Vec::with_capacity(BATCH),
        }
    }

    /// Adds a datagram to `to` if `write` returns true: then it has filled the buffer.
    pub(super) fn add(&mut self, to: SocketAddr, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        if write(&mut self.buffers[self.to.len()]) {
            self.to.push(to.as_any());
        }
    }

    /// Sends all datagrams without waiting for buffer space, and forgets them.
    pub(super) fn send(&mut self, socket: &UdpSocket) -> SendResult {
        let slices = self.buffers.each_ref().map(|buffer| [IoSlice::new(buffer)]);
        let mut no_control: [_; BATCH] = array::from_fn(|_| SendAncillaryBuffer::default());
        let mut messages: Vec<_> = self
            .to
            .iter()
            .zip(&slices)
            .zip(&mut no_control)
            .map(|((to, slice), control)| MMsgHdr::new_with_addr(to, slice, control))
            .collect();

        let mut sent = 0;
        let mut unsent = 0;
        while sent + unsent < messages.len() {
            match sendmmsg(socket, &mut messages[sent + unsent..], SendFlags::DONTWAIT) {
                Ok(count) => sent += count,
                // The error is about the first of them; the others may have a different route.
                Err(_) => unsent += 1,
            }
        }

        drop(messages);
        self.to.clear();
        SendResult {
            sent: sent as u32,
            unsent: unsent as u32,
        }
    }
}
