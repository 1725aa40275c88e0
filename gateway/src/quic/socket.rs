//! The tunnel's UDP socket, as quinn sees it. Owns the bounded queue of QUIC datagrams from the
//! data plane's receiving thread to quinn. That thread owns the receiving side of the socket; it
//! passes on every datagram that is not a data packet (gateway/PROTOCOL.md, the first two bits).
//!
//! ```text
//!   UDP ─► receiving thread ─┬─ data packets ─► TUN
//!                            └─ QUIC ─► Inlet ─► queue ─► DemuxSocket::poll_recv ─► quinn
//!   quinn ─► DemuxSocket::try_send ─► UDP
//! ```

use std::future::Future as _;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use quinn::udp::{EcnCodepoint, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};

/// QUIC datagrams that may wait for quinn. Anyone who sends to the port can fill it; then datagrams
/// are dropped and counted, and QUIC's loss recovery resends those that matter.
const QUEUE: usize = 1024;

/// Part of the queue that Initial packets, which cost a stranger nothing, must leave free for
/// packets of existing connections.
const RESERVED: usize = QUEUE / 2;

/// How long quinn waits when the socket is full. A notification by the kernel would wake the
/// runtime for every data packet that leaves.
const FULL: Duration = Duration::from_millis(1);

/// One QUIC datagram on its way to quinn.
struct Datagram {
    bytes: Box<[u8]>,
    from: SocketAddr,
    to: Option<IpAddr>,
    ecn: Option<EcnCodepoint>,
}

/// The receiving thread's end of the queue.
#[derive(Debug, Clone)]
pub struct Inlet {
    queue: mpsc::Sender<Datagram>,
    dropped: Arc<AtomicU64>,
    /// True for an IPv6 socket: quinn compares addresses in the form in which it receives them.
    mapped: bool,
}

impl Inlet {
    /// Passes a datagram to quinn. False if the queue is full: the datagram is dropped and counted.
    pub fn offer(
        &self,
        bytes: &[u8],
        from: SocketAddr,
        to: Option<IpAddr>,
        ecn: Option<u8>,
    ) -> bool {
        // Before the bytes are copied, so that a flood of Initials costs little.
        let has_room = self.queue.capacity() > RESERVED || !is_initial(bytes);
        let is_taken = has_room
            && self
                .queue
                .try_send(self.datagram(bytes, from, to, ecn))
                .is_ok();

        if !is_taken {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        is_taken
    }

    fn datagram(
        &self,
        bytes: &[u8],
        from: SocketAddr,
        to: Option<IpAddr>,
        ecn: Option<u8>,
    ) -> Datagram {
        let mut datagram = Datagram {
            bytes: bytes.into(),
            from,
            to,
            ecn: ecn.and_then(EcnCodepoint::from_bits),
        };

        // On an IPv6 socket, quinn knows IPv4 addresses in their mapped form.
        if self.mapped {
            datagram.from.set_ip(mapped(from.ip()));
            datagram.to = to.map(mapped);
        }
        datagram
    }

    /// Datagrams dropped because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// An IPv4 address in the form for an IPv6 socket (RFC 4291, section 2.5.5.2).
fn mapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        v6 => v6,
    }
}

/// The address in its usual notation.
pub fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// RFC 9000, section 17.2.2: long header, fixed bit, packet type 0.
fn is_initial(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & 0xf0 == 0xc0)
}

/// The socket given to [`quinn::Endpoint::new_with_abstract_socket`].
pub struct DemuxSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    full: Arc<AtomicBool>,
    queue: Mutex<mpsc::Receiver<Datagram>>,
}

impl DemuxSocket {
    /// Wraps `socket`, whose receiving side belongs to the data plane.
    pub fn new(socket: &UdpSocket) -> io::Result<(Arc<DemuxSocket>, Inlet)> {
        let state = UdpSocketState::new(UdpSockRef::from(socket))?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let demux = DemuxSocket {
            socket: socket.try_clone()?,
            state,
            full: Arc::default(),
            queue: Mutex::new(receiver),
        };
        let mapped = socket.local_addr()?.is_ipv6();

        Ok((
            Arc::new(demux),
            Inlet {
                queue: sender,
                dropped: Arc::default(),
                mapped,
            },
        ))
    }
}

