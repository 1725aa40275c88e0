//! [`Questions`] and [`Answers`]: datagrams that are received, and sent, many in one system call.
//!
//! Their buffers are made once. Neither knows what is in a datagram.

use std::array;
use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};
use rustix::net::addr::SocketAddrArg as _;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
use tokio_util::sync::CancellationToken;

use crate::answer::MAX_UDP;

/// Datagrams in one call.
const BATCH: usize = 64;
/// Larger questions are cut off, and then malformed. An odd number of cache lines: buffers that are a power
/// of two apart share few places of the cache.
const MAX_QUESTION: usize = 1472;

/// What has come.
pub(super) struct Questions {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Box<[[u8; MAX_QUESTION]; BATCH]>,
    /// From where, and how many octets, of those that came last.
    came: Vec<(SocketAddr, usize)>,
}

impl Questions {
    pub(super) fn new() -> Questions {
        let headers = MultiHeaders::preallocate(BATCH, None);
        Questions {
            headers,
            buffers: Box::new([[0; _]; _]),
            came: Vec::with_capacity(BATCH),
        }
    }

    /// Waits for a datagram, and takes what else has come; none if `stop` was cancelled.
    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        stop: &CancellationToken,
    ) -> nix::Result<()> {
        self.came.clear();
        let mut places = self
            .buffers
            .each_mut()
            .map(|buffer| [IoSliceMut::new(buffer)]);
        let flags = MsgFlags::MSG_WAITFORONE;
        let received = recvmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            places.iter_mut(),
            flags,
            None,
        )?;
        // A socket that was shut down gives a message from nowhere.
        if !stop.is_cancelled() {
            let came = received.map(|message| Some((host(&message.address?)?, message.bytes)));
            self.came.extend(came.map_while(|came| came));
        }
        Ok(())
    }

    /// Each datagram, and where it came from.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        self.buffers
            .iter()
            .zip(&self.came)
            .map(|(buffer, (from, len))| (&buffer[..*len], *from))
    }
}

/// `None` for addresses that no IP socket gives.
fn host(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address
        .as_sockaddr_in()
        .map(|v4| SocketAddrV4::from(*v4).into());
    v4.or_else(|| Some(SocketAddrV6::from(*address.as_sockaddr_in6()?).into()))
}

/// What is to be sent: no more than one for each of [`Questions::iter`].
pub(super) struct Answers {
    buffers: [Vec<u8>; BATCH],
    to: Vec<SocketAddrAny>,
}

impl Answers {
    pub(super) fn new() -> Answers {
        let buffers = array::from_fn(|_| Vec::with_capacity(MAX_UDP));
        Answers {
            buffers,
            to: Vec::with_capacity(BATCH),
        }
    }

    /// Adds a datagram to `to`, if `write` says that what it wrote is to be sent.
    pub(super) fn add(&mut self, to: SocketAddr, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        if write(&mut self.buffers[self.to.len()]) {
            self.to.push(to.as_any());
        }
    }

    /// Sends all without waiting for room, and forgets them; gives how many were sent, and how many not.
    pub(super) fn send(&mut self, socket: &UdpSocket) -> (u32, u32) {
        let slices = self.buffers.each_ref().map(|buffer| [IoSlice::new(buffer)]);
        let mut nothing: [_; BATCH] = array::from_fn(|_| SendAncillaryBuffer::default());
        let all = self.to.iter().zip(&slices).zip(&mut nothing);
        let mut messages: Vec<_> = all
            .map(|((to, slice), nothing)| MMsgHdr::new_with_addr(to, slice, nothing))
            .collect();
        let (mut sent, mut unsent) = (0, 0);
        while sent + unsent < messages.len() {
            match sendmmsg(socket, &mut messages[sent + unsent..], SendFlags::DONTWAIT) {
                Ok(taken) => sent += taken,
                // The first of them; the others may have another way to go.
                Err(_) => unsent += 1,
            }
        }
        drop(messages);
        self.to.clear();
        (sent as u32, unsent as u32)
    }
}
