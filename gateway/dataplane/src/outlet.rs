//! [`Outlet`]: the socket as the threads use it: a send of the sending thread that finds it full
//! waits for room.
//!
//! While it waits, nothing else is sealed and nothing is read from the TUN device: packets wait in
//! the device's queue, which is bounded, and stay in order. To drop instead would cost every stream
//! a loss whenever the card is slower than the threads.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::session::Outgoing;
use crate::shutdown::Shutdown;
use crate::sys::poll;
use crate::traffic_class::TrafficClass;
use crate::udp::{self, Udp};

/// The kernel calls a socket writable once half of its buffer is free; a part of that is enough.
const RETRY: Duration = Duration::from_millis(10);

/// Retries after which a device is taken for stuck, and the packets are dropped: 2 s.
pub(crate) const MAX_RETRIES: u32 = 200;

/// A socket, and the signal that ends a wait for it.
pub(crate) struct Outlet<'a, U> {
    pub(crate) udp: &'a U,
    pub(crate) shutdown: &'a Shutdown,
    /// How often a send is repeated that finds the socket full. The receiving thread does not wait:
    /// others send to it, too.
    pub(crate) retries: u32,
}

impl<U: Udp> Outlet<'_, U> {
    /// As [`udp::send_along`]. Error `WouldBlock`: the socket had no room for too long.
    pub(crate) fn send(
        &self,
        session: &Outgoing,
        payload: &[u8],
        segment: Option<u16>,
        class: TrafficClass,
    ) -> io::Result<()> {
        self.repeat(|| udp::send_along(self.udp, session, payload, segment, class))
    }

    /// As [`Udp::send_in_fragments`]. Error `WouldBlock`: the socket had no room for too long.
    pub(crate) fn send_in_fragments(
        &self,
        session: &Outgoing,
        payload: &[u8],
        id: u32,
        class: TrafficClass,
    ) -> io::Result<()> {
        let path = session.path();
        self.repeat(|| self.udp.send_in_fragments(&path, payload, id, class))
    }

    fn repeat(&self, send: impl Fn() -> io::Result<()>) -> io::Result<()> {
        let mut sent = send();

        for _ in 0..self.retries {
            let is_full = matches!(&sent, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
            if !is_full || self.shutdown.is_requested() {
                break;
            }
            poll::wait_for_room(self.udp.as_fd(), self.shutdown.as_fd(), RETRY)?;
            sent = send();
        }

        sent
    }
}