impl AsyncUdpSocket for DemuxSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(WritePoller {
            full: self.full.clone(),
            wait: None,
        })
    }

    fn try_send(&self, transmit: &Transmit) -> io::Result<()> {
        let sent = self.state.send(UdpSockRef::from(&self.socket), transmit);

        // quinn then asks `WritePoller` when to retry.
        if matches!(&sent, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            self.full.store(true, Ordering::Relaxed);
        }
        sent
    }

    fn poll_recv(
        &self,
        cx: &mut Context,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut queue = self
            .queue
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut filled = 0;

        for (buf, meta) in bufs.iter_mut().zip(meta) {
            let datagram = match queue.poll_recv(cx) {
                Poll::Ready(Some(datagram)) => datagram,
                // The data plane has ended: no more datagrams will come.
                Poll::Ready(None) | Poll::Pending if filled == 0 => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => break,
            };

            // quinn's buffers hold what it has agreed to receive. A longer datagram is truncated
            // and fails to authenticate.
            let len = datagram.bytes.len().min(buf.len());
            buf[..len].copy_from_slice(&datagram.bytes[..len]);

            let Datagram {
                from: addr,
                to: dst_ip,
                ecn,
                ..
            } = datagram;
            // The stride is the whole length, because it is a single datagram.
            *meta = RecvMeta {
                addr,
                len,
                stride: len,
                ecn,
                dst_ip,
            };
            filled += 1;
        }
        Poll::Ready(Ok(filled))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

impl std::fmt::Debug for DemuxSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DemuxSocket").finish_non_exhaustive()
    }
}

/// Waits a moment after the socket was full.
#[derive(Debug)]
struct WritePoller {
    full: Arc<AtomicBool>,
    wait: Option<Pin<Box<Sleep>>>,
}

impl UdpPoller for WritePoller {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        if self.wait.is_none() && !self.full.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }

        ready!(
            self.wait
                .get_or_insert_with(|| Box::pin(sleep(FULL)))
                .as_mut()
                .poll(cx)
        );
        self.wait = None;
        self.full.store(false, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4600);

    #[tokio::test]
    async fn an_ipv6_socket_names_ipv4_peers_in_mapped_form() {
        let socket = UdpSocket::bind("[::]:0").unwrap();
        let (demux, inlet) = DemuxSocket::new(&socket).unwrap();
        assert!(inlet.offer(&[0x43; 40], FROM, Some(FROM.ip()), None));
        let (mut buf, mut meta) = ([0; 64], [RecvMeta::default()]);
        let received = std::future::poll_fn(|cx| {
            demux.poll_recv(cx, &mut [IoSliceMut::new(&mut buf)], &mut meta)
        })
        .await;
        assert_eq!(received.unwrap(), 1);
        assert_eq!(meta[0].addr.to_string(), "[::ffff:127.0.0.1]:4600");
        assert_eq!(meta[0].dst_ip, Some("::ffff:127.0.0.1".parse().unwrap()));
    }

    #[tokio::test]
    async fn initials_leave_room_for_running_sessions() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (_demux, inlet) = DemuxSocket::new(&socket).unwrap();
        let initials = (0..QUEUE)
            .filter(|_| inlet.offer(&[0xc3; 1200], FROM, None, None))
            .count();
        assert_eq!(initials, QUEUE - RESERVED);
        let short = (0..QUEUE)
            .filter(|_| inlet.offer(&[0x43; 40], FROM, None, None))
            .count();
        assert_eq!(short, RESERVED);
        assert_eq!(inlet.dropped(), 2 * QUEUE as u64 - QUEUE as u64);
    }
}
