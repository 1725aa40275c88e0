//! [`EchoSocket`]: a QUIC client's socket that also answers the peer's probes.
//!
//! With answered probes, the peer keeps a session up although there is no data plane behind it. All
//! other data packets are ignored.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use anyhow::{Result, anyhow};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Connection, Runtime as _, TokioRuntime, UdpPoller};
use ringway_core::Lane;
use ringway_dataplane::{
    Aead, DropReason, EXPORTER_LABEL, HEADER_LEN, Header, Incoming, KeyContext, Kind, OVERHEAD,
    Outgoing, Path, Peer, Role, Secret, SiteNo,
};

/// Bytes of a probe's payload. The first is 0 in a probe and 1 in its echo (gateway/PROTOCOL.md).
const PROBE: usize = 16;

/// A UDP socket for QUIC and for probes.
pub struct EchoSocket {
    socket: Arc<dyn AsyncUdpSocket>,
    keys: Mutex<Option<Keys>>,
}

/// The data plane's keys of one session, for both directions.
pub struct Keys {
    incoming: Incoming,
    outgoing: Outgoing,
}

impl Keys {
    /// The keys of `connection`, dialled by the gateway with the SPIFFE id `dialler` to the one
    /// with the id `dialled`. `ours` and `theirs` are the lanes of the two `Hello`s.
    pub fn of(
        connection: &Connection,
        dialler: &str,
        dialled: &str,
        ours: Lane,
        theirs: Lane,
    ) -> Result<Keys> {
        let context = |sender, lane: Lane| KeyContext {
            sender,
            lane: 0,
            aead: aead(lane),
            index: lane.index.0,
            dialler,
            dialled,
        };
        // The receiver of a direction has chosen its lane, and with it index and cipher.
        let opens = export(connection, &context(Role::Accepter, ours))?;
        let seals = export(connection, &context(Role::Dialler, theirs))?;

        let path = Path::new(connection.remote_address(), None);
        let peer = Arc::new(Peer::new());
        Ok(Keys {
            incoming: Incoming::new(ours.index.0, aead(ours), &opens, SiteNo(0), peer.clone()),
            outgoing: Outgoing::new(theirs.index.0, aead(theirs), &seals, path, peer),
        })
    }

    /// A probe, or the echo of one, with this payload.
    fn seal(&self, payload: &[u8; PROBE]) -> Result<Vec<u8>, DropReason> {
        let mut datagram = vec![0; PROBE + OVERHEAD];
        datagram[HEADER_LEN..][..PROBE].copy_from_slice(payload);

        let counter = self.outgoing.reserve(1)?;
        self.outgoing.seal(Kind::Probe, counter, &mut datagram)?;
        Ok(datagram)
    }

    /// The echo of `datagram`; `None` if it is not a probe of this session.
    fn echo(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let mut datagram = datagram.to_vec();
        let header = Header::decode(&datagram).ok()?;
        if header.kind != Kind::Probe || header.index != self.incoming.index() {
            return None;
        }

        self.incoming.open(&header, &mut datagram).ok()?;
        let mut payload = *datagram[HEADER_LEN..].first_chunk::<PROBE>()?;
        if payload[0] != 0 {
            return None;
        }
        payload[0] = 1;
        self.seal(&payload).ok()
    }
}

fn export(connection: &Connection, context: &KeyContext<'_>) -> Result<Secret> {
    let mut secret = [0; 48];
    connection
        .export_keying_material(&mut secret, EXPORTER_LABEL, &context.encode())
        .map_err(|error| anyhow!("no keys: {error:?}"))?;
    Ok(Secret::new(secret))
}

fn aead(lane: Lane) -> Aead {
    match lane.aead {
        ringway_core::Aead::Aes128Gcm => Aead::Aes128Gcm,
        ringway_core::Aead::Aes256Gcm => Aead::Aes256Gcm,
        ringway_core::Aead::ChaCha20Poly1305 => Aead::ChaCha20Poly1305,
    }
}

impl EchoSocket {
    /// Binds `address`. Must be called inside a tokio runtime.
    pub fn bind(address: SocketAddr) -> io::Result<Arc<EchoSocket>> {
        let socket = TokioRuntime.wrap_udp_socket(UdpSocket::bind(address)?)?;
        Ok(Arc::new(EchoSocket {
            socket,
            keys: Mutex::default(),
        }))
    }

    /// From now on, answers the probes of the session that has these keys, and no others.
    pub fn answer_probes_of(&self, keys: Keys) {
        *self.lock() = Some(keys);
    }

    /// Sends a probe to the peer of that session.
    pub fn probe(&self, destination: SocketAddr) -> Result<()> {
        let probe = self.lock().as_ref().map(|keys| keys.seal(&[0; PROBE]));
        let probe = probe.ok_or_else(|| anyhow!("no session"))?;

        self.send(&probe?, destination);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Keys>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, datagram: &[u8], destination: SocketAddr) {
        let echo = self.lock().as_ref().and_then(|keys| keys.echo(datagram));

        if let Some(echo) = echo {
            self.send(&echo, destination);
        }
    }

    fn send(&self, datagram: &[u8], destination: SocketAddr) {
        // If the socket is full, it is lost like any datagram, and there will be another probe.
        _ = self.socket.try_send(&Transmit {
            destination,
            ecn: None,
            contents: datagram,
            segment_size: None,
            src_ip: None,
        });
    }
}

impl AsyncUdpSocket for EchoSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)
    }

    /// Hands every datagram to QUIC, which ignores those that are not QUIC's.
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

impl fmt::Debug for EchoSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EchoSocket")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}
