//! [`Pulse`]: a QUIC client's socket that also answers the peer's probes, so that a session lives although
//! there is no data plane behind it. Nothing else that data packets carry is looked at.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use anyhow::{Result, anyhow};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Connection, Runtime as _, TokioRuntime, UdpPoller};
use ringway_core::Lane;
use ringway_dataplane::{
    Aead, DropReason, EXPORTER_LABEL, HEADER_LEN, Header, Incoming, KeyContext, Kind, OVERHEAD,
    Outgoing, Path, Peer, Role, Secret, SiteNo,
};

/// Octets of a probe's payload, the first of which is 0, and 1 in its echo (gateway/PROTOCOL.md).
const PROBE: usize = 16;

/// The socket.
pub struct Pulse {
    socket: Arc<dyn AsyncUdpSocket>,
    keys: Mutex<Option<Keys>>,
}

/// The two directions of one session.
pub struct Keys {
    incoming: Incoming,
    outgoing: Outgoing,
}

impl Keys {
    /// Those of `connection`, dialled by the first of `ids` (SPIFFE) to the second; `ours` and `theirs` are
    /// the lanes of the two `Hello`s.
    pub fn of(
        connection: &Connection,
        ids: (&str, &str),
        ours: Lane,
        theirs: Lane,
    ) -> Result<Keys> {
        let secret = |sender, lane: Lane| {
            let (aead, index) = (aead(lane), lane.index.0);
            let context = KeyContext {
                sender,
                lane: 0,
                aead,
                index,
                dialler: ids.0,
                dialled: ids.1,
            };
            let mut secret = [0; 48];
            let exported =
                connection.export_keying_material(&mut secret, EXPORTER_LABEL, &context.encode());
            exported
                .map(|()| Secret::new(secret))
                .map_err(|error| anyhow!("no keys: {error:?}"))
        };
        let path = Path::new(connection.remote_address(), None);
        let (opens, seals) = (
            secret(Role::Accepter, ours)?,
            secret(Role::Dialler, theirs)?,
        );
        let peer = Arc::new(Peer::new());
        Ok(Keys {
            incoming: Incoming::new(ours.index.0, aead(ours), &opens, SiteNo(0), peer.clone()),
            outgoing: Outgoing::new(theirs.index.0, aead(theirs), &seals, path, peer),
        })
    }

    /// The echo of `datagram`; `None` if it is no probe of this session.
    fn echo(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let mut datagram = datagram.to_vec();
        let header = Header::decode(&datagram).ok()?;
        if header.kind != Kind::Probe || header.index != self.incoming.index() {
            return None;
        }
        self.incoming.open(&header, &mut datagram).ok()?;
        let payload = datagram[HEADER_LEN..]
            .first_chunk::<PROBE>()
            .filter(|payload| payload[0] == 0)?;
        self.seal(*payload).ok()
    }

    fn seal(&self, mut payload: [u8; PROBE]) -> Result<Vec<u8>, DropReason> {
        payload[0] = 1;
        let mut echo = vec![0; PROBE + OVERHEAD];
        echo[HEADER_LEN..][..PROBE].copy_from_slice(&payload);
        self.outgoing
            .seal(Kind::Probe, self.outgoing.reserve(1)?, &mut echo)?;
        Ok(echo)
    }
}

fn aead(lane: Lane) -> Aead {
    match lane.aead {
        ringway_core::Aead::Aes128Gcm => Aead::Aes128Gcm,
        ringway_core::Aead::Aes256Gcm => Aead::Aes256Gcm,
        ringway_core::Aead::ChaCha20Poly1305 => Aead::ChaCha20Poly1305,
    }
}

impl Pulse {
    /// A socket of any port. Must run inside a tokio runtime.
    pub fn bind(address: SocketAddr) -> io::Result<Arc<Pulse>> {
        let socket = TokioRuntime.wrap_udp_socket(UdpSocket::bind(address)?)?;
        Ok(Arc::new(Pulse {
            socket,
            keys: Mutex::default(),
        }))
    }

    /// Answers probes of this session from now on, and of no other.
    pub fn beat(&self, keys: Keys) {
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Some(keys);
    }

    fn answer(&self, datagram: &[u8], destination: SocketAddr) {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(echo) = keys.as_ref().and_then(|keys| keys.echo(datagram)) {
            let (ecn, segment_size, src_ip) = (None, None, None);
            // What is lost on the way here is a probe without an echo.
            let _ = self.socket.try_send(&Transmit {
                destination,
                ecn,
                contents: &echo,
                segment_size,
                src_ip,
            });
        }
    }
}

impl AsyncUdpSocket for Pulse {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)
    }

    /// QUIC drops what is not its own by itself.
    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.socket.poll_recv(context, buffers, meta))?;
        for (buffer, meta) in buffers.iter().zip(meta).take(count) {
            for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                self.answer(datagram, meta.addr);
            }
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}
