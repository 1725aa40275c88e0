//! [`ChannelNetwork`]: the network between gateways, in memory and with its own clock.
//! [`ChannelUdp`] is a socket on it.
//!
//! ```text
//!   send ─► queue of the socket that is bound to the remote address ─► receive
//!     └─ no such socket: lost on the way, as on a real network
//! ```
//! Nothing is lost, delayed or reordered otherwise. Segments of one send arrive joined, as over a
//! veth. Queues are bounded: a send that finds the receiver's full fails with `EAGAIN`, as if the
//! sender's own buffer were full, and the thread tries again.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Metadata, Udp};
use crate::queue::Queue;
use crate::session::Path;
use crate::traffic_class::TrafficClass;

/// Datagrams of one send.
struct Datagrams {
    bytes: Vec<u8>,
    metadata: Metadata,
}

type Bound = HashMap<SocketAddr, Arc<Queue<Datagrams>>>;

/// A network in memory. Clones are the same network.
#[derive(Clone)]
pub struct ChannelNetwork {
    bound: Arc<Mutex<Bound>>,
    start: Instant,
    /// Nanoseconds since `start`.
    elapsed: Arc<AtomicU64>,
}

impl ChannelNetwork {
    /// A network without sockets, whose clock stands at the real time and moves by
    /// [`ChannelNetwork::advance`] only.
    pub fn new() -> ChannelNetwork {
        ChannelNetwork {
            bound: Arc::default(),
            start: Instant::now(),
            elapsed: Arc::default(),
        }
    }

    /// A socket at `address`, for which up to `capacity` sends may wait. It takes the place of
    /// another at the same address.
    pub fn bind(&self, address: SocketAddr, capacity: usize) -> io::Result<ChannelUdp> {
        let queue = Arc::new(Queue::new(capacity)?);
        self.bound().insert(address, queue.clone());

        Ok(ChannelUdp {
            network: self.clone(),
            address,
            queue,
        })
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.elapsed.fetch_add(by.as_nanos() as u64, Relaxed);
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_nanos(self.elapsed.load(Relaxed))
    }

    fn bound(&self) -> MutexGuard<'_, Bound> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ChannelNetwork {
    fn default() -> ChannelNetwork {
        ChannelNetwork::new()
    }
}

/// A socket on a [`ChannelNetwork`].
pub struct ChannelUdp {
    network: ChannelNetwork,
    address: SocketAddr,
    queue: Arc<Queue<Datagrams>>,
}

impl ChannelUdp {
    /// Sends that wait to be received.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
}

impl Udp for ChannelUdp {
    fn send_as(
        &self,
        path: &Path,
        payload: &[u8],
        segment: Option<u16>,
        class: TrafficClass,
    ) -> io::Result<()> {
        // The lock is released before the push, so that senders to two sockets do not meet.
        let Some(queue) = self.network.bound().get(&path.remote()).cloned() else {
            // As on a real network, what nobody receives is no error.
            return Ok(());
        };

        let source = path.local().unwrap_or(self.address.ip());
        let from = SocketAddr::new(source, self.address.port());

        let datagrams = Datagrams {
            bytes: payload.to_vec(),
            metadata: Metadata {
                to: Some(path.remote().ip()),
                segment: segment.map(usize::from),
                ecn: Some(class.ecn()),
                ..Metadata::new(payload.len(), from)
            },
        };

        if queue.push(datagrams) {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(libc::EAGAIN))
        }
    }

    fn send_unfragmented(&self, path: &Path, payload: &[u8]) -> io::Result<()> {
        self.send(path, payload, None)
    }

    fn send_in_fragments(
        &self,
        path: &Path,
        payload: &[u8],
        _id: u32,
        class: TrafficClass,
    ) -> io::Result<()> {
        self.send_as(path, payload, None, class)
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<Metadata> {
        let received = self.queue.pop().ok_or(io::ErrorKind::WouldBlock)?;
        let len = received.bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&received.bytes[..len]);

        Ok(Metadata {
            len,
            ..received.metadata
        })
    }

    fn now(&self) -> Instant {
        self.network.now()
    }
}

impl AsFd for ChannelUdp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}
